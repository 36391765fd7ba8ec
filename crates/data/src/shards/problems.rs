//! What is wrong with members of shards: counted by kind, the first few by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many of a kind are named.
const NAMED: usize = 3;

/// A way in which a member or a sample is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Flaw {
    NoPicture,
    NoCaption,
    EmptyCaption,
    BrokenCaption,
    Size,
    Kind,
    MemberTwice,
    KeyTwice,
    NoEnd,
    MoreBehindEnd,
}

impl Flaw {
    /// What is said of several, behind their number, and what became of them.
    fn words(self) -> &'static str {
        match self {
            Flaw::NoPicture => {
                "samples have no picture (*.jpg, *.jpeg, *.png, *.webp) and are left out"
            }
            Flaw::NoCaption => "samples have no caption (*.txt, *.text, *.json) and are left out",
            Flaw::EmptyCaption => "samples have an empty caption and are left out",
            Flaw::BrokenCaption => "captions cannot be read and are left out",
            Flaw::Size => {
                "samples have a picture or caption of an impossible size and are left out"
            }
            Flaw::Kind => "members are links, devices or other than plain files and are left out",
            Flaw::MemberTwice => "members come twice in their sample, the first counts",
            Flaw::KeyTwice => "samples have the name of an earlier one of their shard",
            Flaw::NoEnd => "shards end without an end mark, perhaps truncated",
            Flaw::MoreBehindEnd => {
                "shards hold more behind their end mark, such as another archive, which is not read"
            }
        }
    }

    /// True where the sample does not become one.
    fn leaves_out(self) -> bool {
        matches!(
            self,
            Flaw::NoPicture
                | Flaw::NoCaption
                | Flaw::EmptyCaption
                | Flaw::BrokenCaption
                | Flaw::Size
        )
    }
}

/// The flaws of one shard, or of many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flaws(BTreeMap<Flaw, Noted>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    count: u64,
    first: Vec<String>,
}

impl Flaws {
    pub(crate) fn add(&mut self, flaw: Flaw, name: impl Into<String>) {
        let noted = self.0.entry(flaw).or_default();
        noted.count += 1;
        if noted.first.len() < NAMED {
            noted.first.push(name.into());
        }
    }

    /// Takes over the flaws of a shard under its name.
    pub(crate) fn merge(&mut self, shard: &str, other: &Flaws) {
        for (flaw, found) in &other.0 {
            let noted = self.0.entry(*flaw).or_default();
            noted.count += found.count;
            let room = NAMED.saturating_sub(noted.first.len());
            let named = |name: &String| match name.as_str() {
                "" => format!("`{shard}`"),
                name => format!("{shard}: {name}"),
            };
            noted.first.extend(found.first.iter().take(room).map(named));
        }
    }

    /// One line for each kind.
    pub(crate) fn lines(&self, place: &str) -> Vec<String> {
        let line = |(flaw, noted): (&Flaw, &Noted)| {
            let which = if noted.count > noted.first.len() as u64 { "the first" } else { "namely" };
            let names = noted.first.join(", ");
            format!("{place}: {} {}; {which}: {names}", noted.count, flaw.words())
        };
        self.0.iter().map(line).collect()
    }

    /// How many samples are not used because of them.
    pub(crate) fn left_out(&self) -> u64 {
        self.0.iter().filter(|(flaw, _)| flaw.leaves_out()).map(|(_, noted)| noted.count).sum()
    }

    pub(crate) fn count(&self, flaw: Flaw) -> u64 {
        self.0.get(&flaw).map_or(0, |noted| noted.count)
    }
}
