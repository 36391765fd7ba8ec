//! Top-1, top-5 and mean per-class accuracy of a classification, counted sample by sample.

use std::path::Path;

use crate::{atomic_file::FileError, confusion::Confusion, table::write_csv};

/// How many best scores may hold the true class.
const TOP: usize = 5;

/// What a classification gave so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    confusion: Confusion,
    /// Samples of each class that have it among their best scores.
    in_top5: Vec<u64>,
}

impl Tally {
    /// No sample yet.
    pub fn new(num_classes: usize) -> Self {
        Self { confusion: Confusion::new(num_classes), in_top5: vec![0; num_classes] }
    }

    /// Counts a sample of class `truth` by its finite `scores`, one for each class. Of equal scores
    /// that of the smaller class number counts as the better one.
    pub fn add(&mut self, truth: usize, scores: &[f32]) {
        let own = scores[truth];
        let before = scores[..truth].iter().filter(|score| **score >= own).count();
        let behind = scores[truth + 1..].iter().filter(|score| **score > own).count();
        if before + behind < TOP {
            self.in_top5[truth] += 1;
        }
        self.confusion.add(truth, best(scores));
    }

    /// Adds what another part of the samples gave, of the same classes.
    pub fn merge(&mut self, other: Self) {
        self.confusion.merge(other.confusion);
        self.in_top5.iter_mut().zip(other.in_top5).for_each(|(total, more)| *total += more);
    }

    /// What was taken for what.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// Samples of `class` that have it among their five best scores.
    pub fn in_top5(&self, class: usize) -> u64 {
        self.in_top5[class]
    }

    /// Share of the samples whose best score is that of their class.
    pub fn top1(&self) -> f64 {
        self.confusion.accuracy()
    }

    /// Share of the samples that have their class among the five best scores: all of them where there
    /// are at most five classes.
    pub fn top5(&self) -> f64 {
        self.in_top5.iter().sum::<u64>() as f64 / self.confusion.samples() as f64
    }

    /// Writes a line for every class, which has a key and a name: how many samples, how many of them right,
    /// and what they were most often taken for.
    pub fn write_per_class(
        &self,
        path: &Path,
        classes: &[(String, String)],
    ) -> Result<(), FileError> {
        const HEADER: [&str; 7] =
            ["class", "name", "pictures", "top1", "top5", "most_confused_with", "times"];
        let rows = classes.iter().enumerate().map(|(at, (key, name))| {
            let total = self.confusion.total(at);
            // Nothing is a share of no pictures.
            let share = |count: u64| match total {
                0 => String::new(),
                total => format!("{:.4}", count as f64 / total as f64),
            };
            let confused = self.confusion.most_confused(at);
            vec![
                key.clone(),
                name.clone(),
                total.to_string(),
                share(self.confusion.count(at, at)),
                share(self.in_top5(at)),
                confused.map_or_else(String::new, |(other, _)| classes[other].1.clone()),
                confused.map_or_else(String::new, |(_, count)| count.to_string()),
            ]
        });
        write_csv(path, [HEADER.map(str::to_owned).to_vec()].into_iter().chain(rows))
    }

    /// Mean over the classes that have samples of their share of right answers.
    pub fn mean_per_class(&self) -> f64 {
        self.confusion.mean_recall()
    }
}

/// The class of the largest score, the first of equal ones.
fn best(scores: &[f32]) -> usize {
    let better = |best: usize, at: usize| if scores[at] > scores[best] { at } else { best };
    (1..scores.len()).fold(0, better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_by_hand() {
        let mut tally = Tally::new(7);
        for (truth, scores, best_of) in [
            (0, [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0),
            // Fifth and sixth place.
            (0, [0.3, 0.1, 0.2, 0.9, 0.8, 0.7, 0.6], 3),
            (1, [0.3, 0.1, 0.2, 0.9, 0.8, 0.7, 0.6], 3),
            // All equal: the order of the classes decides.
            (4, [0.5; 7], 0),
            (5, [0.5; 7], 0),
        ] {
            let before = tally.confusion().count(truth, best_of);
            tally.add(truth, &scores);
            assert_eq!(tally.confusion().count(truth, best_of), before + 1, "{scores:?}");
        }
        assert_eq!((tally.in_top5(0), tally.in_top5(1)), (2, 0));
        assert_eq!((tally.in_top5(4), tally.in_top5(5)), (1, 0));
        assert_eq!((tally.top1(), tally.top5()), (0.2, 0.6));
        // Classes 0, 1, 4 and 5 have samples: 1/2, 0, 0, 0.
        assert_eq!(tally.mean_per_class(), 0.125);
    }

    #[test]
    fn five_classes_are_all_among_the_best_five() {
        let mut tally = Tally::new(5);
        tally.add(4, &[1.0, 0.9, 0.8, 0.7, 0.6]);
        assert_eq!((tally.top1(), tally.top5()), (0.0, 1.0));
    }
}
