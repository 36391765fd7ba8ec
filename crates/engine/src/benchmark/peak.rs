//! The peak of memory since a moment, as Linux counts it.

use std::fs;

/// The mark of the highest resident memory, from a moment before the work.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// `None` where the system does not tell.
    before: Option<u64>,
    is_reset: bool,
}

impl Peak {
    /// From here on.
    pub fn start() -> Self {
        let is_reset = reset();
        Self { before: high_water(), is_reset }
    }

    /// Forgets the peaks of earlier work, where the system permits it; what was there at the start stays
    /// the measure.
    pub fn restart(&self) {
        reset();
    }

    /// Bytes by which the peak lies above the start.
    pub fn growth(&self) -> Option<u64> {
        Some(high_water()?.saturating_sub(self.before?))
    }

    /// What the numbers stand for.
    pub fn meaning(&self) -> &'static str {
        match (self.before, self.is_reset) {
            (None, _) => "not known on this system",
            (_, true) => "growth of VmHWM since before the model, reset before each stage",
            (_, false) => {
                "growth of VmHWM since before the model, which this system does not reset"
            }
        }
    }
}

/// Whether the kernel forgot its mark: it does so for whoever may write this file.
fn reset() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn high_water() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_was_taken_is_seen() {
        let peak = Peak::start();
        let taken = vec![1u8; 200 << 20];
        assert_eq!(taken.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 200 << 20);
        drop(taken);
        assert!(peak.growth().unwrap() >= 150 << 20);
    }
}
