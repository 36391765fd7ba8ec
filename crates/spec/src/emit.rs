//! A spec as YAML text, laid out as PyYAML does and safe for YAML 1.1 and 1.2 readers alike.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::{Number, Value as Json};

use crate::{
    block::Block,
    scalar::{Scalar, resolve_plain},
    tree::MISSING,
};

/// The whole spec in the order of its definition; mandatory values that are not set are `???`.
pub fn to_yaml<B: Block>(block: &B) -> String {
    let mut out = String::new();
    mapping(&mut out, &block.to_map(), 0);
    out
}

/// `${` as text, with the backslash that keeps it from being an interpolation.
fn literal(text: &str) -> Cow<'_, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let backslashes = rest[..at].len() - rest[..at].trim_end_matches('\\').len();
        out.push_str(&rest[..at]);
        out.push_str(&"\\".repeat(backslashes + 1));
        out.push_str("${");
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn mapping(out: &mut String, map: &serde_json::Map<String, Json>, indent: usize) {
    for (at, (key, value)) in map.iter().enumerate() {
        // The first line of a list's item stands behind its dash.
        if at > 0 || !out.ends_with("- ") {
            let _ = write!(out, "{:indent$}", "");
        }
        text(out, key);
        out.push(':');
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, indent + 2);
            }
            Json::Array(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, indent);
            }
            value => {
                out.push(' ');
                leaf(out, value);
            }
        }
    }
}

fn list(out: &mut String, items: &[Json], indent: usize) {
    for item in items {
        let _ = write!(out, "{:indent$}- ", "");
        match item {
            Json::Object(inner) if !inner.is_empty() => mapping(out, inner, indent + 2),
            value => leaf(out, value),
        }
    }
}

fn leaf(out: &mut String, value: &Json) {
    match value {
        Json::String(value) => text(out, &literal(value)),
        value => scalar(out, value),
    }
    out.push('\n');
}

/// Anything on one line.
pub(crate) fn scalar(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(value) => number(out, value),
        Json::String(value) => text(out, value),
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                scalar(out, item);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                text(out, key);
                out.push_str(": ");
                scalar(out, value);
            }
            out.push('}');
        }
    }
}

/// Numbers as Python prints them; `1.0e-06` has the point that YAML 1.1 asks for.
fn number(out: &mut String, value: &Number) {
    let Some(float) = value.as_f64().filter(|_| value.is_f64()) else {
        let _ = write!(out, "{value}");
        return;
    };
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let point = if float.fract() == 0.0 { ".0" } else { "" };
        let _ = write!(out, "{float}{point}");
    } else {
        let point = if mantissa.contains('.') { "" } else { ".0" };
        let sign = if power < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}{point}e{sign}{:02}", power.abs());
    }
}

fn text(out: &mut String, text: &str) {
    let printable = |c: char| !c.is_control() && !"\u{feff}\u{2028}\u{2029}\u{85}".contains(c);
    if !text.chars().all(printable) {
        double_quoted(out, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

/// Whether a text may stand without quotes, also in `[]` and `{}`, and comes back as a text.
fn is_plain(text: &str) -> bool {
    let resolves = resolve_plain(text) == Scalar::Text && !looks_like_1_2(text);
    let starts = !text
        .starts_with(['-', '?', ':', '!', '&', '*', '|', '>', '%', '@', '`', '=', '~', '<', ' '])
        || text == MISSING;
    let inside = !text.contains(['#', '\'', '"', '{', '}', '[', ']', ',', '\\'])
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.starts_with("...");
    resolves && starts && inside
}

/// Words and numbers that only the other YAML version, or another reader, takes for something else.
fn looks_like_1_2(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(lower.as_str(), "y" | "n" | "null" | "true" | "false" | "yes" | "no" | "on" | "off")
        || text.starts_with(|c: char| c.is_ascii_digit() || "+.".contains(c))
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c))
            && text.contains(|c: char| c.is_ascii_digit())
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || "\u{feff}\u{2028}\u{2029}".contains(c) => {
                let _ = match u32::from(c) {
                    code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                    code => write!(out, "\\u{code:04x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: impl Into<Json>, expected: &str) {
        let mut out = String::new();
        scalar(&mut out, &value.into());
        assert_eq!(out, expected);
    }

    #[test]
    fn scalars_as_python_writes_them() {
        check(1e-6, "1.0e-06");
        check(1.5e-7, "1.5e-07");
        check(1e-4, "0.0001");
        check(1.0, "1.0");
        check(-10.0, "-10.0");
        check(1e16, "1.0e+16");
        check(123456.75, "123456.75");
        check(0.0, "0.0");
        check(-1, "-1");
        check("", "''");
        check("???", "???");
        check("TAO Toolkit", "TAO Toolkit");
        check(".txt", ".txt");
        check("yes", "'yes'");
        check("y", "'y'");
        check("010", "'010'");
        check("1e5", "'1e5'");
        check("0o17", "'0o17'");
        check("2024-01-01", "'2024-01-01'");
        check("it's", "'it''s'");
        check("a: b", "'a: b'");
        check("/data/a b", "/data/a b");
        check("- a", "'- a'");
        check("a\nb", "\"a\\nb\"");
        check("\u{1b}[31m", "\"\\x1b[31m\"");
    }
}
