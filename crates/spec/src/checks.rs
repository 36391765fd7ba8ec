//! Rules between keys: what a family of models adds to the rules of single keys, with the same places and wording.

use std::fmt::Display;

use serde_json::Value as Json;

use crate::{
    block::Block,
    diagnostic::{Diagnostic, Diagnostics, Severity},
    document::Document,
    key::{Key, State},
    source::clip,
    suggest::nearest_word,
};

/// Collects errors and warnings about a document.
pub struct Checks<'a> {
    document: &'a Document,
    found: Vec<Diagnostic>,
}

impl<'a> Checks<'a> {
    pub(crate) fn new(document: &'a Document) -> Self {
        Self { document, found: Vec::new() }
    }

    /// The document under check.
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// "found .., needed ..": the spec is refused.
    pub fn error(&mut self, key: &str, found: impl Display, needed: impl Display) -> &mut Self {
        self.refuse(key, format!("found {found}, needed {needed}"))
    }

    /// An error in words of its own.
    pub fn refuse(&mut self, key: &str, message: impl Into<String>) -> &mut Self {
        self.add(Severity::Error, key, message.into())
    }

    /// The user should know; the spec is used.
    pub fn warn(&mut self, key: &str, message: impl Into<String>) -> &mut Self {
        self.add(Severity::Warning, key, message.into())
    }

    /// What to do about the last error or warning.
    pub fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        if let Some(last) = self.found.last_mut() {
            last.hints.push(text.into());
        }
        self
    }

    /// Hints at the word of `known` that is nearest to `found`, if one is near.
    pub fn suggest(&mut self, found: &str, known: &[&str]) -> &mut Self {
        match nearest_word(found, known.iter().copied()) {
            Some(word) => self.hint(format!("did you mean `{word}`?")),
            None => self,
        }
    }

    /// An action cannot go on without `key`; `purpose` says what it is needed for.
    pub fn require(&mut self, key: &str, purpose: &str) -> &mut Self {
        match self.document.node(key) {
            Some(node) if !node.is_missing() && !node.is_unset() => self,
            _ => self.refuse(key, format!("not set, needed {purpose}")),
        }
    }

    /// Applies the definition's own rules to the blocks that an action uses: mandatory values must be there,
    /// refused ones must not, and accepted ones without effect are told. `blocks` are dotted keys.
    pub fn blocks<B: Block>(&mut self, spec: &B, blocks: &[&str]) -> &mut Self {
        self.walk(B::keys(), &Json::Object(spec.to_map()), "", blocks);
        self
    }

    /// The warnings, or everything if there is an error.
    pub fn into_result(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let sorted = Diagnostics::sorted(self.found);
        if sorted.errors().next().is_some() { Err(sorted) } else { Ok(sorted.0) }
    }

    fn add(&mut self, severity: Severity, key: &str, message: String) -> &mut Self {
        let origin = self.document.origin(key);
        self.found.push(self.document.source.diagnostic(severity, origin, key, message));
        self
    }

    fn walk(&mut self, keys: &[Key], values: &Json, parent: &str, blocks: &[&str]) {
        for key in keys {
            let path = match parent {
                "" => key.name.to_owned(),
                parent => format!("{parent}.{}", key.name),
            };
            let used = is_inside(&path, blocks);
            if !used && !blocks.iter().any(|block| is_inside(block, &[&path])) {
                continue;
            }
            let value = &values[key.name];
            if used {
                self.state(key, value, &path);
            }
            match (key.kind.keys(), value) {
                (Some(keys), Json::Array(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        let path = format!("{path}[{at}]");
                        let blocks = if used { &[path.as_str()][..] } else { blocks };
                        self.walk(keys, item, &path, blocks);
                    }
                }
                (Some(keys), value) => self.walk(keys, value, &path, blocks),
                (None, _) => {}
            }
        }
    }

    fn state(&mut self, key: &Key, value: &Json, path: &str) {
        let node = self.document.node(path);
        let is_block = key.kind.keys().is_some() && value.is_object();
        let missing = node.is_some_and(|node| node.is_missing());
        if missing || (key.is_mandatory() && *value == key.default) {
            self.refuse(path, format!("no value, needed {}", key.needed()));
            return;
        }
        if let Some(found) = node.and_then(|node| empty_front(node.text()?, value.as_str()?)) {
            self.error(path, found, "a folder there");
        }
        let unset = value.is_null() || *value == "";
        let changed = *value != key.default && !unset;
        match &key.state {
            State::Refused { why, hint } if changed => {
                let default = shown(&key.default);
                self.error(path, shown(value), format!("{default}: {why}")).hint(*hint);
            }
            State::Notice { text, switch } => {
                let on = switch.is_none_or(|switch| value[switch] != false);
                if on && if is_block { node.is_some() } else { changed } {
                    self.warn(path, *text);
                }
            }
            _ => {}
        }
    }
}

/// `${results_dir}/x` that became `/x`: nobody means the root of the file system.
fn empty_front(written: &str, value: &str) -> Option<String> {
    let (front, rest) = written.split_once("}/")?;
    let is_empty = front.starts_with("${") && value.strip_prefix('/') == Some(rest);
    is_empty.then(|| format!("an empty `{}}}` in front of `/{}`", clip(front), clip(rest)))
}

/// Whether `path` is one of `blocks` or lies in one.
fn is_inside(path: &str, blocks: &[&str]) -> bool {
    blocks.iter().any(|block| {
        path.strip_prefix(block).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => "no value".into(),
        Json::String(text) if text.is_empty() => "no value".into(),
        Json::String(text) => format!("`{}`", clip(text)),
        Json::Array(items) if items.is_empty() => "an empty list".into(),
        Json::Array(items) => format!("a list of {}", items.len()),
        other => format!("`{other}`"),
    }
}
