//! How the tensors of a published layout relate to the parameters of a model, in both directions.
//!
//! A map is a table of rules over names. Loading reads it from right to left, saving from left to
//! right, so what was saved in a layout loads from it. Names may hold the wildcards `{}` (one
//! component or a part of one, such as a layer index) and `{..}` (the whole rest, at the end); the
//! same wildcards stand on both sides, in the same order.

use std::collections::BTreeMap;

use crate::{error::WeightsError, file::WeightsFile, pattern::Pattern};

/// One layout of a family.
#[derive(Debug, Clone)]
pub struct KeyMap {
    /// As the load report names it, such as `transformers siglip`.
    pub name: String,
    /// Each parameter of the model belongs to exactly one rule.
    pub rules: Vec<Rule>,
    /// Tensors of such files that carry nothing for a model, such as
    /// `text_model.embeddings.position_ids`.
    pub ignored: Vec<String>,
    /// Names (or patterns) that such a file holds, all of them, and a file of another layout does
    /// not.
    pub recognised_by: Vec<String>,
}

/// One row of a [`KeyMap`].
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) ours: Vec<Share>,
    pub(crate) theirs: Vec<Share>,
    pub(crate) order: Order,
    pub(crate) rank: Option<usize>,
}

/// In which order their layout keeps the dimensions of one tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In ours.
    Same,
    /// A matrix the other way round.
    Transposed,
    /// The last one first, and this many of them as one.
    Reversed {
        /// Dimensions of theirs that are one.
        joined: usize,
    },
}

/// A name on one side of a rule, and how many of the equal parts of the other side it covers.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(crate) name: String,
    pub(crate) parts: usize,
}

impl KeyMap {
    /// The map of a layout that uses the names of the model as they are.
    pub fn same_names(name: impl Into<String>) -> KeyMap {
        KeyMap {
            name: name.into(),
            rules: vec![Rule::same("{..}", "{..}")],
            ignored: Vec::new(),
            recognised_by: vec!["{..}".to_owned()],
        }
    }

    /// The first of `maps` whose telling names `file` holds, all of them. Among maps where one
    /// asks for less than another, the one that asks for more must come first.
    pub fn recognise<'a>(
        maps: &'a [KeyMap],
        file: &WeightsFile,
    ) -> Result<&'a KeyMap, WeightsError> {
        let mut layouts = Vec::new();
        for map in maps {
            let absent = map.absent_from(file);
            if absent.is_empty() {
                return Ok(map);
            }
            layouts.push((map.name.clone(), absent));
        }
        Err(WeightsError::Unrecognised {
            path: file.path().to_owned(),
            tensors: file.names().len(),
            layouts,
            sample: file.names().take(4).map(str::to_owned).collect(),
        })
    }

    /// The parameters that `file` holds in this layout, whole or in part, with the shapes of what it
    /// holds of them: what can be said of a model before one is built.
    pub fn held(&self, file: &WeightsFile) -> BTreeMap<String, Vec<usize>> {
        let parse = |share: &Share| Pattern::new(&share.name);
        let sides = self.rules.iter().flat_map(|rule| {
            let ours = rule.ours.first().map(parse);
            rule.theirs.iter().filter_map(move |theirs| Some((ours.clone()?, parse(theirs))))
        });
        let sides: Vec<(Pattern, Pattern)> = sides.collect();
        let held = file.names().filter_map(|name| {
            let ours =
                sides.iter().find_map(|(ours, theirs)| Some(ours.fill(&theirs.captures(name)?)))?;
            Some((ours, file.entry(name)?.shape.clone()))
        });
        held.collect()
    }

    /// The telling names that `file` lacks.
    fn absent_from(&self, file: &WeightsFile) -> Vec<String> {
        let held = |text: &String| {
            let pattern = Pattern::new(text);
            file.names().any(|name| pattern.matches(name))
        };
        self.recognised_by.iter().filter(|name| !held(name)).cloned().collect()
    }
}

