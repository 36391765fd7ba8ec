//! What is wrong with members of shards: counted by kind, the first few by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::NAMED;

/// How many of a kind a warning names.
const NAMED_IN_A_WARNING: usize = 3;

/// A way in which a member or a sample is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Flaw {
    NoPicture,
    NoCaption,
    EmptyCaption,
    BrokenCaption,
    Size,
    /// A sample is there; something that might have counted more, or besides, is not.
    Unused,
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
            Flaw::BrokenCaption => "captions cannot be read",
            Flaw::Size => "samples have a picture or caption of an impossible size",
            Flaw::Unused => "samples have another picture or caption that cannot be used",
            Flaw::Kind => "members are links, devices or other than plain files and are left out",
            Flaw::MemberTwice => "members come twice in their sample, the first counts",
            Flaw::KeyTwice => "samples have the name of an earlier one of their shard",
            Flaw::NoEnd => "shards end without an end mark, perhaps truncated",
            Flaw::MoreBehindEnd => {
                "shards hold more behind their end mark, such as another archive, which is not read"
            }
        }
    }

    /// True where the sample does not become one, and nothing is broken.
    fn leaves_out(self) -> bool {
        matches!(self, Flaw::NoPicture | Flaw::NoCaption | Flaw::EmptyCaption)
    }
}

/// Samples that are broken in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// What is said of several, behind their number.
    pub(crate) what: &'static str,
    /// What is said of one, behind its name.
    pub(crate) why: &'static str,
    /// The first ten.
    pub(crate) named: Vec<String>,
    pub(crate) count: usize,
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

    /// Takes out those of samples that have a caption and a picture and cannot be used.
    pub(crate) fn take_unusable(&mut self) -> Vec<Unusable> {
        let kinds = [
            (Flaw::BrokenCaption, "its caption cannot be read"),
            (Flaw::Size, "its picture or caption is of an impossible size"),
        ];
        let taken = kinds.into_iter().filter_map(|(flaw, why)| {
            let noted = self.0.remove(&flaw)?;
            let count = usize::try_from(noted.count).unwrap_or(usize::MAX);
            Some(Unusable { what: flaw.words(), why, named: noted.first, count })
        });
        taken.collect()
    }

    /// One line for each kind.
    pub(crate) fn lines(&self, place: &str) -> Vec<String> {
        let line = |(flaw, noted): (&Flaw, &Noted)| {
            let named = &noted.first[..noted.first.len().min(NAMED_IN_A_WARNING)];
            let which = if noted.count > named.len() as u64 { "the first" } else { "namely" };
            let names = named.join(", ");
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
