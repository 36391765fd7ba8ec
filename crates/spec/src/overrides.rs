//! Overrides of the command line: `a.b=value`, `+a.b=value`, `~a.b`, and the grammar of their values.

use std::sync::Arc;

use crate::{
    diagnostic::Diagnostic,
    source::{Source, clip},
    tree::{Content, Entry, KeyPath, Map, Node, Origin, Segment},
    yaml::{MAX_BYTES, MAX_DEPTH, describe},
};

/// One `~key` of the command line; whether the key exists is known once a spec is read.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) path: KeyPath,
    pub(crate) origin: Origin,
}

/// Applies all overrides in their order; each that cannot be applied is a problem by itself.
pub(crate) fn apply(
    source: &Arc<Source>,
    root: &mut Node,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Deletion> {
    let mut deletions = Vec::new();
    for (at, text) in source.overrides.iter().enumerate() {
        let origin = Origin::Override(at);
        match apply_one(root, text, origin) {
            Ok(None) => {}
            Ok(Some(deletion)) => deletions.push(deletion),
            Err(message) => problems.push(source.error(origin, "", message)),
        }
    }
    deletions
}

fn apply_one(root: &mut Node, text: &str, origin: Origin) -> Result<Option<Deletion>, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("found {} bytes, an override has at most {MAX_BYTES}", text.len()));
    }
    if let Some(key) = text.strip_prefix('~') {
        let path = parse_key(key.split('=').next().unwrap_or(key))?;
        delete(root, &path);
        return Ok(Some(Deletion { path, origin }));
    }
    let Some((key, value)) = text.split_once('=') else {
        return Err("found no `=`, needed `key=value` or `~key`".into());
    };
    let path = parse_key(key.trim_start_matches('+'))?;
    let value = parse_value(value, origin)?;
    set(root, &path, value, origin).map(|()| None)
}

fn parse_key(text: &str) -> Result<KeyPath, String> {
    if text.trim().is_empty() {
        return Err("found no key, needed one such as `train.num_epochs`".into());
    }
    let path = KeyPath::parse(text.trim());
    let path = path.ok_or_else(|| {
        format!("found the key `{}`, needed names joined by points: `train.num_epochs`", clip(text))
    })?;
    if path.0.len() > MAX_DEPTH {
        return Err(format!("found a key of more than {MAX_DEPTH} levels"));
    }
    Ok(path)
}

/// Puts `value` at `path`, making mappings on the way. A mapping is merged into one that is there.
fn set(root: &mut Node, path: &KeyPath, value: Node, origin: Origin) -> Result<(), String> {
    let mut node = root;
    let mut walked = KeyPath::default();
    for segment in &path.0 {
        let length = match &node.content {
            Content::List(items) => Some(items.len()),
            _ => None,
        };
        node = member(node, segment, origin).ok_or_else(|| match length {
            Some(length) => format!("`{walked}` is a list of {length}, needed one of its indices"),
            None => format!("`{walked}` is not a list, needed a key"),
        })?;
        walked.0.push(segment.clone());
    }
    merge_into(node, value);
    Ok(())
}

/// An item of a list, or the value of a key in `node`, which becomes a mapping if it is neither.
fn member<'a>(node: &'a mut Node, segment: &Segment, origin: Origin) -> Option<&'a mut Node> {
    if !matches!(node.content, Content::Map(_) | Content::List(_)) {
        *node = Node::new(Content::Map(Map::default()), origin);
    }
    match (&mut node.content, segment) {
        (Content::List(items), segment) => items.get_mut(segment.index()?),
        (Content::Map(map), Segment::Key(key)) => {
            if map.get(key).is_none() {
                let empty = Node::new(Content::Null, origin);
                map.insert(Entry { key: key.clone(), key_origin: origin, node: empty });
            }
            map.get_mut(key)
        }
        _ => None,
    }
}

fn merge_into(node: &mut Node, value: Node) {
    let Content::Map(new) = &value.content else {
        *node = value;
        return;
    };
    let Content::Map(old) = &mut node.content else {
        *node = value;
        return;
    };
    for entry in new.iter() {
        match old.get_mut(&entry.key) {
            Some(there) => merge_into(there, entry.node.clone()),
            None => old.insert(entry.clone()),
        }
    }
}

fn delete(root: &mut Node, path: &KeyPath) {
    let Some((Segment::Key(last), parents)) = path.0.split_last() else {
        return;
    };
    let mut node = root;
    for segment in parents {
        if node.child(segment).is_none() {
            return;
        }
        let Some(next) = member(node, segment, Origin::Nowhere) else { return };
        node = next;
    }
    if let Content::Map(map) = &mut node.content {
        map.remove(last);
    }
}

/// Reads the value of an override: a scalar, `'quoted'`, `[a, b]`, `{a: 1, b: 2}`, or nothing.
pub(crate) fn parse_value(text: &str, origin: Origin) -> Result<Node, String> {
    let mut reader = ValueReader { text, at: 0, origin };
    reader.skip_spaces();
    if reader.rest().is_empty() {
        return Ok(Node::quoted(String::new(), origin));
    }
    let node = reader.value(&[], 0)?;
    reader.skip_spaces();
    match reader.rest() {
        "" => Ok(node),
        rest => Err(format!("found `{}` after {}, needed its end", clip(rest), describe(&node))),
    }
}

struct ValueReader<'a> {
    text: &'a str,
    at: usize,
    origin: Origin,
}

