//! From tree to typed values: every key at its place, every problem with its position, none hiding another.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::{
    block::{Block, Value, find_key},
    diagnostic::{Diagnostic, PRINTED},
    emit,
    key::{Key, Kind},
    overrides::Deletion,
    scalar::{Scalar, python_float, python_int},
    source::{Source, clip},
    suggest::{nearest_word, unknown_key_hint},
    tree::{Content, Entry, KeyPath, Map, Node, Origin, Segment},
    yaml::describe,
};

/// Collects the problems of one reading, and knows where it is.
pub struct Reader<'a> {
    source: &'a Arc<Source>,
    root: &'static [Key],
    path: KeyPath,
    /// The key that holds what is being read: collections and null are shown there.
    holder: Origin,
    problems: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        source: &'a Arc<Source>,
        root: &'static [Key],
        problems: Vec<Diagnostic>,
    ) -> Self {
        Self { source, root, path: KeyPath::default(), holder: Origin::Nowhere, problems }
    }

    pub(crate) fn into_problems(self) -> Vec<Diagnostic> {
        self.problems
    }

    /// The value of one key of a block: what `map` says, on top of `default`.
    pub fn value<T: Value>(&mut self, keys: &[Key], name: &str, map: &Map, default: T) -> T {
        let (Some(key), Some(entry)) = (find_key(keys, name), map.entry(name)) else {
            return default;
        };
        self.inside(entry, |reader| match &entry.node.content {
            Content::Broken => default,
            _ if entry.node.is_missing() => default,
            _ => default.merged(reader, &entry.node, key),
        })
    }

    /// A block on top of a default; also reports the keys that it does not know.
    pub(crate) fn block<B: Block>(&mut self, node: &Node, key: &Key, default: B) -> Option<B> {
        match &node.content {
            Content::Map(map) => {
                let block = default.merge(self, map);
                self.unknown_keys(B::keys(), map);
                Some(block)
            }
            // `export:` with every line below it commented out.
            Content::Null if !self.in_list() => Some(default),
            _ => self.wrong(node, key),
        }
    }

    /// The index of the option that the node names.
    pub fn option(&mut self, node: &Node, key: &Key, kind: &Kind) -> Option<usize> {
        let Kind::Options(choices) = kind else { return None };
        let Some(text) = node.text() else { return self.wrong(node, key) };
        let found = choices.iter().position(|choice| choice.is(text));
        if found.is_none() {
            let names = choices.iter().flat_map(|choice| {
                std::iter::once(choice.name).chain(choice.aliases.iter().copied())
            });
            let hint = nearest_word(text, names).map(|word| format!("did you mean `{word}`?"));
            self.wrong_with_hint(node, format!("needed {}", kind.needed(key)), hint);
        }
        found
    }

    /// Reports "found .., needed .." for a node.
    pub(crate) fn wrong<T>(&mut self, node: &Node, key: &Key) -> Option<T> {
        let kind = match key.kind.inner() {
            Kind::List(item) if self.in_list() => item,
            _ => &key.kind,
        };
        let hint = shape_hint(key, kind, node);
        self.wrong_with_hint(node, format!("needed {}", kind.needed(key)), hint);
        None
    }

    fn wrong_with_hint(&mut self, node: &Node, needed: String, hint: Option<String>) {
        let mut found = describe(node);
        if let Some(via) = &node.via {
            found = format!("{found} from `{via}`");
        }
        let origin = if self.in_list() { node.origin } else { node.place(self.holder) };
        self.report(origin, format!("found {found}, {needed}"), hint);
    }

    fn report(&mut self, origin: Origin, message: String, hint: Option<String>) {
        let mut problem = self.source.error(origin, &self.path.to_string(), message);
        problem.hints.extend(hint);
        self.problems.push(problem);
    }

    /// Keys of `map` that are not among `keys`.
    pub(crate) fn unknown_keys(&mut self, keys: &[Key], map: &Map) {
        for entry in map.iter().filter(|entry| find_key(keys, &entry.key).is_none()) {
            // Past what is printed, looking for similar names is wasted.
            let hint = (self.problems.len() < PRINTED)
                .then(|| unknown_key_hint(self.root, &self.path, keys, &entry.key))
                .flatten();
            let path = self.path.join(&entry.key).to_string();
            let mut problem = self.source.error(entry.key_origin, &path, "unknown key".into());
            problem.hints.extend(hint);
            self.problems.push(problem);
        }
    }

    /// `~key` of the command line must at least name a key that exists.
    pub(crate) fn deletions(&mut self, deletions: &[Deletion]) {
        for Deletion { path, origin } in deletions {
            let mut parent = KeyPath::default();
            let mut keys = self.root;
            for segment in &path.0 {
                // The index of an item: its keys are those of the list.
                if let (Segment::Key(name), None) = (segment, segment.index()) {
                    let Some(key) = find_key(keys, name) else {
                        let hint = unknown_key_hint(self.root, &parent, keys, name);
                        self.path = path.clone();
                        self.report(*origin, "unknown key".into(), hint);
                        break;
                    };
                    keys = key.kind.keys().unwrap_or_default();
                }
                parent.0.push(segment.clone());
            }
        }
    }

    fn inside<R>(&mut self, entry: &Entry, read: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push_key(&entry.key);
        let outer = std::mem::replace(&mut self.holder, entry.key_origin);
        let result = read(self);
        self.holder = outer;
        self.path.pop();
        result
    }

    fn in_list(&self) -> bool {
        matches!(self.path.0.last(), Some(Segment::Index(_)))
    }
}

