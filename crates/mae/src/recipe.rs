//! What a model is and how it expects its pictures, kept with its weights.

use std::collections::BTreeMap;

use hearth_data::transform::PictureRecipe;
use hearth_deploy::onnx::ModelProto;
use hearth_weights::WeightsFile;
use serde::{Deserialize, Serialize};

use crate::{
    arch::{self, Arch},
    autoencoder::DecoderConfig,
    error::MaeError,
    fcmae::MaskMode,
    spec::Stage,
};

/// Metadata keys of a checkpoint, and of a graph.
const RECIPE: &str = "hearth.recipe";
const SPEC: &str = "hearth.spec";

/// Everything that must be equal wherever a model is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// `model.arch`.
    pub(crate) arch: String,
    /// Preparation of pictures; its size is the model's.
    pub(crate) picture: PictureRecipe,
    /// What the model gives.
    pub(crate) gives: Gives,
}

/// What a model gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Gives {
    /// What it does not see of a picture.
    Reconstructions(Reconstructions),
    /// Classes.
    Classes(Classes),
}

/// Numbers of an autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reconstructions {
    pub(crate) decoder_depth: usize,
    pub(crate) decoder_width: usize,
    pub(crate) mask_ratio: f64,
    #[serde(with = "MaskModeName")]
    pub(crate) mask_mode: MaskMode,
    /// Whether patches are predicted at mean 0 and variance 1.
    pub(crate) normalize: bool,
}

/// What a classifier knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Classes {
    /// Answers of the head.
    pub(crate) count: usize,
    /// Names of the first of them, in order; nothing where the weights do not say.
    pub(crate) names: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MaskMode", rename_all = "lowercase")]
enum MaskModeName {
    Masked,
    Batch,
    Dense,
}

impl Recipe {
    /// The architecture of its name, which `read` and the spec's check looked for.
    pub(crate) fn arch(&self) -> Arch {
        Arch::named(&self.arch).expect("a checked architecture")
    }

    /// The stage that such a model comes from.
    pub(crate) fn stage(&self) -> Stage {
        match self.gives {
            Gives::Reconstructions(_) => Stage::Pretrain,
            Gives::Classes(_) => Stage::Finetune,
        }
    }

    /// Side of the pictures.
    pub(crate) fn size(&self) -> usize {
        self.picture.size as usize
    }

    /// One line of JSON, keys in the order of the fields.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a recipe is plain data")
    }

    /// Metadata of a graph.
    pub(crate) fn for_graph(&self) -> Vec<(String, String)> {
        vec![(RECIPE.to_owned(), self.to_json())]
    }

    /// Metadata of a checkpoint: the recipe, and the spec without paths.
    pub(crate) fn metadata(&self, spec: String) -> BTreeMap<String, String> {
        [(RECIPE.to_owned(), self.to_json()), (SPEC.to_owned(), spec)].into()
    }

    /// Fails on what no model of this program has.
    fn check(&self) -> Result<(), String> {
        self.picture.check()?;
        let Some(arch) = Arch::named(&self.arch) else {
            let names: Vec<&str> = arch::ALL.iter().map(|arch| arch.name).collect();
            let (name, known) = (&self.arch, names.join(", "));
            return Err(format!("found `{name}`, which is none of {known}"));
        };
        if !self.size().is_multiple_of(arch.cell()) {
            let (size, cell) = (self.size(), arch.cell());
            return Err(format!("pictures of {size} pixels do not fit cells of {cell}"));
        }
        match &self.gives {
            Gives::Reconstructions(gives) => gives.decoder().check(),
            Gives::Classes(Classes { count, names }) if *count < 1 || names.len() > *count => {
                Err(format!("{} names for {count} classes", names.len()))
            }
            Gives::Classes(_) => Ok(()),
        }
    }
}

impl Reconstructions {
    /// The decoder.
    pub(crate) fn decoder(&self) -> DecoderConfig {
        DecoderConfig::sized(self.decoder_depth, self.decoder_width)
    }
}

/// What a checkpoint of Hearth says about itself; `None` for a file of another origin.
pub(crate) fn read(file: &WeightsFile) -> Result<Option<Recipe>, MaeError> {
    let Some(text) = file.metadata().get(RECIPE) else { return Ok(None) };
    let damaged = |reason: String| MaeError::Recipe { path: file.path().to_owned(), reason };
    let recipe: Recipe = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    recipe.check().map_err(damaged)?;
    Ok(Some(recipe))
}

/// What a graph says about itself, if it is one of Hearth's autoencoders or classifiers.
pub(crate) fn of_graph(model: &ModelProto) -> Option<Recipe> {
    let recipe: Recipe = serde_json::from_str(model.metadata(RECIPE)?).ok()?;
    recipe.check().is_ok().then_some(recipe)
}
