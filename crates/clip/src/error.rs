//! What can go wrong in an action of this network.

use std::path::PathBuf;

use hearth_data::DataError;
use hearth_deploy::DeployError;
use hearth_engine::{EngineError, FileError};
use hearth_spec::Diagnostics;
use hearth_weights::WeightsError;

/// Why an action ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The spec, with every mistake in it.
    #[error(transparent)]
    Spec(#[from] Diagnostics),
    /// Pictures, captions or the tokenizer.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint does not fit the model.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Training ended early.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A result could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A checkpoint's account of itself is damaged or not of this release.
    #[error("{}: this checkpoint's recipe cannot be used: {reason}", .path.display())]
    Recipe {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A C-RADIO checkpoint that is not what the spec asks for.
    #[error("{}: this C-RADIO file cannot be used: {reason}", .path.display())]
    Radio {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The tokenizer produces ids that the model has no embedding for.
    #[error("{}: the tokenizer has ids up to {}, `{model_type}` embeds {needed}", .tokenizer.display(), .found - 1)]
    Vocabulary {
        /// Where the tokenizer came from.
        tokenizer: PathBuf,
        /// Entries of the tokenizer.
        found: usize,
        /// Rows of the embedding table.
        needed: usize,
        /// `model.type`.
        model_type: String,
    },
    /// A graph cannot be made, read or run.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A graph or engine that does not say how its inputs are prepared.
    #[error("{}: this model cannot be used: {reason}", .path.display())]
    Graph {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// No engine where the spec says.
    #[error("{}: no engine is there, looked for {}", .path.display(), listed(.tried))]
    NoEngine {
        /// As the spec has it.
        path: PathBuf,
        /// Every place.
        tried: Vec<PathBuf>,
    },
    /// A model that has no graph.
    #[error("`{model_type}` cannot be exported: it {reason}")]
    NoExport {
        /// `model.type`.
        model_type: String,
        /// Why.
        reason: String,
    },
    /// A model without the tower that is asked for.
    #[error("{}: holds no {tower} tower", .path.display())]
    NoTower {
        /// The model.
        path: PathBuf,
        /// `vision` or `text`.
        tower: &'static str,
    },
    /// An embedding is infinite or not a number.
    #[error("{sample}: the model's answer is not finite")]
    NotFinite {
        /// The picture or the prompt.
        sample: String,
    },
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl ClipError {
    /// Suggestions in the user's words.
    pub fn hints(&self) -> Vec<String> {
        match self {
            ClipError::Weights(error) => error.hints(),
            ClipError::Engine(error) => error.hints(),
            ClipError::Deploy(error) => error.hints(),
            ClipError::Graph { .. } => vec![
                "`clip export` writes graphs that say how pictures and texts are prepared, with a folder \
                 `X_tokenizer` that stays beside `X.onnx` or `X.engine`; `hearth.model.tokenizer` names it elsewhere"
                    .to_owned(),
            ],
            ClipError::NoEngine { .. } => vec![
                "`clip gen_trt_engine` builds engines of exported ONNX files".to_owned(),
            ],
            ClipError::NoTower { tower, .. } => vec![format!(
                "put the `_{tower}` file of the same export beside it, or name a file with both towers"
            )],
            ClipError::Recipe { .. } => vec![
                "load it as plain weights: set `model.type` and `hearth.model.tokenizer`, and name \
                 the file in `train.pretrained_model_path`"
                    .to_owned(),
            ],
            ClipError::NotFinite { .. } => vec![
                "the weights hold values that are not finite: take an earlier checkpoint"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}
