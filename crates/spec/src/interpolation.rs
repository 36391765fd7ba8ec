//! The tree with every `${a.b}`, `${.x}` and `${oc.env:NAME,default}` replaced by what it names.

mod grammar;

use std::collections::{HashMap, HashSet};

use serde_json::Value as Json;

use grammar::{Fallback, Part, parse, variables};

use crate::{
    diagnostic::Diagnostic,
    document::Document,
    source::clip,
    tree::{Content, Entry, KeyPath, Map, Node, Origin, Segment},
    yaml::{MAX_COPIED, MAX_DEPTH, describe},
};

/// Names of environment variables and what they held when the spec was read.
pub(crate) type Environment = HashMap<String, Option<String>>;

/// The tree with every interpolation replaced, and what could not be.
pub(crate) fn resolve(document: &Document, defaults: &Json) -> (Node, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(document, defaults);
    let root = resolver.copy(&document.root, &KeyPath::default());
    resolver.problems.append(&mut resolver.lasting);
    (root, resolver.problems)
}

/// One value without its problems, and without defaults to refer to.
pub(crate) fn resolve_one(document: &Document, node: &Node, path: &KeyPath) -> Node {
    Resolver::new(document, &Json::Null).copy(node, path)
}

/// Looks up every variable that the tree mentions, once.
pub(crate) fn environment(root: &Node, get: &dyn Fn(&str) -> Option<String>) -> Environment {
    let mut found = Environment::new();
    visit_texts(root, &mut |text| {
        // A wrong text is reported when it is resolved.
        for part in parse(text).unwrap_or_default() {
            variables(&part, &mut |name| {
                if !found.contains_key(name) {
                    found.insert(name.to_owned(), get(name));
                }
            });
        }
    });
    found
}

fn visit_texts(node: &Node, see: &mut dyn FnMut(&str)) {
    match &node.content {
        Content::Scalar { text, .. } if text.contains("${") => see(text),
        Content::List(items) => items.iter().for_each(|item| visit_texts(item, see)),
        Content::Map(map) => map.iter().for_each(|entry| visit_texts(&entry.node, see)),
        _ => {}
    }
}

struct Resolver<'a> {
    document: &'a Document,
    defaults: &'a Json,
    /// The texts being resolved now, outermost first.
    open: Vec<KeyPath>,
    /// Members of cycles that are reported already.
    in_cycle: HashSet<KeyPath>,
    /// Steps and bytes used so far, see [`MAX_COPIED`].
    spent: usize,
    problems: Vec<Diagnostic>,
    /// Problems that are met only once, so that they outlive the resolving of somebody's target.
    lasting: Vec<Diagnostic>,
}

/// Why a text has no value.
enum Failure {
    /// Its own mistake.
    Say(String),
    /// A limit or a circle, met only once.
    SayOnce(String),
    /// Something that is reported elsewhere.
    Said,
}

impl<'a> Resolver<'a> {
    fn new(document: &'a Document, defaults: &'a Json) -> Self {
        let (open, in_cycle) = (Vec::new(), HashSet::new());
        let (problems, lasting) = (Vec::new(), Vec::new());
        Self { document, defaults, open, in_cycle, spent: 0, problems, lasting }
    }

    fn copy(&mut self, node: &Node, path: &KeyPath) -> Node {
        let content = match &node.content {
            Content::Scalar { text, .. } if text.contains("${") => {
                return self.interpolated(node, text, path);
            }
            Content::List(items) => {
                let items = items.iter().enumerate().map(|(at, item)| {
                    let mut path = path.clone();
                    path.push_index(at);
                    self.copy(item, &path)
                });
                Content::List(items.collect())
            }
            Content::Map(map) => {
                let mut copied = Map::default();
                for Entry { key, key_origin, node } in map.iter() {
                    let (key, key_origin) = (key.clone(), *key_origin);
                    let node = self.copy(node, &path.join(&key));
                    copied.insert(Entry { key, key_origin, node });
                }
                Content::Map(copied)
            }
            content => content.clone(),
        };
        Node { content, origin: node.origin, via: node.via.clone() }
    }

