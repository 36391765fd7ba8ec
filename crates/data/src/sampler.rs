//! Which samples an epoch holds, in which order and in which batch. A position in it is a number.

use crate::random::Key;

/// One pass over a dataset: a function of (seed, epoch, size), so nothing of it is ever saved.
#[derive(Debug, Clone)]
pub struct EpochPlan {
    order: Vec<usize>,
    batch_size: usize,
    drop_last: bool,
    samples: Key,
}

impl EpochPlan {
    /// Training: every sample once, in an order of this epoch's own; a partial last batch is left out.
    pub fn shuffled(seed: u64, epoch: u64, len: usize, batch_size: usize) -> EpochPlan {
        let key = Key::new(seed);
        let order = key.of("epoch order").at(epoch).rng().permutation(len);
        EpochPlan::new(order, batch_size, true, key.of("sample").at(epoch))
    }

    /// Evaluation: every sample once, in the order of the dataset; the last batch may be smaller.
    pub fn sequential(len: usize, batch_size: usize) -> EpochPlan {
        EpochPlan::new((0..len).collect(), batch_size, false, Key::new(0).of("sequential"))
    }

    fn new(order: Vec<usize>, batch_size: usize, drop_last: bool, samples: Key) -> EpochPlan {
        assert!(batch_size > 0, "a batch holds at least one sample");
        EpochPlan { order, batch_size, drop_last, samples }
    }

    /// How many batches the epoch has.
    pub fn num_batches(&self) -> usize {
        if self.drop_last {
            self.order.len() / self.batch_size
        } else {
            self.order.len().div_ceil(self.batch_size)
        }
    }

    /// The samples of one batch, counted from 0; empty past the end.
    pub fn batch(&self, batch: usize) -> &[usize] {
        if batch >= self.num_batches() {
            return &[];
        }
        let start = batch * self.batch_size;
        &self.order[start..self.order.len().min(start + self.batch_size)]
    }

    /// The size of all batches but perhaps the last.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The sample at a position of the epoch, batches laid end to end; `None` past the end.
    pub fn at(&self, position: usize) -> Option<usize> {
        let batched =
            if self.drop_last { self.num_batches() * self.batch_size } else { self.order.len() };
        self.order[..batched].get(position).copied()
    }

    /// Key of everything random about one sample in this epoch.
    pub fn sample_key(&self, index: usize) -> Key {
        self.samples.at(index as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(plan: &EpochPlan) -> Vec<&[usize]> {
        (0..plan.num_batches()).map(|batch| plan.batch(batch)).collect()
    }

    #[test]
    fn training_drops_the_rest_and_evaluation_keeps_it() {
        let plan = EpochPlan::shuffled(1, 0, 10, 3);
        assert_eq!(plan.num_batches(), 3);
        let mut seen: Vec<usize> = batches(&plan).concat();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9);
        let plan = EpochPlan::sequential(10, 4);
        assert_eq!(batches(&plan), [&[0, 1, 2, 3][..], &[4, 5, 6, 7], &[8, 9]]);
        assert!(plan.batch(3).is_empty());
    }

    #[test]
    fn fewer_samples_than_a_batch() {
        assert_eq!(EpochPlan::shuffled(1, 0, 2, 3).num_batches(), 0);
        assert_eq!(EpochPlan::sequential(2, 3).num_batches(), 1);
        assert_eq!(EpochPlan::sequential(0, 3).num_batches(), 0);
    }

    #[test]
    fn the_order_is_of_the_seed_and_the_epoch() {
        let order = |seed, epoch| EpochPlan::shuffled(seed, epoch, 100, 100).batch(0).to_vec();
        assert_eq!(order(1, 0), order(1, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_ne!(order(1, 0), order(2, 0));
        let key = |epoch, index| EpochPlan::shuffled(1, epoch, 100, 10).sample_key(index);
        assert_eq!(key(0, 5), key(0, 5));
        assert_ne!(key(0, 5), key(1, 5));
        assert_ne!(key(0, 5), key(0, 6));
    }
}
