//! What a spec knows about one key: name, meaning, type, default, range, state. Everything else is made from it.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::{block::Value, tree::MISSING};

/// One key of a block.
#[derive(Debug, Clone)]
pub struct Key {
    /// The name in YAML.
    pub name: &'static str,
    /// Lines of the doc comment.
    meaning: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// TAO's default as it stands in YAML; `???` where the user has to give a value.
    pub default: Json,
    /// Bounds of a number, or of each number of a list.
    pub range: Range,
    /// Lengths a list may have; empty for any.
    pub lengths: &'static [usize],
    /// What this release does with it.
    pub state: State,
    /// The value in the template that TAO ships, where it differs from the default.
    pub template: Option<Json>,
    /// Names that users of other tools would try.
    pub known_as: &'static [&'static str],
    /// Where it deliberately does something else than in TAO.
    pub difference: Option<&'static str>,
}

/// The type of a value.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A whole number.
    Int,
    /// A finite number.
    Float,
    /// True or false.
    Bool,
    /// Any text.
    Text,
    /// One of some words.
    Options(&'static [Choice]),
    /// A list of one kind.
    List(Box<Kind>),
    /// A mapping with keys of its own.
    Block(Vec<Key>),
    /// May be null.
    Optional(Box<Kind>),
}

/// One word of [`Kind::Options`].
#[derive(Debug)]
pub struct Choice {
    /// The word as TAO writes it.
    pub name: &'static str,
    /// Other spellings of the same.
    pub aliases: &'static [&'static str],
    /// Lines of the doc comment.
    pub meaning: &'static str,
}

/// Bounds of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Range {
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Bound that the value must exceed.
    pub above: Option<f64>,
    /// Bound that the value must stay under.
    pub below: Option<f64>,
}

/// What this release does with a key.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It does what its meaning says.
    Live,
    /// Accepted in silence: why nothing depends on it.
    Inert(&'static str),
    /// Accepted; one notice when it is in use.
    Notice {
        /// What does not happen.
        text: &'static str,
        /// The key inside this block that turns all of it off.
        switch: Option<&'static str>,
    },
    /// Only the default is possible.
    Refused {
        /// What is missing.
        why: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
}

impl Key {
    /// A key of type `T`; the other properties follow by the methods below.
    pub fn new<T: Value>(name: &'static str, meaning: &'static str, default: &T) -> Self {
        let default = default.to_json();
        Self {
            name: name.strip_prefix("r#").unwrap_or(name),
            meaning,
            kind: T::kind().with_defaults(&default),
            default,
            range: Range::default(),
            lengths: &[],
            state: State::Live,
            template: None,
            known_as: &[],
            difference: None,
        }
    }

    /// The smallest value.
    pub fn min(mut self, bound: impl Into<f64>) -> Self {
        self.range.min = Some(bound.into());
        self
    }

    /// The largest value.
    pub fn max(mut self, bound: impl Into<f64>) -> Self {
        self.range.max = Some(bound.into());
        self
    }

    /// The bound that a value must exceed.
    pub fn above(mut self, bound: impl Into<f64>) -> Self {
        self.range.above = Some(bound.into());
        self
    }

    /// The bound that a value must stay under.
    pub fn below(mut self, bound: impl Into<f64>) -> Self {
        self.range.below = Some(bound.into());
        self
    }

    /// Lengths a list may have.
    pub fn lengths(mut self, lengths: &'static [usize]) -> Self {
        self.lengths = lengths;
        self
    }

    /// The user has to give a value once an action uses the key: `???`.
    pub fn mandatory(mut self) -> Self {
        self.default = Json::from(MISSING);
        self
    }

    /// "Not set" stands in YAML as an empty text, not as null.
    pub fn empty_when_unset(mut self) -> Self {
        self.default = Json::from("");
        self
    }

    /// The value in TAO's template, where it differs from the default.
    pub fn template(mut self, value: impl Into<Json>) -> Self {
        self.template = Some(value.into());
        self
    }

    /// Names that users of other tools would try.
    pub fn known_as(mut self, names: &'static [&'static str]) -> Self {
        self.known_as = names;
        self
    }

    /// Where it deliberately does something else than in TAO, and why.
    pub fn differs(mut self, how: &'static str) -> Self {
        self.difference = Some(how);
        self
    }

    /// Accepted in silence, and why.
    pub fn inert(mut self, why: &'static str) -> Self {
        self.state = State::Inert(why);
        self
    }

    /// Accepted, with a notice when it is written with another value than the default.
    pub fn notice(mut self, text: &'static str) -> Self {
        self.state = State::Notice { text, switch: None };
        self
    }

    /// A block accepted with a notice when any of it is written while its key `switch` is true.
    pub fn notice_while(mut self, switch: &'static str, text: &'static str) -> Self {
        self.state = State::Notice { text, switch: Some(switch) };
        self
    }

    /// Refused with any value but the default: what is missing, and what to do instead.
    pub fn only_default(mut self, why: &'static str, hint: &'static str) -> Self {
        self.state = State::Refused { why, hint };
        self
    }

    /// The doc comment as running text, paragraphs separated by empty lines.
    pub fn meaning(&self) -> String {
        running_text(self.meaning)
    }

    /// Whether the user has to give a value.
    pub fn is_mandatory(&self) -> bool {
        self.default == MISSING
    }

    /// How a value stands in YAML: what is not set shows as the default's `???` or empty text.
    pub fn written(&self, value: Json) -> Json {
        let unset = value.is_null() || value == "";
        if unset && (self.is_mandatory() || self.default == "") {
            self.default.clone()
        } else {
            value
        }
    }

    /// What the key needs, for a message.
    pub fn needed(&self) -> String {
        self.kind.needed(self)
    }

    /// This key in a block whose parent chose another default.
    pub fn with_default(mut self, default: &Json) -> Self {
        if !self.is_mandatory() {
            self.default = self.written(default.clone());
        }
        self.kind = self.kind.with_defaults(default);
        self
    }
}