    fn interpolated(&mut self, node: &Node, text: &str, path: &KeyPath) -> Node {
        let result = self.enter(path).and_then(|()| {
            let result = self.text(text, path);
            self.open.pop();
            result
        });
        match result {
            Ok(content) => Node { content, origin: node.origin, via: Some(clip(text).into()) },
            Err(failure) => {
                let source = &self.document.source;
                let say = |message| source.error(node.origin, &path.to_string(), message);
                match failure {
                    Failure::Say(message) => self.problems.push(say(message)),
                    Failure::SayOnce(message) => self.lasting.push(say(message)),
                    Failure::Said => {}
                }
                Node::new(Content::Broken, node.origin)
            }
        }
    }

    fn enter(&mut self, path: &KeyPath) -> Result<(), Failure> {
        if let Some(at) = self.open.iter().position(|open| open == path) {
            let members = &self.open[at..];
            if members.iter().any(|member| self.in_cycle.contains(member)) {
                return Err(Failure::Said);
            }
            self.in_cycle.extend(members.iter().cloned());
            let chain: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
            let message = format!("found a circle of `${{}}`: {} -> `{path}`", chain.join(" -> "));
            return Err(Failure::SayOnce(message));
        }
        if self.in_cycle.contains(path) {
            return Err(Failure::Said);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Failure::SayOnce(format!(
                "found more than {MAX_DEPTH} `${{}}` that lead to each other"
            )));
        }
        self.open.push(path.clone());
        self.spend(16)
    }

    fn spend(&mut self, cost: usize) -> Result<(), Failure> {
        let before = self.spent;
        self.spent += cost;
        match (before > MAX_COPIED, self.spent > MAX_COPIED) {
            (_, false) => Ok(()),
            (true, true) => Err(Failure::Said),
            (false, true) => {
                Err(Failure::SayOnce(format!("found `${{}}` that expand past {MAX_COPIED} bytes")))
            }
        }
    }

    fn text(&mut self, text: &str, path: &KeyPath) -> Result<Content, Failure> {
        let parts = parse(text).map_err(Failure::Say)?;
        match parts.as_slice() {
            [Part::Key { up, path: target, shown }] => {
                Ok(self.target(*up, target, shown, path)?.content)
            }
            [Part::Variable { name, default, shown }] => self.variable(name, default, shown, path),
            parts => {
                let text = self.joined(parts, path)?;
                Ok(Content::Scalar { text, quoted: true })
            }
        }
    }

    /// Parts as one text.
    fn joined(&mut self, parts: &[Part], path: &KeyPath) -> Result<String, Failure> {
        let mut out = String::new();
        for part in parts {
            let (node, shown) = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Key { up, path: target, shown } => {
                    (self.target(*up, target, shown, path)?, shown)
                }
                Part::Variable { name, default, shown } => {
                    let content = self.variable(name, default, shown, path)?;
                    (Node::new(content, Origin::Nowhere), shown)
                }
            };
            match node.text() {
                Some(text) => {
                    self.spend(text.len())?;
                    out.push_str(text);
                }
                None => {
                    let found = describe(&node);
                    return Err(Failure::Say(format!(
                        "`{shown}` is {found}, needed a value that can be part of a text"
                    )));
                }
            }
        }
        Ok(out)
    }

    fn variable(
        &mut self,
        name: &str,
        default: &Option<Fallback>,
        shown: &str,
        path: &KeyPath,
    ) -> Result<Content, Failure> {
        let text = match (self.document.environment.get(name).cloned().flatten(), default) {
            (Some(value), _) => value,
            (None, Some(Fallback::Null)) => return Ok(Content::Null),
            (None, Some(Fallback::Text(parts))) => self.joined(parts, path)?,
            (None, None) => {
                return Err(Failure::Say(format!(
                    "the environment variable of `{shown}` is not set, and there is no default"
                )));
            }
        };
        self.spend(text.len())?;
        Ok(Content::Scalar { text, quoted: true })
    }

    /// The value that `${...}` names, with its own interpolations resolved.
    fn target(
        &mut self,
        up: usize,
        target: &KeyPath,
        shown: &str,
        site: &KeyPath,
    ) -> Result<Node, Failure> {
        let mut path = KeyPath::default();
        if up > 0 {
            let keep = site.0.len().checked_sub(up).ok_or_else(|| {
                Failure::Say(format!("`{shown}` climbs out of the file, needed fewer points"))
            })?;
            path.0.extend_from_slice(&site.0[..keep]);
        }
        path.0.extend_from_slice(&target.0);
        let node = self.find(&path)?;
        let node = node.ok_or_else(|| Failure::Say(format!("`{shown}` names no key")))?;
        if node.is_missing() {
            return Err(Failure::Say(format!("`{shown}` names `{path}`, which has no value")));
        }
        Ok(node)
    }

    /// The value at an absolute path: in the file, or else among the defaults.
    fn find(&mut self, path: &KeyPath) -> Result<Option<Node>, Failure> {
        let document = self.document;
        let mut walked = KeyPath::default();
        let mut node = &document.root;
        for (at, segment) in path.0.iter().enumerate() {
            if node.text().is_some_and(|text| text.contains("${")) {
                let mut value = self.settled(node, &walked)?;
                for segment in &path.0[at..] {
                    match value.child(segment) {
                        Some(child) => value = child.clone(),
                        None => return Ok(None),
                    }
                }
                return Ok(Some(value));
            }
            let Some(child) = node.child(segment) else {
                return Ok(default_at(self.defaults, path));
            };
            walked.0.push(match (&node.content, segment.index()) {
                (Content::List(_), Some(index)) => Segment::Index(index),
                _ => segment.clone(),
            });
            node = child;
        }
        self.settled(node, &walked).map(Some)
    }

    /// A node as its readers see it. What is wrong inside is reported where it stands.
    fn settled(&mut self, node: &Node, path: &KeyPath) -> Result<Node, Failure> {
        let before = self.problems.len();
        let copy = self.copy(node, path);
        self.problems.truncate(before);
        self.spend(copy.cost())?;
        if contains_broken(&copy) { Err(Failure::Said) } else { Ok(copy) }
    }
}

