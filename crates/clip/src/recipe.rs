//! How a model expects its inputs, kept with its weights: a wrong tokenizer or resize costs accuracy
//! without a word, so both travel inside the checkpoint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hearth_backbones::layers::Activation;
use hearth_data::{
    tokenizer::{TextRecipe, Tokenizer},
    transform::{PictureRecipe, ResizeMode},
};
use hearth_engine::contrastive::Contrast;
use hearth_weights::WeightsFile;
use serde::{Deserialize, Serialize};

use crate::{
    error::ClipError,
    exported::Account,
    model::ClipConfig,
    radio::RadioNumbers,
    registry::{self, Family},
    vision::TowerConfig,
};

/// Metadata keys of a checkpoint.
const RECIPE: &str = "hearth.recipe";
const TOKENIZER: &str = "hearth.tokenizer";
const TOKENIZER_DIGEST: &str = "hearth.tokenizer.sha256";
/// Of these, the ones that a graph has.
pub(crate) const OF_EXPORT: [&str; 2] = [RECIPE, TOKENIZER_DIGEST];
const SPEC: &str = "hearth.spec";

/// Everything that must be equal wherever a model is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// `model.type`.
    pub(crate) model_type: String,
    /// Non-linearity of both towers; of the vision tower for C-RADIO.
    #[serde(with = "ActivationName")]
    pub(crate) activation: Activation,
    /// Preparation of pictures; its size is the model's.
    pub(crate) picture: PictureRecipe,
    /// Preparation of texts; its length is the model's.
    pub(crate) text: TextRecipe,
    /// Loss that the calibration belongs to.
    #[serde(with = "ContrastName")]
    pub(crate) contrast: Contrast,
    /// What the files of a C-RADIO model say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) radio: Option<RadioNumbers>,
    /// The largest logit scale that training reaches: that of the weights it started from, where
    /// they lie above the usual ceiling.
    pub(crate) logit_scale_ceiling: f32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activation", rename_all = "snake_case")]
enum ActivationName {
    Gelu,
    GeluTanh,
    QuickGelu,
    Silu,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Contrast", rename_all = "lowercase")]
enum ContrastName {
    Clip,
    SigLip,
}

impl Recipe {
    /// The numbers of the towers; `None` where this release does not know the model type.
    ///
    /// The table of a built-in model has a row for each id of `tokenizer`, which travels with it.
    pub(crate) fn config(&self, tokenizer: &Tokenizer) -> Option<ClipConfig> {
        let found = registry::model_type(&self.model_type)?;
        let (size, length) = (self.picture.size as usize, self.text.context_length);
        if let Some(numbers) = &self.radio {
            return Some(numbers.config(size, length));
        }
        let mut config = found.config.with_activation(self.activation);
        config.vision = config.vision.with_image_size(size);
        config.text.context_length = length;
        if found.family == Family::BuiltIn {
            let ids = tokenizer.largest_id() as usize + 1;
            config.text.vocab_size = config.text.vocab_size.max(ids);
        }
        Some(config)
    }

    /// What the model type shares with others.
    pub(crate) fn family(&self) -> Family {
        registry::model_type(&self.model_type).map_or(Family::BuiltIn, |found| found.family)
    }

    /// Patches that a picture is cut into, at most.
    pub(crate) fn patches(&self, patch_size: usize) -> usize {
        match self.picture.resize {
            ResizeMode::PatchBudget { budget, .. } => budget as usize,
            _ => (self.picture.size as usize / patch_size).pow(2),
        }
    }

    /// Fails on what no model of this program has, whatever a file or its arguments say.
    pub(crate) fn check(&self, tokenizer: &Tokenizer) -> Result<(), String> {
        self.picture.check()?;
        if let Some(numbers) = &self.radio {
            numbers.check()?;
        }
        if (self.family() == Family::Radio) != self.radio.is_some() {
            return Err(format!(
                "`{}` and the numbers of C-RADIO exclude each other",
                self.model_type
            ));
        }
        let Some(config) = self.config(tokenizer) else {
            return Err(format!("model type `{}` is not in this release", self.model_type));
        };
        config.check().map_err(|error| error.to_string())?;
        let (size, patch) = (self.picture.size as usize, config.vision.patch_size());
        let fits = match (&config.vision, self.picture.resize) {
            (TowerConfig::Naflex(_), ResizeMode::PatchBudget { patch: cut, .. }) => {
                cut as usize == patch
            }
            (TowerConfig::Naflex(_), _) | (_, ResizeMode::PatchBudget { .. }) => false,
            (TowerConfig::Radio(_), _) => size.is_multiple_of(patch),
            (TowerConfig::Vit(_), _) => true,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("pictures of {size} pixels do not fit patches of {patch}")),
        }
    }

