//! The tree every spec becomes: mappings, lists and scalars, each with the place it was written at.

use std::{collections::HashMap, fmt};

use crate::scalar::{Scalar, resolve_plain};

/// What OmegaConf writes for a value that the user has to give.
pub(crate) const MISSING: &str = "???";

/// Bytes that one node stands for in the limits on expansion, besides its text.
const NODE_COST: usize = 16;

/// One value of the tree, with its origin.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) content: Content,
    pub(crate) origin: Origin,
    /// The `${...}` that this value came from; `origin` is where that stands.
    pub(crate) via: Option<Box<str>>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Null,
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Map),
    /// A value whose problem is already reported: read as the default, in silence.
    Broken,
}

/// A mapping in the order of writing.
#[derive(Debug, Clone, Default)]
pub struct Map {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_origin: Origin,
    pub(crate) node: Node,
}

/// Where a piece of the tree was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    File(Span),
    /// The index of the command line override.
    Override(usize),
    /// A default, or the document as a whole.
    Nowhere,
}

/// A stretch of one line of the file; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// Characters; 0 reaches to the end of the line.
    pub(crate) width: usize,
}

impl Node {
    pub(crate) fn new(content: Content, origin: Origin) -> Self {
        Self { content, origin, via: None }
    }

    /// An unquoted scalar, where `null` is a value of its own.
    pub(crate) fn plain(text: String, origin: Origin) -> Self {
        let content = match resolve_plain(&text) {
            Scalar::Null => Content::Null,
            _ => Content::Scalar { text, quoted: false },
        };
        Self::new(content, origin)
    }

    pub(crate) fn quoted(text: String, origin: Origin) -> Self {
        Self::new(Content::Scalar { text, quoted: true }, origin)
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The scalar as written, without quotes.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The scalar's meaning; quoted ones are texts.
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        match &self.content {
            Content::Null => Some(Scalar::Null),
            Content::Scalar { quoted: true, .. } => Some(Scalar::Text),
            Content::Scalar { text, .. } => Some(resolve_plain(text)),
            _ => None,
        }
    }

    /// `???`, in any quotes.
    pub(crate) fn is_missing(&self) -> bool {
        self.text() == Some(MISSING)
    }

    /// Null or an empty text: what "not set" looks like.
    pub(crate) fn is_unset(&self) -> bool {
        matches!(self.content, Content::Null) || self.text() == Some("")
    }

    /// Where to point at a value: at a scalar itself, at the key of anything longer or of nothing.
    pub(crate) fn place(&self, key: Origin) -> Origin {
        let is_shown = self.text().is_some_and(|text| !text.is_empty());
        if is_shown || matches!(self.origin, Origin::Override(_)) { self.origin } else { key }
    }

    pub(crate) fn child(&self, segment: &Segment) -> Option<&Node> {
        match (&self.content, segment) {
            (Content::Map(map), Segment::Key(key)) => map.get(key),
            (Content::List(items), segment) => items.get(segment.index()?),
            _ => None,
        }
    }

    /// What a copy of this subtree costs, for the limits on expansion.
    pub(crate) fn cost(&self) -> usize {
        NODE_COST
            + match &self.content {
                Content::Scalar { text, .. } => text.len(),
                Content::List(items) => items.iter().map(Node::cost).sum(),
                Content::Map(map) => map.iter().map(|e| e.key.len() + e.node.cost()).sum(),
                Content::Null | Content::Broken => 0,
            }
    }

    /// Levels of collections below and including this node.
    pub(crate) fn depth(&self) -> usize {
        match &self.content {
            Content::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Content::Map(map) => 1 + map.iter().map(|e| e.node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|&at| &self.entries[at])
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.index.get(key).map(|&at| &mut self.entries[at].node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Adds or replaces.
    pub(crate) fn insert(&mut self, entry: Entry) {
        match self.index.get(&entry.key) {
            Some(&at) => self.entries[at] = entry,
            None => {
                self.index.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let at = self.index.remove(key)?;
        self.index.values_mut().filter(|other| **other > at).for_each(|other| *other -= 1);
        Some(self.entries.remove(at))
    }
}

/// The way to a value: `dataset.train.datasets[0].image_dir`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyPath(pub(crate) Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

impl Segment {
    /// `[0]`, or the `0` of `list.0`.
    pub(crate) fn index(&self) -> Option<usize> {
        match self {
            Segment::Index(index) => Some(*index),
            Segment::Key(key) => key.parse().ok(),
        }
    }
}

impl KeyPath {
    /// Reads `a.b[0].c`; `None` when a part is empty or a bracket is wrong.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            let (key, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.is_empty() {
                return None;
            }
            segments.push(Segment::Key(key.to_owned()));
            let mut rest = indices;
            while let Some(inner) = rest.strip_prefix('[') {
                let (index, after) = inner.split_once(']')?;
                segments.push(Segment::Index(index.parse().ok()?));
                rest = after;
            }
            if !rest.is_empty() {
                return None;
            }
        }
        Some(Self(segments))
    }

    pub(crate) fn push_key(&mut self, key: &str) {
        self.0.push(Segment::Key(key.to_owned()));
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// This path with one more key.
    pub(crate) fn join(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.push_key(key);
        path
    }

    /// The keys alone, with `[]` for any index: how the definition of a spec names a place.
    pub(crate) fn pattern(&self) -> String {
        let mut out = String::new();
        for segment in &self.0 {
            match segment {
                Segment::Key(key) if out.is_empty() => out.push_str(key),
                Segment::Key(key) => {
                    out.push('.');
                    out.push_str(key);
                }
                Segment::Index(_) => out.push_str("[]"),
            }
        }
        out
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(text: &str) {
        assert_eq!(KeyPath::parse(text).map(|path| path.to_string()).as_deref(), Some(text));
    }

    #[test]
    fn key_paths_read_and_print() {
        round_trip("a");
        round_trip("dataset.train.datasets[0].image_dir");
        round_trip("a[0][12]");
        for wrong in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[0]b", "[0]"] {
            assert_eq!(KeyPath::parse(wrong), None, "{wrong}");
        }
        assert_eq!(KeyPath::parse("a[3].b").map(|p| p.pattern()).as_deref(), Some("a[].b"));
    }

    #[test]
    fn removing_an_entry_keeps_the_others_reachable() {
        let mut map = Map::default();
        for key in ["a", "b", "c"] {
            let node = Node::plain(key.to_owned(), Origin::Nowhere);
            map.insert(Entry { key: key.to_owned(), key_origin: Origin::Nowhere, node });
        }
        assert!(map.remove("a").is_some());
        assert_eq!(map.get("c").and_then(Node::text), Some("c"));
        assert!(map.get("a").is_none());
    }
}
