//! Top-1, top-5 and mean per-class accuracy of a classification, counted sample by sample.

use crate::confusion::Confusion;

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
