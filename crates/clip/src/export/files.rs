//! The files of an export: which there are, and whether they can be written.

use std::path::{Path, PathBuf};

use hearth_deploy::claim;
use hearth_engine::Run;
use hearth_spec::Document;

use super::{TowerGraph, Towers};
use crate::{
    error::ClipError,
    setup::Setup,
    spec::{ClipSpec, EncoderType},
    vision::TowerConfig,
};

/// Ends of the names of the files of single towers.
pub(crate) const VISION: &str = "_vision";
pub(crate) const TEXT: &str = "_text";

/// Where an export goes.
pub(crate) struct Files {
    /// As the spec names it.
    base: PathBuf,
    separate: bool,
}

/// A graph and its file.
pub(crate) struct Graph {
    pub(crate) network: TowerGraph,
    pub(crate) path: PathBuf,
}

impl Files {
    pub(crate) fn of(spec: &ClipSpec, run: &Run) -> Files {
        let named = spec.export.onnx_file.as_ref().map(PathBuf::from);
        let base = named.unwrap_or_else(|| run.results.join("clip_model.onnx"));
        Files { base, separate: spec.export.encoder_type == EncoderType::Separate }
    }

    /// The file that the spec names; with separate towers it does not exist itself.
    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    /// The graphs of the model; fails where its pictures have no one size, or another than the spec says.
    pub(crate) fn graphs(
        &self,
        document: &Document,
        setup: &Setup,
    ) -> Result<Vec<Graph>, ClipError> {
        let config = setup.config();
        if matches!(config.vision, TowerConfig::Naflex(_)) {
            return Err(ClipError::NoExport {
                model_type: setup.recipe.model_type.clone(),
                reason: "takes pictures of any aspect ratio, and a graph takes one size".to_owned(),
            });
        }
        self.check_size(document, setup)?;
        let towers = match self.separate {
            true => vec![(Towers::Vision, VISION), (Towers::Text, TEXT)],
            false => vec![(Towers::Both, "")],
        };
        let graphs = towers.into_iter().filter_map(|(towers, ending)| {
            let network = TowerGraph::new(&config, towers)?;
            Some(Graph { network, path: self.path(ending) })
        });
        Ok(graphs.collect())
    }

    /// `export.input_height` and `export.input_width`, where they are written.
    fn check_size(&self, document: &Document, setup: &Setup) -> Result<(), ClipError> {
        let side = setup.recipe.picture.size as usize;
        let mut checks = document.check();
        for key in ["export.input_height", "export.input_width"] {
            let written = document.text(key).filter(|_| document.is_written(key));
            if let Some(written) = written.filter(|text| text.parse() != Ok(side)) {
                checks
                    .error(key, written, format!("{side}, the side of the model's pictures"))
                    .hint("leave the key out, or export a model of another size");
            }
        }
        checks.into_result()?;
        Ok(())
    }

    fn path(&self, ending: &str) -> PathBuf {
        let stem = self.base.file_stem().unwrap_or_default().to_string_lossy();
        self.base.with_file_name(format!("{stem}{ending}.onnx"))
    }

    /// What lies beside all graphs of an export: `X_config.yaml`, `X_tokenizer`.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        let stem = self.base.file_stem().unwrap_or_default().to_string_lossy();
        self.base.with_file_name(format!("{stem}{ending}"))
    }

    /// Makes the folder, and fails where a file of the export exists already or cannot be made.
    pub(crate) fn claim(&self, graphs: &[Graph]) -> Result<(), ClipError> {
        graphs.iter().try_for_each(|graph| claim(&graph.path)).map_err(ClipError::from)
    }
}
