//! YAML text to tree: anchors, aliases, `<<`, duplicate keys, and limits that no file can pass.

use std::{collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use crate::{
    diagnostic::Diagnostic,
    source::{Source, clip},
    tree::{Content, Entry, KeyPath, Map, Node, Origin, Span},
};

/// Bytes that a spec file may have.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Levels of lists and mappings.
pub(crate) const MAX_DEPTH: usize = 64;

/// Bytes (and nodes at 16 bytes) that copying anchored values may add to the tree.
pub(crate) const MAX_COPIED: usize = 1 << 20;

/// Reads one document. Problems that leave a tree standing go to `problems`.
pub(crate) fn read_tree(
    source: &Arc<Source>,
    text: &str,
    problems: &mut Vec<Diagnostic>,
) -> Result<Node, Box<Diagnostic>> {
    if text.len() > MAX_BYTES {
        return Err(Box::new(source.error(Origin::Nowhere, "", too_large(text.len() as u64))));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parser = Parser::new_from_str(text);
    let path = KeyPath::default();
    let mut builder =
        Builder { parser, source, problems, anchors: HashMap::new(), copied: 0, path };
    builder.document()
}

pub(crate) fn too_large(bytes: u64) -> String {
    format!("found a file of {bytes} bytes, a spec has at most {MAX_BYTES}")
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    source: &'a Arc<Source>,
    problems: &'a mut Vec<Diagnostic>,
    anchors: HashMap<usize, Anchor>,
    /// What anchors and aliases copied so far, see [`MAX_COPIED`].
    copied: usize,
    path: KeyPath,
}

struct Anchor {
    node: Node,
    cost: usize,
    depth: usize,
}

/// The end of reading: the tree could not be completed.
type Stop = Box<Diagnostic>;

/// A collection's entries so far: its own, and what `<<` brings, in the order of writing.
#[derive(Default)]
struct Entries {
    own: Map,
    merged: Vec<Node>,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, origin) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    return Err(self.stop(origin, "found a second document, needed one".into()));
                }
                event => root = Some(self.node(event, origin, 0)?),
            }
        }
        let root = root.unwrap_or(Node::new(Content::Null, Origin::Nowhere));
        match root.content {
            Content::Map(_) => Ok(root),
            Content::Null => Ok(Node::new(Content::Map(Map::default()), Origin::Nowhere)),
            _ => {
                let message = format!("found {}, needed a mapping of keys", describe(&root));
                let mut stop = self.stop(root.origin, message);
                if root.text().is_some_and(|text| text.contains(':')) {
                    stop.hints.push("a space stands between the colon and the value".into());
                }
                Err(stop)
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Origin), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let (line, column) = (span.start.line(), span.start.col() + 1);
                let one_line = span.end.line() == line;
                let width = if one_line { span.end.col() + 1 - column } else { 0 };
                Ok((event, Origin::File(Span { line, column, width })))
            }
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
            None => Ok((Event::StreamEnd, Origin::Nowhere)),
        }
    }

    fn node(&mut self, event: Event<'a>, origin: Origin, depth: usize) -> Result<Node, Stop> {
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(text.into_owned(), style, tag.as_deref(), origin), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &["seq"], origin);
                (Node::new(self.list(origin, depth + 1)?, origin), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_deref(), &["map"], origin);
                (Node::new(self.map(origin, depth + 1)?, origin), anchor)
            }
            Event::Alias(id) => (self.alias(id, origin, depth)?, 0),
            // The parser sends nothing else between the start and the end of a node.
            _ => (Node::new(Content::Null, origin), 0),
        };
        if anchor > 0 {
            let (cost, depth) = (node.cost(), node.depth());
            self.spend(cost, origin)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), cost, depth });
        }
        Ok(node)
    }

    fn list(&mut self, origin: Origin, depth: usize) -> Result<Content, Stop> {
        self.check_depth(depth, origin)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, at) => {
                    self.path.push_index(items.len());
                    items.push(self.node(event, at, depth)?);
                    self.path.pop();
                }
            }
        }
    }

    fn map(&mut self, origin: Origin, depth: usize) -> Result<Content, Stop> {
        self.check_depth(depth, origin)?;
        let mut entries = Entries::default();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(Content::Map(self.merge(entries))),
                (event, at) => self.entry(event, at, depth, &mut entries)?,
            }
        }
    }

    fn entry(
        &mut self,
        event: Event<'a>,
        key_origin: Origin,
        depth: usize,
        entries: &mut Entries,
    ) -> Result<(), Stop> {
        let is_merge = matches!(&event, Event::Scalar(t, ScalarStyle::Plain, ..) if t == "<<");
        let key_node = self.node(event, key_origin, depth)?;
        let key = key_node.text().filter(|key| !key.is_empty()).map(str::to_owned);
        if key.is_none() {
            let found = describe(&key_node);
            self.problem(key_origin, format!("found {found} as a key, needed a name"));
        }
        self.path.push_key(key.as_deref().unwrap_or("?"));
        let (event, at) = self.next()?;
        let node = self.node(event, at, depth)?;
        match key {
            _ if is_merge => entries.merged.push(node),
            Some(key) => match entries.own.entry(&key) {
                Some(first) => {
                    let first = self.source.label(first.key_origin);
                    self.problem(key_origin, format!("found twice, first at {first}"));
                }
                None => entries.own.insert(Entry { key, key_origin, node }),
            },
            None => {}
        }
        self.path.pop();
        Ok(())
    }

    /// Own keys win over merged ones, an earlier mapping of one `<<` list over a later one.
    fn merge(&mut self, entries: Entries) -> Map {
        let Entries { mut own, merged } = entries;
        for node in merged.into_iter().rev() {
            let origin = node.origin;
            let sources = match node.content {
                Content::List(items) => items,
                content => vec![Node::new(content, origin)],
            };
            for from in sources {
                let Content::Map(map) = &from.content else {
                    let found = describe(&from);
                    self.problem(
                        from.origin,
                        format!("found {found} under `<<`, needed a mapping"),
                    );
                    continue;
                };
                for entry in map.iter() {
                    if own.get(&entry.key).is_none() {
                        own.insert(entry.clone());
                    }
                }
            }
        }
        own
    }

    fn alias(&mut self, id: usize, origin: Origin, depth: usize) -> Result<Node, Stop> {
        let Some(Anchor { node, cost, depth: levels }) = self.anchors.get(&id) else {
            let message = "found an alias inside its own anchor, needed a value that ends";
            return Err(self.stop(origin, message.into()));
        };
        let (node, cost, depth) = (node.clone(), *cost, depth + *levels);
        self.spend(cost, origin)?;
        self.check_depth(depth, origin)?;
        Ok(node)
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        tag: Option<&Tag>,
        origin: Origin,
    ) -> Node {
        self.check_tag(tag, &["str", "int", "float", "bool", "null"], origin);
        let as_plain = match tag {
            Some(tag) if tag.is_yaml_core_schema() => tag.suffix != "str",
            _ => style == ScalarStyle::Plain,
        };
        if as_plain { Node::plain(text, origin) } else { Node::quoted(text, origin) }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, known: &[&str], origin: Origin) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str()))
        {
            let handle = if tag.is_yaml_core_schema() { "!!" } else { &tag.handle };
            let shown = clip(&format!("{handle}{}", tag.suffix));
            self.problem(origin, format!("found the tag `{shown}`, needed a plain value"));
        }
    }

    fn check_depth(&self, depth: usize, origin: Origin) -> Result<(), Stop> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(self.stop(origin, format!("found more than {MAX_DEPTH} levels of nesting")))
    }

    fn spend(&mut self, cost: usize, origin: Origin) -> Result<(), Stop> {
        self.copied += cost;
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        let message = format!("found anchors and aliases that expand past {MAX_COPIED} bytes");
        Err(self.stop(origin, message))
    }

    fn problem(&mut self, origin: Origin, message: String) {
        let diagnostic = self.source.error(origin, &self.path.to_string(), message);
        self.problems.push(diagnostic);
    }

    fn stop(&self, origin: Origin, message: String) -> Stop {
        Box::new(self.source.error(origin, &self.path.to_string(), message))
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let (line, column) = (error.marker().line(), error.marker().col() + 1);
        let origin = Origin::File(Span { line, column, width: 1 });
        let mut problem = self.source.error(origin, "", format!("not YAML: {}", error.info()));
        let shown = self.source.line(line).unwrap_or("");
        problem.hints.extend(syntax_hint(shown, column, error.info()).map(str::to_owned));
        problem
    }
}

/// The usual slip behind a syntax error.
fn syntax_hint(line: &str, column: usize, info: &str) -> Option<&'static str> {
    let before: String = line.chars().take(column).collect();
    if line.trim_start_matches(' ').starts_with('\t') {
        Some("indent with spaces, YAML does not take tabs")
    } else if before.contains("${") && before.contains(['{', '[']) || line.contains(": {$") {
        Some("put quotes around `${...}` inside `[]` and `{}`")
    } else if !info.starts_with("mapping values") {
        None
    } else if before.contains(": ") {
        Some("put quotes around a value that contains `: `")
    } else {
        Some("keys of one block begin in the same column")
    }
}

/// What was found, for a message.
pub(crate) fn describe(node: &Node) -> String {
    match &node.content {
        Content::Null => "null".into(),
        Content::Scalar { text, .. } if text.is_empty() => "an empty text".into(),
        Content::Scalar { text, .. } => format!("`{}`", clip(text)),
        Content::List(items) => format!("a list of {}", items.len()),
        Content::Map(_) | Content::Broken => "a mapping".into(),
    }
}
