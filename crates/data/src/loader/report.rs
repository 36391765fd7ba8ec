//! Where the loader's time went.

use std::fmt;
use std::time::Instant;

/// What a sample's time is spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From disk to bytes.
    Read,
    /// From bytes to pixels.
    Decode,
    /// From pixels to the input.
    Transform,
    /// From text to ids.
    Tokenize,
}

impl Stage {
    /// All of them, in the order of work.
    pub const ALL: [Stage; 4] = [Stage::Read, Stage::Decode, Stage::Transform, Stage::Tokenize];

    /// One lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Decode => "decode",
            Stage::Transform => "transform",
            Stage::Tokenize => "tokenize",
        }
    }
}

/// Seconds spent in each stage, summed over threads.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stages {
    seconds: [f64; Stage::ALL.len()],
}

impl Stages {
    /// Runs `work` and books its time.
    pub fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.seconds[stage as usize] += start.elapsed().as_secs_f64();
        result
    }

    /// Seconds of one stage.
    pub fn seconds(&self, stage: Stage) -> f64 {
        self.seconds[stage as usize]
    }

    /// Adds another's seconds.
    pub fn add(&mut self, other: &Stages) {
        for (sum, seconds) in self.seconds.iter_mut().zip(other.seconds) {
            *sum += seconds;
        }
    }
}

/// What was loaded and where the time went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LoaderReport {
    /// Samples delivered.
    pub samples: u64,
    /// Batches delivered.
    pub batches: u64,
    /// Work, summed over threads.
    pub stages: Stages,
    /// Seconds in which the consumer stood still for the next batch; with 0 threads, all of the work.
    pub waiting: f64,
}

impl LoaderReport {
    /// Adds another epoch's report.
    pub fn add(&mut self, other: &LoaderReport) {
        self.samples += other.samples;
        self.batches += other.batches;
        self.stages.add(&other.stages);
        self.waiting += other.waiting;
    }

    /// Samples per second of one stage on one thread; `None` when no time was booked.
    pub fn rate(&self, stage: Stage) -> Option<f64> {
        let seconds = self.stages.seconds(stage);
        (seconds > 0.0).then(|| self.samples as f64 / seconds)
    }
}

impl fmt::Display for LoaderReport {
    /// `640 samples, waited 0.3 s; per thread: read 9000/s, decode 710/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples, waited {:.1} s", self.samples, self.waiting)?;
        let mut separator = "; per thread: ";
        for stage in Stage::ALL {
            if let Some(rate) = self.rate(stage) {
                write!(f, "{separator}{} {rate:.0}/s", stage.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}