fn contains_broken(node: &Node) -> bool {
    match &node.content {
        Content::Broken => true,
        Content::List(items) => items.iter().any(contains_broken),
        Content::Map(map) => map.iter().any(|entry| contains_broken(&entry.node)),
        _ => false,
    }
}

fn default_at(defaults: &Json, path: &KeyPath) -> Option<Node> {
    let mut value = defaults;
    for segment in &path.0 {
        value = match (value, segment) {
            (Json::Object(map), Segment::Key(key)) => map.get(key)?,
            (Json::Array(items), segment) => items.get(segment.index()?)?,
            _ => return None,
        };
    }
    Some(node_of(value))
}

fn node_of(value: &Json) -> Node {
    let content = match value {
        Json::Null => Content::Null,
        Json::String(text) => Content::Scalar { text: text.clone(), quoted: true },
        Json::Array(items) => Content::List(items.iter().map(node_of).collect()),
        Json::Object(fields) => {
            let mut map = Map::default();
            for (key, value) in fields {
                let (key, node) = (key.clone(), node_of(value));
                map.insert(Entry { key, key_origin: Origin::Nowhere, node });
            }
            Content::Map(map)
        }
        number_or_bool => Content::Scalar { text: number_or_bool.to_string(), quoted: false },
    };
    Node::new(content, Origin::Nowhere)
}
