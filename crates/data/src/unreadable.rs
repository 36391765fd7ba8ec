//! Samples that cannot be read: left out and counted, up to the share of a data set that its user allows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{DataError, NAMED};

/// What the user allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Part of a data set that may be unreadable, 0 to 1; 0 lets the first one end the run.
    pub share: f64,
    /// Name of the setting, for messages.
    pub key: &'static str,
}

/// The samples of one data set that cannot be read. Clones share what they know, so that a sample is
/// counted and named once, in whatever epoch and order it comes.
#[derive(Debug, Clone)]
pub struct Unreadable(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    tolerance: Tolerance,
    /// Samples of the data set, those that were left out of it before it was numbered included.
    total: usize,
    /// Why samples have no number: their captions or files were not there when it was listed.
    unlisted: Vec<String>,
    /// Why samples of these numbers are left out.
    found: BTreeMap<usize, String>,
    /// What was not said yet.
    news: Vec<String>,
}

impl Unreadable {
    /// For a data set of `listed` samples and those that were already left out, with reasons. An error
    /// when those are too many.
    pub fn new(
        tolerance: Tolerance,
        listed: usize,
        unlisted: Vec<String>,
    ) -> Result<Unreadable, DataError> {
        let total = listed + unlisted.len();
        // Those that nobody named have one reason for all.
        let same = unlisted.chunk_by(|a, b| a == b).map(|same| match same.len() {
            1 => left_out(&same[0]),
            count => left_out(&format!("{} ({count} times)", same[0])),
        });
        let news = same.collect();
        let known = Known { tolerance, total, unlisted, found: BTreeMap::new(), news };
        known.check()?;
        Ok(Unreadable(Arc::new(Mutex::new(known))))
    }

    /// Every sample has to be readable.
    pub fn none_allowed() -> Unreadable {
        let tolerance = Tolerance { share: 0.0, key: "" };
        let known = Known {
            tolerance,
            total: 0,
            unlisted: Vec::new(),
            found: BTreeMap::new(),
            news: Vec::new(),
        };
        Unreadable(Arc::new(Mutex::new(known)))
    }

    /// Leaves out a sample for this error, or gives back why it may not be left out.
    pub fn leave_out(&self, index: usize, error: DataError) -> Result<(), DataError> {
        let mut known = self.known();
        if known.tolerance.share <= 0.0 || !error.is_of_one_sample() {
            return Err(error);
        }
        if known.found.contains_key(&index) {
            return Ok(());
        }
        let reason = error.to_string();
        known.news.push(left_out(&reason));
        known.found.insert(index, reason);
        known.check()
    }

    /// Numbers of the samples that were found unreadable, ascending.
    pub fn found(&self) -> Vec<usize> {
        self.known().found.keys().copied().collect()
    }

    /// What an earlier part of the run found; `name` is what a message calls a sample.
    pub fn restore(&self, found: &[usize], name: impl Fn(usize) -> String) {
        let mut known = self.known();
        for &index in found {
            known.found.entry(index).or_insert_with(|| name(index));
        }
    }

    /// How many samples are left out, for whatever reason.
    pub fn count(&self) -> usize {
        let known = self.known();
        known.unlisted.len() + known.found.len()
    }

    /// Which samples were left out since the last call and why, a line each.
    pub fn take_news(&self) -> Vec<String> {
        std::mem::take(&mut self.known().news)
    }

    /// The error for a batch of which nothing is left.
    pub fn nothing_left(&self) -> DataError {
        let known = self.known();
        DataError::NothingReadable { problems: known.problems() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic while it was locked left a finished entry or none.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn check(&self) -> Result<(), DataError> {
        let count = self.unlisted.len() + self.found.len();
        let allowed = allowed(self.tolerance.share, self.total);
        if count <= allowed {
            return Ok(());
        }
        Err(DataError::TooManyUnreadable {
            count,
            total: self.total,
            allowed,
            problems: self.problems(),
            key: self.tolerance.key,
        })
    }

    /// The first ten reasons.
    fn problems(&self) -> Vec<String> {
        self.unlisted.iter().chain(self.found.values()).take(NAMED).cloned().collect()
    }
}

/// How many of `total` samples may be unreadable: never all of them.
pub fn allowed(share: f64, total: usize) -> usize {
    // 0.29 of 100 samples are 29, whatever their product is in binary.
    let share = (share * total as f64 + 1e-6).floor() as usize;
    share.min(total.saturating_sub(1))
}

fn left_out(reason: &str) -> String {
    format!("{reason}; left out")
}
