//! Learning rate over the run: linear warm-up, then constant, linear or cosine decay to zero.

use std::f64::consts::PI;

/// The shape of the decay behind the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// Stays at the peak.
    Constant,
    /// Falls to zero in a straight line.
    Linear,
    /// Falls to zero along half a cosine.
    Cosine,
}

/// Multiplier of every peak learning rate as a function of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Shape behind the warm-up.
    pub decay: Decay,
    /// Steps of linear warm-up; step 0 already moves.
    pub warmup_steps: usize,
    /// Steps of the whole run, warm-up included.
    pub total_steps: usize,
}

impl Schedule {
    /// The factor for the update after `step` updates, 0 to 1.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let behind = (step - self.warmup_steps) as f64;
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let done = (behind / span).min(1.0);
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - done,
            Decay::Cosine => 0.5 * (1.0 + (PI * done).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(decay: Decay, warmup_steps: usize, expected: [f64; 5]) {
        let schedule = Schedule { decay, warmup_steps, total_steps: 10 };
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

    #[test]
    fn a_warm_up_longer_than_the_run_just_rises() {
        check(Decay::Cosine, 20, [0.05, 0.1, 0.15, 0.35, 0.55]);
    }
}