impl Kind {
    /// The kind without `Optional` around it.
    pub fn inner(&self) -> &Kind {
        match self {
            Kind::Optional(kind) => kind.inner(),
            kind => kind,
        }
    }

    /// The keys of a block, or of the blocks in a list.
    pub fn keys(&self) -> Option<&[Key]> {
        match self.inner() {
            Kind::Block(keys) => Some(keys),
            Kind::List(item) => item.keys(),
            _ => None,
        }
    }

    fn with_defaults(self, default: &Json) -> Self {
        match (self, default) {
            (Kind::Block(keys), Json::Object(values)) => {
                let patched = keys.into_iter().map(|key| match values.get(key.name) {
                    Some(value) => key.with_default(value),
                    None => key,
                });
                Kind::Block(patched.collect())
            }
            (kind, _) => kind,
        }
    }

    /// One item of this kind, for a message.
    pub(crate) fn needed(&self, key: &Key) -> String {
        match self {
            Kind::Int => format!("an integer{}", key.range.words(" of")),
            Kind::Float => format!("a number{}", key.range.words(" of")),
            Kind::Bool => "`true` or `false`".into(),
            Kind::Text => "a text".into(),
            Kind::Options(choices) => {
                let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
                either(&names)
            }
            Kind::List(item) => format!("a list of {}{}", lengths(key.lengths), item.plural()),
            Kind::Block(keys) => {
                let mut text = String::from("a mapping");
                for (at, key) in keys.iter().take(3).enumerate() {
                    let before = if at == 0 { " with keys such as " } else { ", " };
                    let _ = write!(text, "{before}`{}`", key.name);
                }
                text
            }
            Kind::Optional(kind) => format!("{} or null", kind.needed(key)),
        }
    }

    fn plural(&self) -> &'static str {
        match self.inner() {
            Kind::Int => "integers",
            Kind::Float => "numbers",
            Kind::Bool => "`true` and `false`",
            Kind::Text | Kind::Options(_) => "texts",
            Kind::List(_) => "lists",
            Kind::Block(_) | Kind::Optional(_) => "mappings",
        }
    }
}

impl Choice {
    /// The doc comment as running text.
    pub fn meaning(&self) -> String {
        running_text(self.meaning)
    }

    /// Whether `text` is the name or another spelling.
    pub fn is(&self, text: &str) -> bool {
        self.name == text || self.aliases.contains(&text)
    }
}

impl Range {
    /// Whether a number lies inside.
    pub fn contains(&self, value: f64) -> bool {
        self.min.is_none_or(|bound| value >= bound)
            && self.max.is_none_or(|bound| value <= bound)
            && self.above.is_none_or(|bound| value > bound)
            && self.below.is_none_or(|bound| value < bound)
    }

    /// ` of at least 1`, ` from 0 to 1`, ` above 0`; empty without bounds. `of` leads "at least" and "at most".
    pub fn words(&self, of: &str) -> String {
        let low = match (self.min, self.above) {
            (Some(min), _) => Some(format!("{of} at least {min}")),
            (None, Some(above)) => Some(format!(" above {above}")),
            (None, None) => None,
        };
        let high = match (self.max, self.below) {
            (Some(max), _) => Some(format!(" at most {max}")),
            (None, Some(below)) => Some(format!(" below {below}")),
            (None, None) => None,
        };
        match (low, high, self.min, self.max) {
            (_, _, Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(low), Some(high), ..) => format!("{low} and{high}"),
            (Some(low), None, ..) => low,
            (None, Some(high), _, max) => format!("{}{high}", if max.is_some() { of } else { "" }),
            (None, None, ..) => String::new(),
        }
    }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn either(names: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        let before = match at {
            0 => "",
            _ if at + 1 == names.len() => " or ",
            _ => ", ",
        };
        let _ = write!(text, "{before}`{}`", name.as_ref());
    }
    text
}

/// `2 `, `0, 4 or 5 `, or nothing where any length will do.
fn lengths(allowed: &[usize]) -> String {
    match allowed.split_last() {
        None => String::new(),
        Some((only, [])) => format!("{only} "),
        Some((last, rest)) => {
            let rest: Vec<String> = rest.iter().map(usize::to_string).collect();
            format!("{} or {last} ", rest.join(", "))
        }
    }
}

#[doc(hidden)]
pub fn running_text(doc: &str) -> String {
    let mut text = String::new();
    for line in doc.trim_end().lines().map(str::trim) {
        match line {
            "" => text.push_str("\n\n"),
            line => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push(' ');
                }
                text.push_str(line);
            }
        }
    }
    text
}