    /// One line of JSON, keys in the order of the fields.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a recipe is plain data")
    }
}

/// Metadata of a checkpoint: recipe, tokenizer, and the spec without paths.
pub(crate) fn metadata(
    recipe: &Recipe,
    tokenizer: &Tokenizer,
    spec: String,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (RECIPE.to_owned(), recipe.to_json()),
        (TOKENIZER.to_owned(), BASE64.encode(tokenizer.to_bytes())),
        (SPEC.to_owned(), spec),
    ])
}

/// Metadata of a graph: the recipe, and which tokenizer lies beside it.
pub(crate) fn onnx_metadata(recipe: &Recipe, tokenizer: &Tokenizer) -> Vec<(String, String)> {
    vec![
        (RECIPE.to_owned(), recipe.to_json()),
        (TOKENIZER_DIGEST.to_owned(), tokenizer.digest().to_owned()),
    ]
}

/// What a file of an export says about itself, with its tokenizer from the first of `places` that has it.
pub(crate) fn of_export(
    account: &Account,
    places: &[PathBuf],
) -> Result<(Recipe, Tokenizer), ClipError> {
    let wrong = |reason: String| ClipError::Graph { path: account.path.clone(), reason };
    let recipe = account.metadata.get(RECIPE);
    let recipe = recipe.ok_or_else(|| wrong(format!("`{RECIPE}` is not in its metadata")))?;
    let recipe: Recipe = serde_json::from_str(recipe).map_err(|error| wrong(error.to_string()))?;
    recipe.text.check().map_err(wrong)?;
    let there: Vec<&PathBuf> = places.iter().filter(|place| place.exists()).collect();
    if there.is_empty() {
        return Err(wrong(format!("its tokenizer is not at {}", listed(places))));
    }
    let needed = account.metadata.get(TOKENIZER_DIGEST);
    for &place in &there {
        let tokenizer = match Tokenizer::load(place, recipe.text.clone()) {
            // What lies there by chance may be of any kind.
            Err(_) if there.len() > 1 => continue,
            loaded => loaded?,
        };
        if needed.is_none_or(|needed| needed == tokenizer.digest()) {
            recipe.check(&tokenizer).map_err(wrong)?;
            return Ok((recipe, tokenizer));
        }
    }
    Err(wrong(match there.as_slice() {
        [one] => format!("{} is another model's tokenizer", one.display()),
        several => format!("{} are tokenizers of other models", listed(several)),
    }))
}

fn listed(paths: &[impl AsRef<Path>]) -> String {
    let shown = paths.iter().map(|path| path.as_ref().display().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

/// What a checkpoint of Hearth says about itself; `None` for a file of another origin.
pub(crate) fn read(file: &WeightsFile) -> Result<Option<(Recipe, Tokenizer)>, ClipError> {
    let metadata = file.metadata();
    let Some(recipe) = metadata.get(RECIPE) else { return Ok(None) };
    let damaged = |reason: String| ClipError::Recipe { path: file.path().to_owned(), reason };

    let recipe: Recipe =
        serde_json::from_str(recipe).map_err(|error| damaged(error.to_string()))?;
    recipe.text.check().map_err(damaged)?;
    let tokenizer =
        metadata.get(TOKENIZER).ok_or_else(|| damaged(format!("`{TOKENIZER}` is missing")))?;
    let bytes = BASE64.decode(tokenizer).map_err(|error| damaged(error.to_string()))?;
    let tokenizer = Tokenizer::from_bytes(file.path(), &bytes, recipe.text.clone())?;
    Ok(Some((recipe, tokenizer)))
}
