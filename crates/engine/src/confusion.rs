//! What a classification took for what: counts, and the files that show them.

mod svg;

use std::{collections::BTreeMap, path::Path};

use crate::{
    atomic_file::{self, FileError},
    table::write_csv,
};

/// Most classes whose counts are written as a matrix; of more, those that are not zero are listed.
const LARGEST_MATRIX: usize = 1000;

/// Counts of (true class, predicted class). Memory grows with the pairs that occur, not with their
/// possible number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: BTreeMap<(usize, usize), u64>,
    /// Samples of each class.
    totals: Vec<u64>,
}

impl Confusion {
    /// No sample yet.
    pub fn new(num_classes: usize) -> Self {
        Self { counts: BTreeMap::new(), totals: vec![0; num_classes] }
    }

    /// Counts a sample of class `truth` that was taken for `predicted`; both are known classes.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        assert!(predicted < self.totals.len(), "class {predicted} of {}", self.totals.len());
        self.totals[truth] += 1;
        *self.counts.entry((truth, predicted)).or_default() += 1;
    }

    /// Adds what another part of the samples gave, of the same classes.
    pub fn merge(&mut self, other: Self) {
        self.totals.iter_mut().zip(other.totals).for_each(|(total, more)| *total += more);
        for (pair, count) in other.counts {
            *self.counts.entry(pair).or_default() += count;
        }
    }

    /// How many classes there are.
    pub fn num_classes(&self) -> usize {
        self.totals.len()
    }

    /// How many samples were counted.
    pub fn samples(&self) -> u64 {
        self.totals.iter().sum()
    }

    /// Samples of class `truth`.
    pub fn total(&self, truth: usize) -> u64 {
        self.totals[truth]
    }

    /// Samples of class `truth` that were taken for `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(&(truth, predicted)).copied().unwrap_or(0)
    }

    /// Share of all samples that were taken for what they are; NaN without samples.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.num_classes()).map(|class| self.count(class, class)).sum();
        right as f64 / self.samples() as f64
    }

    /// Mean of that share over the classes that have samples; NaN without samples.
    pub fn mean_recall(&self) -> f64 {
        let with = (0..self.num_classes()).filter(|class| self.total(*class) > 0);
        let recalls: Vec<f64> =
            with.map(|c| self.count(c, c) as f64 / self.total(c) as f64).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// The wrong class that samples of `truth` were most often taken for, and how often; the first
    /// of equally frequent ones.
    pub fn most_confused(&self, truth: usize) -> Option<(usize, u64)> {
        let row = self.counts.range((truth, 0)..=(truth, usize::MAX));
        let wrong = row.filter(|((_, predicted), _)| *predicted != truth);
        // Of equal keys `max_by_key` takes the last.
        wrong.rev().max_by_key(|(_, count)| **count).map(|((_, class), count)| (*class, *count))
    }

    /// Writes the counts: rows are true classes and columns predicted ones. Above 1000 classes
    /// a line is a pair that occurs: true class, predicted class, count.
    pub fn write_csv(&self, path: &Path, names: &[String]) -> Result<(), FileError> {
        if self.num_classes() > LARGEST_MATRIX {
            let header = ["true", "predicted", "count"].map(str::to_owned).to_vec();
            let pairs = self.counts.iter().map(|((truth, predicted), count)| {
                vec![names[*truth].clone(), names[*predicted].clone(), count.to_string()]
            });
            return write_csv(path, [header].into_iter().chain(pairs));
        }
        let header = [&["true \\ predicted".to_owned()], names].concat();
        let rows = (0..self.num_classes()).map(|truth| {
            let counts = (0..names.len()).map(|predicted| self.count(truth, predicted).to_string());
            [names[truth].clone()].into_iter().chain(counts).collect()
        });
        write_csv(path, [header].into_iter().chain(rows))
    }

    /// Writes a picture: rows are true classes, columns predicted ones, the colour of a cell is its
    /// share of the row, its count a tooltip.
    pub fn write_svg(&self, path: &Path, names: &[String]) -> Result<(), FileError> {
        atomic_file::write_with(path, |file| svg::draw(file, self, names))
    }

    /// The pairs that occur, row after row.
    fn pairs(&self) -> impl Iterator<Item = ((usize, usize), u64)> + '_ {
        self.counts.iter().map(|(pair, count)| (*pair, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class, {class}")).collect()
    }

    #[test]
    fn counts_and_means_by_hand() {
        let mut confusion = Confusion::new(4);
        for (truth, predicted) in [(0, 0), (0, 2), (0, 1), (1, 1), (3, 0), (3, 2), (3, 2)] {
            confusion.add(truth, predicted);
        }
        assert_eq!(confusion.accuracy(), 2.0 / 7.0);
        assert_eq!(confusion.mean_recall(), (1.0 / 3.0 + 1.0 + 0.0) / 3.0);
        let confused: Vec<_> = (0..4).map(|class| confusion.most_confused(class)).collect();
        assert_eq!(confused, [Some((1, 1)), None, None, Some((2, 2))]);
    }

    #[test]
    fn the_matrix_as_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confusion.csv");
        let mut confusion = Confusion::new(2);
        for (truth, predicted) in [(0, 1), (0, 1), (1, 1)] {
            confusion.add(truth, predicted);
        }
        confusion.write_csv(&path, &names(2)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "true \\ predicted,\"class, 0\",\"class, 1\"\n\"class, 0\",0,2\n\"class, 1\",0,1\n"
        );
    }

    #[test]
    fn a_large_matrix_is_a_list_of_what_occurs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("confusion.csv");
        let mut confusion = Confusion::new(2_000_000);
        confusion.add(1_999_999, 7);
        confusion.write_csv(&path, &names(2_000_000)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "true,predicted,count\n\"class, 1999999\",\"class, 7\",1\n"
        );
    }
}
