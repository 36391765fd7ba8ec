//! What a benchmark found, as JSON for programs and as a table for people.

use std::fmt;

use serde::Serialize;

use super::{Machine, Timing};

/// Everything that was measured, and on what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What it ran on.
    pub machine: Machine,
    /// Graphics processor as its driver names it; none where the processor computes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Threads that compute tensors, over all replicas.
    pub threads: usize,
    /// Parts of the processor that each compute a part of a batch.
    pub replicas: usize,
    /// Arithmetic.
    pub precision: String,
    /// The model's name.
    pub model: String,
    /// Where the samples come from.
    pub data: String,
    /// Samples of a step.
    pub batch_size: usize,
    /// In how many turns a step goes.
    pub micro_batches: usize,
    /// Steps that count.
    pub steps: usize,
    /// GFLOP/s of a large product of matrices on all threads.
    pub matmul_gflops: f64,
    /// What `peak_bytes` stands for.
    pub peak: &'static str,
    /// Samples made, no model at work.
    pub loader: StageReport,
    /// The forward pass of evaluation.
    pub forward: StageReport,
    /// The same in ONNX Runtime, exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onnx_runtime: Option<StageReport>,
    /// Why there is no such number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_onnx_runtime: Option<String>,
    /// A step of training, the loader included.
    pub training_step: StageReport,
    /// Training steps with other numbers of replicas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Tuned>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReport {
    /// A step in the middle.
    pub median_ms: f64,
    /// All steps together, as `time_per_step` of a training counts.
    pub mean_ms: f64,
    /// The fastest step.
    pub min_ms: f64,
    /// Samples per second of the step in the middle.
    pub items_per_s: f64,
    /// See [`Report::peak`].
    pub peak_bytes: Option<u64>,
    /// Arithmetic of the model in the step in the middle; none where it is not at work.
    pub gflops: Option<f64>,
    /// Of [`Report::matmul_gflops`].
    pub share_of_matmul_rate: Option<f64>,
}

/// A training step with a number of replicas.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// How many.
    pub replicas: usize,
    /// Of each.
    pub threads: usize,
    /// A step in the middle.
    pub median_ms: f64,
    /// The fastest step.
    pub min_ms: f64,
}

impl StageReport {
    /// Of steps of `items` samples that take `flops` operations each, beside `matmul_gflops`.
    pub fn new(
        timing: &Timing,
        items: usize,
        peak_bytes: Option<u64>,
        flops: Option<f64>,
        matmul_gflops: f64,
    ) -> Self {
        let seconds = timing.median();
        let gflops = flops.map(|flops| flops * items as f64 / seconds / 1e9);
        Self {
            median_ms: rounded(seconds * 1e3),
            mean_ms: rounded(timing.mean() * 1e3),
            min_ms: rounded(timing.min() * 1e3),
            items_per_s: rounded(items as f64 / seconds),
            peak_bytes,
            gflops: gflops.map(rounded),
            share_of_matmul_rate: gflops.map(|gflops| rounded(gflops / matmul_gflops)),
        }
    }
}

impl Tuned {
    /// Of `replicas` with `threads` each.
    pub fn new(replicas: usize, threads: usize, timing: &Timing) -> Self {
        let (median_ms, min_ms) = (rounded(timing.median() * 1e3), rounded(timing.min() * 1e3));
        Self { replicas, threads, median_ms, min_ms }
    }
}

impl Report {
    /// One JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts")
    }

    /// The number of replicas with the fastest step in the middle.
    pub fn best(&self) -> Option<&Tuned> {
        self.tuned.iter().min_by(|a, b| a.median_ms.total_cmp(&b.median_ms))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { processor, system, architecture, cores } = &self.machine;
        let turns = match self.micro_batches {
            1 => String::new(),
            turns => format!(" in {turns} micro-batches"),
        };
        if let Some(device) = &self.device {
            writeln!(f, "{:10}{device}", "device")?;
        }
        for (name, value) in [
            ("machine", format!("{processor}, {cores} cores, {system} {architecture}")),
            ("model", format!("{}, {}", self.model, self.precision)),
            ("data", self.data.clone()),
            ("batch", format!("{}{turns}", self.batch_size)),
            ("replicas", format!("{} on {} threads", self.replicas, self.threads)),
            ("matmul", format!("{:.0} GFLOP/s", self.matmul_gflops)),
            ("memory", self.peak.to_owned()),
        ] {
            writeln!(f, "{name:10}{value}")?;
        }
        writeln!(
            f,
            "\n{:14}{:>11}{:>11}{:>11}{:>11}{:>10}{:>11}",
            "", "median ms", "min ms", "items/s", "peak MB", "GFLOP/s", "of matmul"
        )?;
        for (name, stage) in [
            ("loader", Some(&self.loader)),
            ("forward", Some(&self.forward)),
            ("  ONNX Runtime", self.onnx_runtime.as_ref()),
            ("training step", Some(&self.training_step)),
        ] {
            let Some(stage) = stage else { continue };
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            writeln!(
                f,
                "{name:14}{:>11.1}{:>11.1}{:>11.1}{:>11}{:>10}{:>11}",
                stage.median_ms,
                stage.min_ms,
                stage.items_per_s,
                or_none(stage.peak_bytes.map(|bytes| format!("{:.0}", bytes as f64 / 1e6))),
                or_none(stage.gflops.map(|gflops| format!("{gflops:.0}"))),
                or_none(stage.share_of_matmul_rate.map(|share| format!("{share:.2}"))),
            )?;
        }
        if let Some(reason) = &self.no_onnx_runtime {
            writeln!(f, "no number of ONNX Runtime: {reason}")?;
        }
        if !self.tuned.is_empty() {
            writeln!(f, "\n{:14}{:>11}{:>11}{:>11}", "replicas", "threads", "median ms", "min ms")?;
        }
        for Tuned { replicas, threads, median_ms, min_ms } in &self.tuned {
            writeln!(f, "{replicas:<14}{threads:>11}{median_ms:>11.1}{min_ms:>11.1}")?;
        }
        Ok(())
    }
}

/// Four digits behind the point: more say nothing.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
