//! A spec as written: the file and its overrides in one tree, before it becomes typed values.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use serde_json::Value as Json;

use crate::{
    block::Block,
    checks::Checks,
    diagnostic::{Diagnostic, Diagnostics},
    interpolation::{self, Environment},
    overrides::{self, Deletion},
    read::Reader,
    source::Source,
    tree::{KeyPath, Map, Node, Origin, Segment},
    yaml,
};

/// The YAML tree after overrides, every node with its origin.
///
/// *Written* means: in the file or in an override. What a block adds by its defaults is not written.
#[derive(Debug)]
pub struct Document {
    pub(crate) source: Arc<Source>,
    pub(crate) root: Node,
    pub(crate) environment: Environment,
    pub(crate) deletions: Vec<Deletion>,
    /// What is wrong but leaves a tree standing; [`Document::read`] reports it with all the rest.
    problems: Vec<Diagnostic>,
}

impl Document {
    /// Reads a file of at most 1 MiB. Environment variables are those of the process.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let text = read_text(path).map_err(|message| {
            let source = Arc::new(Source::new(&name, "", &[]));
            Diagnostics(vec![source.error(Origin::Nowhere, "", message)])
        })?;
        Self::parse(&name, &text, overrides, &|variable| std::env::var(variable).ok())
    }

    /// Reads a text. Fails where no tree can be made of it; all else is left to [`Document::read`].
    pub fn parse(
        name: &str,
        text: &str,
        overrides: &[String],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Diagnostics> {
        let source = Arc::new(Source::new(name, text, overrides));
        let mut problems = Vec::new();
        let mut root = match yaml::read_tree(&source, text, &mut problems) {
            Ok(root) => root,
            Err(last) => {
                problems.push(*last);
                return Err(Diagnostics::sorted(problems));
            }
        };
        let deletions = overrides::apply(&source, &mut root, &mut problems);
        let environment = interpolation::environment(&root, env);
        Ok(Self { source, root, environment, deletions, problems })
    }

    /// The typed spec, or everything that is wrong: syntax, interpolation, unknown keys, types, ranges, options.
    pub fn read<B: Block>(&self) -> Result<B, Diagnostics> {
        let defaults = Json::Object(B::default().to_map());
        let (root, mut problems) = interpolation::resolve(self, &defaults);
        problems.extend(self.problems.iter().cloned());
        let mut reader = Reader::new(&self.source, B::keys(), problems);
        let nothing = Map::default();
        let map = root.as_map().unwrap_or(&nothing);
        let block = B::default().merge(&mut reader, map);
        reader.unknown_keys(B::keys(), map);
        reader.deletions(&self.deletions);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(block) } else { Err(Diagnostics::sorted(problems)) }
    }

    /// Whether `key` (`export.input_height`, `dataset.train.datasets[0].caption_dir`) is in the file or in an override.
    pub fn is_written(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    /// The text of a scalar, interpolated, without a default: to recognise a network by `model_name`.
    pub fn text(&self, key: &str) -> Option<String> {
        let path = KeyPath::parse(key)?;
        let node = interpolation::resolve_one(self, self.node(key)?, &path);
        node.text().map(str::to_owned)
    }

    /// The keys at the root, in the order of writing.
    pub fn top_level_keys(&self) -> Vec<String> {
        let entries = self.root.as_map().into_iter().flat_map(Map::iter);
        entries.map(|entry| entry.key.clone()).collect()
    }

    /// Starts the rules that hold between keys.
    pub fn check(&self) -> Checks<'_> {
        Checks::new(self)
    }

    /// The file, as the user named it.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The node as written, interpolations included.
    pub(crate) fn node(&self, key: &str) -> Option<&Node> {
        let path = KeyPath::parse(key)?;
        path.0.iter().try_fold(&self.root, |node, segment| node.child(segment))
    }

    /// Where `key` stands: the key itself, or the nearest written thing around it.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let mut node = &self.root;
        let mut origin = Origin::Nowhere;
        for segment in KeyPath::parse(key).unwrap_or_default().0 {
            let key = match &segment {
                Segment::Key(key) => node.as_map().and_then(|map| map.entry(key)),
                Segment::Index(_) => None,
            };
            let Some(child) = node.child(&segment) else { break };
            origin = key.map_or(child.origin, |entry| child.place(entry.key_origin));
            node = child;
        }
        origin
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "file not found".to_owned(),
        _ => format!("not readable: {error}"),
    })?;
    // One byte past the limit tells that there are more; the size on disk may lie (pipes, /proc).
    let limit = yaml::MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| format!("not readable: {error}"))?;
    if bytes.len() > yaml::MAX_BYTES {
        return Err(format!("found more than {} bytes, a spec has at most that", yaml::MAX_BYTES));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("not a text in UTF-8, line {line} has a byte that does not belong there")
    })
}
