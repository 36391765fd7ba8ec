//! The resolved settings of a run: how long, how often, how fast. Made from a spec by the family.

use hearth_data::random::Key;
use hearth_spec::common::{IntervalUnit, TrainCommon};

use crate::schedule::Schedule;

/// Everything that `fit` decides by; no keys of a spec, no files.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Passes over the data.
    pub epochs: usize,
    /// Optimizer updates per pass.
    pub steps_per_epoch: usize,
    /// Factor of the learning rates.
    pub schedule: Schedule,
    /// Largest global L2 norm of the gradients.
    pub clip_grad_norm: Option<f64>,
    /// When a checkpoint is written; one is always written at the end.
    pub checkpoint: Every,
    /// When the validation set is evaluated.
    pub validate: Every,
    /// Steps between points of the curves.
    pub log_interval: usize,
    /// Random numbers of the run.
    pub key: Key,
}

/// A recurring event, seen after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// At the end of every n-th epoch.
    Epochs(usize),
    /// After every n-th step of the run.
    Steps(usize),
    /// After every n-th step of each epoch.
    StepsOfEpoch(usize),
    /// Not at all.
    Never,
}

impl Every {
    /// What `checkpoint_interval` of a spec asks for.
    pub fn checkpoint(common: &TrainCommon) -> Every {
        match common.checkpoint_interval_unit {
            IntervalUnit::Epoch => Every::Epochs(common.checkpoint_interval),
            IntervalUnit::Step => Every::Steps(common.checkpoint_interval),
        }
    }
}

impl Plan {
    /// Optimizer updates of the whole run.
    pub fn total_steps(&self) -> usize {
        self.epochs * self.steps_per_epoch
    }

    /// The epoch that follows `step` updates and how many steps of it are done.
    pub fn position(&self, step: usize) -> (usize, usize) {
        (step / self.steps_per_epoch, step % self.steps_per_epoch)
    }

    /// The epoch, from 0, to which update number `step` (from 1) belonged.
    pub fn epoch_of(&self, step: usize) -> usize {
        step.saturating_sub(1) / self.steps_per_epoch
    }

    /// Whether `step` updates end an epoch.
    pub fn ends_epoch(&self, step: usize) -> bool {
        step > 0 && step.is_multiple_of(self.steps_per_epoch)
    }

    /// Whether `every` happens after `step` updates.
    pub fn is_due(&self, every: Every, step: usize) -> bool {
        match every {
            Every::Epochs(n) => {
                self.ends_epoch(step) && (step / self.steps_per_epoch).is_multiple_of(n)
            }
            Every::Steps(n) => step > 0 && step.is_multiple_of(n),
            Every::StepsOfEpoch(n) => {
                let done = step - self.epoch_of(step) * self.steps_per_epoch;
                done > 0 && done.is_multiple_of(n)
            }
            Every::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Decay;

    #[track_caller]
    fn check(every: Every, expected: &[usize]) {
        let schedule =
            Schedule { decay: Decay::Constant, warmup_steps: 0, rises_from: 1, total_steps: 12 };
        let plan = Plan {
            epochs: 3,
            steps_per_epoch: 4,
            schedule,
            clip_grad_norm: None,
            checkpoint: every,
            validate: Every::Never,
            log_interval: 1,
            key: Key::new(0),
        };
        let due: Vec<_> = (0..=12).filter(|step| plan.is_due(every, *step)).collect();
        assert_eq!(due, expected, "{every:?}");
    }

    #[test]
    fn events_of_three_epochs_of_four_steps() {
        check(Every::Epochs(1), &[4, 8, 12]);
        check(Every::Epochs(2), &[8]);
        check(Every::Steps(5), &[5, 10]);
        check(Every::StepsOfEpoch(3), &[3, 7, 11]);
        check(Every::StepsOfEpoch(4), &[4, 8, 12]);
        check(Every::Never, &[]);
    }
}
