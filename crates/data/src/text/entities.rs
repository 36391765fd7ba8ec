//! Character references of HTML, as Python's `html.unescape` and ftfy decode them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::windows_1252;

/// `name;` or, for the few that need no semicolon, `name`; a tab; the characters. From the HTML
/// standard, written by `tests/golden/data.py tables` (`&NewLine;` as a space: it ends as one).
static TABLE: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    include_str!("html_entities.txt").lines().filter_map(|line| line.split_once('\t')).collect()
});

/// Names in capitals for characters that have no such name of their own: `NTILDE;` for `Ñ`.
static CAPITALS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let strict = TABLE.iter().filter(|(name, _)| name.ends_with(';'));
    let lower = strict.filter(|(name, _)| !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    let capitals = lower.map(|(name, text)| (name.to_uppercase(), text.to_uppercase()));
    capitals.filter(|(name, _)| longest_prefix(name).is_none()).collect()
});

/// Characters that a name may have.
const LONGEST_NAME: usize = 32;

/// Letters and digits that ftfy allows between `&` (or `&#`) and `;`.
const LONGEST_STRICT: usize = 24;

/// Decodes as browsers do, also without semicolons: `&amp`, and `&notit;` to `¬it;`.
pub(super) fn unescape(text: &str) -> String {
    replace(text, |reference| {
        let body = &reference[1..];
        if body.starts_with('#') {
            let number = Number::parse(body)?;
            let end = 1 + number.len;
            let semicolon = usize::from(reference[end..].starts_with(';'));
            return Some((number.character(), end + semicolon));
        }
        let (taken, text) = longest_prefix(name(body))?;
        Some((text.to_owned(), 1 + taken))
    })
}

/// Decodes only what is unambiguous: references that end in a semicolon, names in capitals.
pub(super) fn unescape_strict(text: &str) -> String {
    replace(text, |reference| {
        let end = reference.bytes().take(LONGEST_STRICT + 3).position(|byte| byte == b';')?;
        let (body, taken) = (&reference[1..=end], end + 1);
        if body.starts_with('#') {
            let number = Number::parse(body).filter(|number| number.len == body.len() - 1)?;
            return Some((number.character(), taken));
        }
        if body.len() > LONGEST_STRICT + 1 {
            return None;
        }
        let text = TABLE.get(body).copied().or_else(|| CAPITALS.get(body).map(String::as_str))?;
        Some((text.to_owned(), taken))
    })
}

/// Runs `decode` at each `&`; it gives the text, and how many bytes it stands for.
fn replace(text: &str, decode: impl Fn(&str) -> Option<(String, usize)>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        result.push_str(&rest[..start]);
        rest = &rest[start..];
        let (decoded, taken) = decode(rest).unwrap_or_else(|| ("&".to_owned(), 1));
        result.push_str(&decoded);
        rest = &rest[taken..];
    }
    result.push_str(rest);
    result
}

/// The longest name of the table at the start of `name`: its length and its text.
fn longest_prefix(name: &str) -> Option<(usize, &'static str)> {
    let ends = (2..=name.len()).rev().filter(|&end| name.is_char_boundary(end));
    ends.into_iter().find_map(|end| TABLE.get(&name[..end]).map(|text| (end, *text)))
}

/// The start of a reference that may be a name, its semicolon included.
fn name(body: &str) -> &str {
    let is_outside = |c| matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let characters = body.char_indices().take(LONGEST_NAME).take_while(|&(_, c)| !is_outside(c));
    let end = characters.last().map_or(0, |(at, c)| at + c.len_utf8());
    if body[end..].starts_with(';') { &body[..=end] } else { &body[..end] }
}

/// `#1234` or `#x12ab`.
struct Number {
    /// Bytes from `#` to the last digit.
    len: usize,
    /// `None` is above every character.
    value: Option<u32>,
}

impl Number {
    fn parse(body: &str) -> Option<Number> {
        let (radix, start) = match body.as_bytes().get(1)? {
            b'x' | b'X' => (16, 2),
            _ => (10, 1),
        };
        let digits = body[start..].bytes().take_while(|&byte| char::from(byte).is_digit(radix));
        let len = start + digits.count();
        let value = u32::from_str_radix(&body[start..len], radix).ok();
        (len > start).then_some(Number { len, value })
    }

    /// What browsers show for it; nothing for what is no character.
    fn character(&self) -> String {
        let character = match self.value {
            Some(0) => '\u{FFFD}',
            Some(byte @ 0x80..=0x9F) => windows_1252(byte as u8),
            Some(0x01..=0x08 | 0x0B | 0x0E..=0x1F | 0x7F | 0xFDD0..=0xFDEF) => {
                return String::new();
            }
            // The last two of each plane.
            Some(code) if code & 0xFFFE == 0xFFFE && code <= 0x10_FFFF => return String::new(),
            code => code.and_then(char::from_u32).unwrap_or('\u{FFFD}'),
        };
        character.to_string()
    }
}
