//! Text as Python sees it: reading files, white space, cleaning as open_clip does.

pub(crate) mod clean;
mod entities;

use std::path::Path;

use crate::decode::read_bytes;
use crate::error::DataError;

/// Text files above this size are a mistake: a list of ten million names is smaller.
const LARGEST_FILE: u64 = 1 << 30;

/// Reads a UTF-8 file; a byte order mark at the start is not part of the text.
pub(crate) fn read(path: &Path) -> Result<String, DataError> {
    read_limited(path, LARGEST_FILE)
}

/// As [`read`], for files of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<String, DataError> {
    decoded(read_bytes(path, limit)?)
        .map_err(|line| DataError::NotUtf8 { path: path.to_owned(), line })
}

/// UTF-8 without a byte order mark; the error is the first line that is something else.
pub(crate) fn decoded(bytes: Vec<u8>) -> Result<String, usize> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        1 + valid.iter().filter(|&&byte| byte == b'\n').count()
    })?;
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}

/// White space as Python's `str.strip` and `str.split` see it: Unicode's, and four separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `str.strip`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `" ".join(text.split())`.
pub(crate) fn collapse_space(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// The lines of a text without their ends, as Python's text files give them: `\n`, `\r\n`, `\r`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    // A `\r\n` gives an empty line in between; the callers skip empty lines anyway.
    text.split(['\n', '\r'])
}

/// Windows-1252; bytes that it does not assign stay the control characters of Latin-1.
fn windows_1252(byte: u8) -> char {
    const FROM_0X80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => FROM_0X80[usize::from(byte) - 0x80],
        _ => char::from(byte),
    }
}