impl<'a> ValueReader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_spaces();
        let taken = self.rest().starts_with(token);
        self.at += if taken { token.len_utf8() } else { 0 };
        taken
    }

    /// One value; a plain scalar ends before any of `ends`.
    fn value(&mut self, ends: &[char], depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("found more than {MAX_DEPTH} levels of nesting"));
        }
        if self.take('[') {
            self.list(depth)
        } else if self.take('{') {
            self.map(depth)
        } else if let Some(quote @ ('\'' | '"')) = self.rest().chars().next() {
            self.quoted(quote)
        } else {
            self.plain(ends).map(|text| Node::plain(text, self.origin))
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        let mut items = Vec::new();
        while !self.take(']') {
            if self.rest().is_empty() {
                return Err("found the end inside a list, needed `]`".into());
            }
            items.push(self.value(&[',', ']'], depth + 1)?);
            self.between(']')?;
        }
        Ok(Node::new(Content::List(items), self.origin))
    }

    fn map(&mut self, depth: usize) -> Result<Node, String> {
        let mut map = Map::default();
        while !self.take('}') {
            if self.rest().is_empty() {
                return Err("found the end inside a mapping, needed `}`".into());
            }
            let key_node = self.value(&[':', ',', '}'], MAX_DEPTH)?;
            let key = key_node.text().filter(|key| !key.is_empty()).map(str::to_owned);
            let key = key.ok_or_else(|| format!("found {} as a key", describe(&key_node)))?;
            if !self.take(':') {
                return Err(format!("found `{}` without a value, needed `:`", clip(&key)));
            }
            self.skip_spaces();
            let node = self.value(&[',', '}'], depth + 1)?;
            if map.get(&key).is_some() {
                return Err(format!("found the key `{}` twice", clip(&key)));
            }
            map.insert(Entry { key, key_origin: self.origin, node });
            self.between('}')?;
        }
        Ok(Node::new(Content::Map(map), self.origin))
    }

    /// After an item: a comma, or the closing bracket, which stays.
    fn between(&mut self, close: char) -> Result<(), String> {
        if self.take(',') || self.rest().starts_with(close) {
            return Ok(());
        }
        match self.rest() {
            "" => Err(format!("found the end, needed `{close}`")),
            rest => Err(format!("found `{}`, needed `,` or `{close}`", clip(rest))),
        }
    }

    /// A backslash stands before a quote of the same kind, or before a backslash.
    fn quoted(&mut self, quote: char) -> Result<Node, String> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next_if(|&(_, next)| next == quote || next == '\\') {
                    Some((_, escaped)) => text.push(escaped),
                    None => text.push('\\'),
                },
                c if c == quote => {
                    self.at += at + quote.len_utf8();
                    return Ok(Node::quoted(text, self.origin));
                }
                c => text.push(c),
            }
        }
        Err(format!("found the end inside a text, needed `{quote}`"))
    }

    /// Up to one of `ends` outside `${...}`, without the spaces around.
    fn plain(&mut self, ends: &[char]) -> Result<String, String> {
        let rest = self.rest();
        let mut braces = 0usize;
        let mut end = rest.len();
        for (at, character) in rest.char_indices() {
            match character {
                '{' if rest[..at].ends_with('$') => braces += 1,
                '}' if braces > 0 => braces -= 1,
                c if braces == 0 && ends.contains(&c) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        if braces > 0 {
            return Err("found `${` without `}`".into());
        }
        self.at += end;
        Ok(rest[..end].trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.content {
            Content::Null => "null".into(),
            Content::Broken => "broken".into(),
            Content::Scalar { text, quoted: false } => text.clone(),
            Content::Scalar { text, quoted: true } => format!("{text:?}"),
            Content::List(items) => {
                format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            Content::Map(map) => {
                let entries: Vec<_> =
                    map.iter().map(|e| format!("{}: {}", e.key, shown(&e.node))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match parse_value(text, Origin::Override(0)) {
            Ok(node) => shown(&node),
            Err(message) => message,
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_of_overrides() {
        check("", "\"\"");
        check("  ", "\"\"");
        check("5", "5");
        check(" 1e-4 ", "1e-4");
        check("null", "null");
        check("/data/a b:c", "/data/a b:c");
        check("a=b,c", "a=b,c");
        check("'x, ]'", "\"x, ]\"");
        check("\"it's\"", "\"it's\"");
        check(r"'it\'s \\ \n'", r#""it's \\ \\n""#);
        check("[]", "[]");
        check("[0, 1,2,]", "[0, 1, 2]");
        check("[[1,2], {a: b}]", "[[1, 2], {a: b}]");
        check("{image_dir: /a, caption_dir:/b:c}", "{image_dir: /a, caption_dir: /b:c}");
        check("[${a.b}, ${oc.env:X,1}]", "[${a.b}, ${oc.env:X,1}]");
        check("{a: ${b}}", "{a: ${b}}");
        check("[a b, , c]", "[a b, null, c]");
    }

    #[test]
    fn wrong_values_say_what_is_missing() {
        check("[0, 1", "found the end, needed `]`");
        check("[0, 1,", "found the end inside a list, needed `]`");
        check("{a: 1", "found the end, needed `}`");
        check("{a}", "found `a` without a value, needed `:`");
        check("{a: 1, a: 2}", "found the key `a` twice");
        check("'abc", "found the end inside a text, needed `'`");
        check("[1] 2", "found `2` after a list of 1, needed its end");
        check("'a'b", "found `b` after `a`, needed its end");
        check("['a' b]", "found `b]`, needed `,` or `]`");
        check("${a", "found `${` without `}`");
        check(&"[".repeat(100), "found more than 64 levels of nesting");
    }
}
