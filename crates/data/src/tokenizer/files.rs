//! Finding and reading the files of a vocabulary; all kinds come out as a `tokenizer.json`.

use std::path::{Path, PathBuf};

use super::{LARGEST_FILE, build, problem, unpack};
use crate::decode::read_bytes;
use crate::error::DataError;

/// What a folder is searched for, best first.
const NAMES: [&str; 5] = [
    "tokenizer.json",
    "tokenizer.json.gz",
    "vocab.json",
    "vocab.txt",
    "bpe_simple_vocab_16e6.txt.gz",
];

/// The vocabulary at a path, a file or a folder: a `tokenizer.json`, plain or gzip.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    if !path.is_dir() {
        return read_file(path);
    }
    read_file(&find(path).ok_or_else(|| problem(path, nothing_found(path)))?)
}

fn nothing_found(folder: &Path) -> String {
    let names = NAMES.map(|name| format!("`{name}`")).join(", ");
    let sentence_piece = ["tokenizer.model", "spiece.model"];
    match sentence_piece.iter().find(|name| folder.join(name).is_file()) {
        Some(name) => format!("found `{name}`, which only Python reads, and none of {names}"),
        None => format!("found none of {names}"),
    }
}

/// The best file of a folder.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    NAMES.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// The content tells the kinds apart; a name is needed only for what lies beside it.
fn read_file(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = read_bytes(path, LARGEST_FILE)?;
    let text = text(path, &bytes)?;
    let first_line = text.lines().next().unwrap_or_default();
    let built = if text.trim_start().starts_with('{') {
        if path.file_name().is_none_or(|name| name != "vocab.json") {
            return Ok(bytes);
        }
        let merges = path.with_file_name("merges.txt");
        let merges_text = self::text(&merges, &read_bytes(&merges, LARGEST_FILE)?)?;
        build::clip_of_two_files(&text, &merges_text)
    } else if first_line.contains("#version") {
        build::clip_of_merges(&text)
    } else {
        build::bert(&text)
    };
    built.map_err(|what| problem(path, what))
}

fn text(path: &Path, bytes: &[u8]) -> Result<String, DataError> {
    String::from_utf8(unpack(path, bytes)?)
        .map_err(|_| problem(path, "found bytes that are not UTF-8".to_owned()))
}
