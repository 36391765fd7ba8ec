//! A spec may repeat what a checkpoint says of itself, but not contradict it.

use std::path::Path;

use hearth_data::{tokenizer::Tokenizer, transform::ResizeMode};
use hearth_spec::{Checks, Document};

use crate::{error::ClipError, radio::Adaptor, recipe::Recipe, registry::Family, spec::ClipSpec};

/// Fails with everything that a spec says otherwise than the checkpoint with this recipe.
pub(super) fn check(
    document: &Document,
    spec: &ClipSpec,
    recipe: &Recipe,
    tokenizer: &Tokenizer,
) -> Result<(), ClipError> {
    let mut checks = document.check();
    let written = |key: &str| document.is_written(key);
    if written("model.type") && spec.model.kind != recipe.model_type {
        differs(
            &mut checks,
            "model.type",
            format!("`{}`", spec.model.kind),
            &format!("`{}`", recipe.model_type),
        );
    }
    if written("model.canonicalize_text")
        && spec.model.canonicalize_text != recipe.text.canonicalize
    {
        let found = spec.model.canonicalize_text.to_string();
        let needed = recipe.text.canonicalize.to_string();
        differs(&mut checks, "model.canonicalize_text", found, &needed);
    }
    let adaptor = spec.model.adaptor_name.as_deref();
    if let (Some(name), Some(numbers)) = (adaptor, &recipe.radio)
        && Adaptor::parse(name).is_some_and(|asked| asked != numbers.adaptor)
    {
        let needed = format!("that of the teacher `{}`", numbers.teacher);
        differs(&mut checks, "model.adaptor_name", format!("`{name}`"), &needed);
    }
    pictures(&mut checks, document, spec, recipe);
    if let Some(path) = &spec.hearth.model.tokenizer {
        let other = Tokenizer::load(Path::new(path), recipe.text.clone())?;
        if other.digest() != tokenizer.digest() {
            let needed = "the checkpoint's own tokenizer";
            checks
                .error("hearth.model.tokenizer", format!("`{path}`"), needed)
                .hint("leave this key out: the checkpoint holds its tokenizer");
        }
    }
    checks.into_result()?;
    Ok(())
}

/// The key that decides the input's size: of squares, or of patches.
fn pictures(checks: &mut Checks<'_>, document: &Document, spec: &ClipSpec, recipe: &Recipe) {
    let (key, found, needed) = match recipe.picture.resize {
        ResizeMode::PatchBudget { budget, .. } => {
            ("hearth.model.max_num_patches", spec.hearth.model.max_num_patches, budget)
        }
        ResizeMode::Squash | ResizeMode::ShortestSideThenCrop => {
            ("model.image_size", spec.model.image_size, recipe.picture.size)
        }
    };
    // The name of a SigLIP2 type contains its size, TAO ignores the key.
    let ignored = key == "model.image_size" && recipe.family() == Family::SigLip2;
    if document.is_written(key) && found != needed as usize && !ignored {
        differs(checks, key, found.to_string(), &needed.to_string());
    }
}

fn differs(checks: &mut Checks<'_>, key: &str, found: String, needed: &str) {
    checks.error(key, found, format!("{needed}, as in the checkpoint"));
}