impl Rule {
    /// The same tensor under another name, or under the same. Shapes are equal up to dimensions
    /// of 1: `[1, N, W]` and `[N, W]`, `[1]` and `[]`.
    pub fn same(ours: impl Into<String>, theirs: impl Into<String>) -> Rule {
        Rule::new(vec![Share::one(ours)], vec![Share::one(theirs)])
    }

    /// A matrix that their layout keeps as the transpose of PyTorch's `Linear.weight`.
    pub fn transposed(ours: impl Into<String>, theirs: impl Into<String>) -> Rule {
        Rule { order: Order::Transposed, ..Rule::same(ours, theirs) }
    }

    /// A tensor whose dimensions stand in the opposite order in their layout, the first `joined` of them
    /// as one: a kernel `[out, in, rows, columns]` that is kept as `[columns * rows, in, out]`.
    pub fn reversed(ours: impl Into<String>, theirs: impl Into<String>, joined: usize) -> Rule {
        Rule { order: Order::Reversed { joined }, ..Rule::same(ours, theirs) }
    }

    /// Ours is the concatenation of theirs along dimension 0, in equal parts: `qkv` and `q`, `k`,
    /// `v`.
    pub fn split(ours: impl Into<String>, theirs: &[&str]) -> Rule {
        Rule::new(vec![Share::one(ours)], theirs.iter().map(|name| Share::one(*name)).collect())
    }

    /// As [`Rule::split`] in parts of different sizes; each of theirs covers so many equal parts of
    /// ours: `&[("q", 1), ("kv", 2)]` of `qkv`.
    pub fn split_parts(ours: impl Into<String>, theirs: &[(&str, usize)]) -> Rule {
        let share = |(name, parts): &(&str, usize)| Share { name: (*name).into(), parts: *parts };
        Rule::new(vec![Share::one(ours)], theirs.iter().map(share).collect())
    }

    /// Theirs is the concatenation of ours along dimension 0; each of ours covers so many equal
    /// parts of it: `&[("q", 1), ("kv", 2)]` of `in_proj`.
    pub fn merged(ours: &[(&str, usize)], theirs: impl Into<String>) -> Rule {
        let share = |(name, parts): &(&str, usize)| Share { name: (*name).into(), parts: *parts };
        Rule::new(ours.iter().map(share).collect(), vec![Share::one(theirs)])
    }

    /// In their layout the tensor has this many dimensions: on saving, dimensions of 1 are taken away,
    /// the first of them first, or added in front. Loading accepts either.
    pub fn rank(self, rank: usize) -> Rule {
        Rule { rank: Some(rank), ..self }
    }

    /// Whether it is about this parameter of the model, and no other.
    pub fn is_of(&self, parameter: &str) -> bool {
        matches!(self.ours.as_slice(), [share] if share.name == parameter)
    }

    /// Names (or patterns) of the tensors that it is about.
    pub fn tensors(&self) -> impl Iterator<Item = &str> {
        self.theirs.iter().map(|share| share.name.as_str())
    }

    /// The same rule for a file where a wrapper put `prefix` before every name, its dot included.
    pub fn under(mut self, prefix: &str) -> Rule {
        self.theirs.iter_mut().for_each(|share| share.name.insert_str(0, prefix));
        self
    }

    fn new(ours: Vec<Share>, theirs: Vec<Share>) -> Rule {
        Rule { ours, theirs, order: Order::Same, rank: None }
    }

    /// For messages.
    pub(crate) fn shown(&self) -> String {
        let side = |shares: &[Share]| {
            let names: Vec<String> =
                shares.iter().map(|share| format!("`{}`", share.name)).collect();
            names.join(" + ")
        };
        format!("{} = {}", side(&self.ours), side(&self.theirs))
    }
}

impl Share {
    fn one(name: impl Into<String>) -> Share {
        Share { name: name.into(), parts: 1 }
    }
}
