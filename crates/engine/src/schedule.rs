//! Learning rate over the run: linear warm-up, then constant, in steps, or linear or cosine decay to zero.

use std::f64::consts::PI;

/// The shape of the decay behind the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Decay {
    /// Stays at the peak.
    Constant,
    /// Falls to zero in a straight line.
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
    /// Falls by a factor at each of these steps.
    Steps {
        /// Updates that are done when it falls.
        at: Vec<usize>,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

/// Multiplier of every peak learning rate as a function of the step.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Shape behind the warm-up.
    pub decay: Decay,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Where it begins: at 0 (transformers), or at 1, so that step 0 already moves (open_clip).
    pub rises_from: usize,
    /// Steps of the whole run, warm-up included.
    pub total_steps: usize,
}

impl Schedule {
    /// The factor for the update after `step` updates, 0 to 1.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return (step + self.rises_from) as f64 / self.warmup_steps as f64;
        }
        let behind = (step - self.warmup_steps) as f64;
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = (behind / span).min(1.0);
        match &self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 * (1.0 + (PI * done).cos()),
            Decay::Steps { at, factor } => {
                factor.powi(at.iter().filter(|fall| **fall <= step).count() as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(decay: Decay, warmup_steps: usize, expected: [f64; 5]) {
        let schedule =
            Schedule { decay: decay.clone(), warmup_steps, rises_from: 1, total_steps: 10 };
        for (step, expected) in [0, 1, 2, 6, 10].into_iter().zip(expected) {
            assert!((schedule.at(step) - expected).abs() < 1e-12, "{decay:?} at step {step}");
        }
    }

    #[test]
    fn warm_up_then_decay() {
        check(Decay::Constant, 2, [0.5, 1.0, 1.0, 1.0, 1.0]);
        check(Decay::Linear, 2, [0.5, 1.0, 1.0, 0.5, 0.0]);
        check(Decay::Cosine, 2, [0.5, 1.0, 1.0, 0.5, 0.0]);
        check(Decay::Linear, 0, [1.0, 0.9, 0.8, 0.4, 0.0]);
    }

    /// `mae.md` 9.5: what TAO's cosine gives.
    #[test]
    fn a_rise_from_zero() {
        let schedule =
            Schedule { decay: Decay::Cosine, warmup_steps: 100, rises_from: 0, total_steps: 1000 };
        for (step, rate) in [
            (0, 0.0),
            (1, 2e-6),
            (50, 1e-4),
            (99, 1.98e-4),
            (100, 2e-4),
            (101, 1.999994e-4),
            (550, 1e-4),
            (999, 6e-10),
            (1000, 0.0),
        ] {
            let found = 2e-4 * schedule.at(step);
            assert!((found - rate).abs() < 1e-10, "step {step}: {found}");
        }
    }

    #[test]
    fn falls_at_milestones() {
        let decay = Decay::Steps { at: vec![3, 6], factor: 0.1 };
        check(decay, 0, [1.0, 1.0, 1.0, 0.01, 0.01]);
    }

    #[test]
    fn a_warm_up_longer_than_the_run_just_rises() {
        check(Decay::Cosine, 20, [0.05, 0.1, 0.15, 0.35, 0.55]);
    }
}
