//! The grammar of `${...}`: what a text with interpolations is made of.

use crate::{source::clip, tree::KeyPath, yaml::MAX_DEPTH};

/// What a text is made of.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// `${a.b}`: absolute with 0 points in front; `up` points climb `up` mappings.
    Key {
        up: usize,
        path: KeyPath,
        shown: String,
    },
    Variable {
        name: String,
        default: Option<Fallback>,
        shown: String,
    },
}

#[derive(Debug, PartialEq)]
pub(super) enum Fallback {
    Null,
    Text(Vec<Part>),
}

/// Splits a text at its `${...}`. As in OmegaConf `\${` is a literal `${`, and `\\${` a backslash in front of one.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        literal.push_str(&before[..before.len() - backslashes.div_ceil(2)]);
        if backslashes % 2 == 1 {
            literal.push_str("${");
            rest = &from[2..];
            continue;
        }
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        let end = closing_brace(from)
            .ok_or_else(|| format!("found `{}` without its `}}`", clip(from)))?;
        parts.push(expression(&from[2..end], &from[..=end])?);
        rest = &from[end + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() || parts.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}

/// The index of the `}` that closes the `${` at the start of `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => open += 1,
            '}' if open == 1 => return Some(at),
            '}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_DEPTH {
            return None;
        }
    }
    None
}

/// The inside of `${...}`.
fn expression(inner: &str, shown: &str) -> Result<Part, String> {
    let inner = inner.trim();
    let shown = clip(shown);
    if let Some((resolver, arguments)) = inner.split_once(':') {
        return match resolver.trim() {
            "oc.env" => variable(arguments, shown),
            other => Err(format!(
                "found `${{{}:..}}`, needed `${{key}}`, `${{oc.env:NAME,default}}` or the value itself",
                clip(other)
            )),
        };
    }
    let up = inner.len() - inner.trim_start_matches('.').len();
    let path = KeyPath::parse(&inner[up..])
        .filter(|_| !inner.contains(['$', '{', '}', ' ']))
        .ok_or_else(|| format!("found `{shown}`, needed the name of a key: `${{a.b}}`"))?;
    Ok(Part::Key { up, path, shown })
}

fn variable(arguments: &str, shown: String) -> Result<Part, String> {
    let (name, default) = match arguments.split_once(',') {
        Some((name, default)) => (name, Some(default.trim())),
        None => (arguments, None),
    };
    let name = name.trim().to_owned();
    if name.is_empty() || name.contains(['$', '{', '}', ' ', '\'', '"', '=', '\0']) {
        return Err(format!("found `{shown}`, needed `${{oc.env:NAME}}`"));
    }
    let default = match default {
        None => None,
        Some("null") => Some(Fallback::Null),
        Some(text) => Some(Fallback::Text(default_text(text, &shown)?)),
    };
    Ok(Part::Variable { name, default, shown })
}

fn default_text(text: &str, shown: &str) -> Result<Vec<Part>, String> {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner
                .strip_suffix(quote)
                .map(|inner| vec![Part::Text(inner.to_owned())])
                .ok_or_else(|| format!("found `{shown}`, needed a default that ends in {quote}"));
        }
    }
    parse(text)
}

/// Calls `see` with every environment variable of a part, those of defaults included.
pub(super) fn variables(part: &Part, see: &mut dyn FnMut(&str)) {
    if let Part::Variable { name, default, .. } = part {
        see(name);
        if let Some(Fallback::Text(parts)) = default {
            parts.iter().for_each(|part| variables(part, see));
        }
    }
}