/// The usual slip behind a value of the wrong shape.
fn shape_hint(key: &Key, kind: &Kind, node: &Node) -> Option<String> {
    let number = match node.scalar() {
        Some(Scalar::Float(value)) => Some(value),
        Some(Scalar::Text) => node.text().and_then(python_float),
        _ => None,
    };
    match (kind.inner(), &node.content, number) {
        (Kind::List(item), Content::Map(_), _) if item.keys().is_some() => {
            Some("begin the first line of each entry with `- `".into())
        }
        (Kind::List(_), Content::Scalar { text, .. }, _) if !text.is_empty() => {
            Some(format!("write `[{}]`", clip(text)))
        }
        (Kind::Block(_), Content::Scalar { text, .. }, _) if text.contains(':') => {
            Some("a space stands between the colon and the value".into())
        }
        (Kind::Int, _, Some(value)) if value.fract() == 0.0 && value.abs() < 1e15 => {
            Some(format!("write `{value:.0}`"))
        }
        (Kind::Float, _, Some(value)) if !value.is_finite() => {
            Some("the number must be finite".into())
        }
        (Kind::Block(_), ..) => None,
        (_, Content::Null, _) if !key.is_mandatory() => {
            let mut shown = String::new();
            emit::scalar(&mut shown, &key.default);
            Some(format!("without the key it is `{}`", clip(&shown)))
        }
        _ => None,
    }
}

/// An integer as Python would read it for an integer field: a number, or a text that is one.
fn integer(node: &Node) -> Option<i128> {
    match node.scalar()? {
        Scalar::Int(value) => Some(value),
        Scalar::Text => python_int(node.text()?),
        _ => None,
    }
}

fn read_integer<T: TryFrom<i128>>(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<T> {
    let inside = integer(node).filter(|&value| key.range.contains(value as f64));
    match inside.map(T::try_from) {
        Some(Ok(value)) => Some(value),
        Some(Err(_)) => {
            let needed = format!("needed {} in 64 bits", key.kind.needed(key));
            reader.wrong_with_hint(node, needed, None);
            None
        }
        None => reader.wrong(node, key),
    }
}

impl Value for i64 {
    fn kind() -> Kind {
        Kind::Int
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        read_integer(reader, node, key)
    }

    fn to_json(&self) -> Json {
        Json::from(*self)
    }
}

/// A count or an index; its key says `min(0)` or `min(1)`.
impl Value for usize {
    fn kind() -> Kind {
        Kind::Int
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        read_integer(reader, node, key)
    }

    fn to_json(&self) -> Json {
        Json::from(*self)
    }
}

impl Value for f64 {
    fn kind() -> Kind {
        Kind::Float
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        let number = match node.scalar() {
            Some(Scalar::Int(value)) => Some(value as f64),
            Some(Scalar::Float(value)) => Some(value),
            Some(Scalar::Text) => node.text().and_then(python_float),
            _ => None,
        };
        match number.filter(|&value| value.is_finite() && key.range.contains(value)) {
            Some(value) => Some(value),
            None => reader.wrong(node, key),
        }
    }

    fn to_json(&self) -> Json {
        Json::from(*self)
    }
}

impl Value for bool {
    fn kind() -> Kind {
        Kind::Bool
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        let word = node.text().map(str::to_ascii_lowercase);
        match (node.scalar(), word.as_deref()) {
            (Some(Scalar::Bool(value)), _) => Some(value),
            (Some(Scalar::Int(1)), _) | (_, Some("y" | "yes" | "on" | "true" | "1")) => Some(true),
            (Some(Scalar::Int(0)), _) | (_, Some("n" | "no" | "off" | "false" | "0")) => {
                Some(false)
            }
            _ => reader.wrong(node, key),
        }
    }

    fn to_json(&self) -> Json {
        Json::from(*self)
    }
}

impl Value for String {
    fn kind() -> Kind {
        Kind::Text
    }

    /// Any scalar, as it was written: a folder `010` keeps its name.
    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        match node.text() {
            Some(text) => Some(text.to_owned()),
            None => reader.wrong(node, key),
        }
    }

    fn to_json(&self) -> Json {
        Json::from(self.as_str())
    }
}

/// Null and an empty text are "not set".
impl<T: Value> Value for Option<T> {
    fn kind() -> Kind {
        Kind::Optional(Box::new(T::kind()))
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        if node.is_unset() { Some(None) } else { T::read(reader, node, key).map(Some) }
    }

    fn to_json(&self) -> Json {
        self.as_ref().map_or(Json::Null, Value::to_json)
    }
}

impl<T: Value> Value for Vec<T> {
    fn kind() -> Kind {
        Kind::List(Box::new(T::kind()))
    }

    fn read(reader: &mut Reader<'_>, node: &Node, key: &Key) -> Option<Self> {
        let Content::List(items) = &node.content else { return reader.wrong(node, key) };
        if !key.lengths.is_empty() && !key.lengths.contains(&items.len()) {
            return reader.wrong(node, key);
        }
        let mut values = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            reader.path.push_index(at);
            values.extend(match item.content {
                Content::Broken => None,
                _ => T::read(reader, item, key),
            });
            reader.path.pop();
        }
        Some(values)
    }

    fn to_json(&self) -> Json {
        Json::Array(self.iter().map(Value::to_json).collect())
    }
}
