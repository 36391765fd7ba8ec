//! What lies beside an export: the spec with the trained calibration, and the tokenizer.

use std::fs;

use hearth_engine::{FileError, atomic_file};
use hearth_spec::to_yaml;
use serde_json::json;

use super::Files;
use crate::{error::ClipError, exported::TOKENIZER, model::Clip, setup::Setup, spec::ClipSpec};

/// End of its name.
const CONFIG: &str = "_config.yaml";

/// Writes both.
pub(super) fn write(
    spec: &ClipSpec,
    setup: &Setup,
    files: &Files,
    model: &Clip,
) -> Result<(), ClipError> {
    let mut spec = spec.clone();
    let recipe = &setup.recipe;
    spec.model.kind.clone_from(&recipe.model_type);
    spec.model.canonicalize_text = recipe.text.canonicalize;
    spec.model.image_size = recipe.picture.size as usize;
    if let Some(numbers) = &recipe.radio {
        spec.model.adaptor_name = Some(numbers.adaptor.name().to_owned());
    }
    let value = |tensor: burn::tensor::Tensor<1>| f64::from(tensor.into_scalar::<f32>());
    spec.model.init_logit_scale = Some(value(model.logit_scale.val()));
    spec.model.init_logit_bias =
        Some(model.logit_bias.as_ref().map_or(0.0, |bias| value(bias.val())));
    atomic_file::write(&files.beside(CONFIG), to_yaml(&spec).as_bytes())?;

    let folder = files.beside(TOKENIZER);
    fs::create_dir_all(&folder).map_err(FileError::at("create this folder", &folder))?;
    atomic_file::write(&folder.join("tokenizer.json"), &setup.tokenizer.to_json())?;
    let about = json!({
        "model_max_length": recipe.text.context_length,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    let about = serde_json::to_string_pretty(&about).expect("plain values");
    atomic_file::write(&folder.join("tokenizer_config.json"), format!("{about}\n").as_bytes())?;
    Ok(())
}
