//! Which files of a repository are needed: the weights, and what a model is read with.

use std::path::{Path, PathBuf};

use crate::{error::WeightsError, folder};

/// What is taken as the weights, best first.
const WEIGHTS: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
];

/// Kinds of files that belong to the weights. Of each kind the first ones of its list say all that
/// is needed; see [`replaced`].
pub(super) const COMPANIONS: [&[&str]; 2] = [
    &["config.json", "open_clip_config.json", "preprocessor_config.json"],
    &[
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
        "merges.txt",
        "vocab.txt",
    ],
];

/// What looking for the weights gave.
pub(super) enum Choice {
    /// The file to open.
    Found(PathBuf),
    /// Missing: one file, or all of which one would have done.
    Lacks(Vec<String>),
}

/// Finds the weights, or the one file that is meant, through `get`: it answers where a file of the
/// repository lies, or that there is none.
pub(super) fn weights<E: From<WeightsError>>(
    file: Option<&str>,
    get: &mut impl FnMut(&str) -> Result<Option<PathBuf>, E>,
) -> Result<Choice, E> {
    let candidates = file.map_or(WEIGHTS.to_vec(), |file| vec![file]);
    for candidate in &candidates {
        let Some(path) = get(candidate)? else { continue };
        if folder::is_index(&path) {
            // Plain names only: an index comes from outside.
            for shard in folder::shard_names(&path)? {
                let shard = beside(Some(candidate), &shard);
                if get(&shard)?.is_none() {
                    return Ok(Choice::Lacks(vec![shard]));
                }
            }
        }
        return Ok(Choice::Found(path));
    }
    Ok(Choice::Lacks(candidates.into_iter().map(str::to_owned).collect()))
}

/// The name of a companion, which lies where the file that is meant lies.
pub(super) fn beside(file: Option<&str>, companion: &str) -> String {
    match file.and_then(|file| Path::new(file).parent()).and_then(Path::to_str) {
        Some("") | None => companion.to_owned(),
        Some(folder) => format!("{folder}/{companion}"),
    }
}

/// A `tokenizer.json` says all that the files of a vocabulary say.
pub(super) fn is_needed(companion: &str, has_tokenizer: bool) -> bool {
    !(has_tokenizer && matches!(companion, "vocab.json" | "merges.txt" | "vocab.txt"))
}
