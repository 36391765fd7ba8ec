//! The scale of a loss whose gradients pass through f16.
//!
//! Source: arXiv 1710.03740; numbers of `torch.amp.GradScaler`.

use serde::{Deserialize, Serialize};

/// At the start.
const FIRST: f64 = 65536.0;
/// The scale doubles after so many steps without a skipped one.
const INTERVAL: u32 = 2000;

/// Gradients of a loss times the scale are large enough for f16; where they are too large the step is
/// skipped and the scale halved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScaler {
    scale: f64,
    /// Updates since the scale changed.
    good_steps: u32,
    /// Steps skipped since the start of training.
    skipped: u64,
}

impl Default for LossScaler {
    fn default() -> Self {
        Self { scale: FIRST, good_steps: 0, skipped: 0 }
    }
}

impl LossScaler {
    /// What the loss is multiplied by.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Steps skipped since the start of training.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes note of a step. False where it is to be skipped: its gradients are not finite, and a
    /// smaller scale may help.
    pub(crate) fn takes(&mut self, finite: bool) -> bool {
        if finite {
            self.passed();
        } else if self.scale > 1.0 {
            self.scale /= 2.0;
            self.good_steps = 0;
            self.skipped += 1;
            return false;
        }
        true
    }

    fn passed(&mut self) {
        self.good_steps += 1;
        if self.good_steps >= INTERVAL {
            self.good_steps = 0;
            let doubled = 2.0 * self.scale;
            if (doubled as f32).is_finite() {
                self.scale = doubled;
            }
        }
    }

    /// For the user, where steps were skipped.
    pub(crate) fn report(&self) -> Option<String> {
        let Self { scale, skipped, .. } = self;
        (*skipped > 0).then(|| format!("skipped steps so far: {skipped}, loss scale {scale}"))
    }

    /// What is wrong with one that was read from a file.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self { scale, good_steps, .. } = self;
        if !(1.0..=f64::from(f32::MAX)).contains(scale) {
            return Err(format!(
                "found a loss scale of {scale}, needed at least 1 and what f32 can hold"
            ));
        }
        if *good_steps >= INTERVAL {
            return Err(format!(
                "found {good_steps} steps at a loss scale, needed fewer than {INTERVAL}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_at_once_and_doubles_after_two_thousand_good_steps() {
        let mut scaler = LossScaler::default();
        for (skipped, scale) in [(1, 32768.0), (2, 16384.0)] {
            assert!(!scaler.takes(false));
            assert!((1..INTERVAL).all(|_| scaler.takes(true)));
            assert_eq!((scaler.scale(), scaler.skipped()), (scale, skipped));
        }
        assert!(scaler.takes(true));
        assert_eq!((scaler.scale(), scaler.skipped()), (32768.0, 2));
    }

    #[test]
    fn what_no_scale_cures_is_not_skipped() {
        let mut scaler = LossScaler::default();
        assert_eq!((0..20).filter(|_| !scaler.takes(false)).count(), 16);
        assert_eq!(scaler.scale(), 1.0);
    }

    #[test]
    fn stays_within_f32() {
        let mut scaler = LossScaler { scale: 2f64.powi(127), ..LossScaler::default() };
        assert!((0..INTERVAL).all(|_| scaler.takes(true)));
        assert_eq!(scaler.scale(), 2f64.powi(127));
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e39] {
            assert!(LossScaler { scale, ..scaler }.check().is_err(), "{scale}");
        }
        assert!(LossScaler { good_steps: INTERVAL, ..LossScaler::default() }.check().is_err());
        assert!(LossScaler::default().check().is_ok());
    }
}
