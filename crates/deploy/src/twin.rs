//! The twin of a model in f16: the same roundings in an f32 graph, and a judgement over every node.
//!
//! A runtime that computes f16 nodes in f32 hides an overflow, and few machines have another. In the
//! twin weights hold what f16 can hold, and every result of an f16 node passes through f16, whatever
//! runs it. Beside it, in the same graph, runs the original, and of every f16 node the graph says how
//! large its results are and how far from the original's: a few numbers each, not the results.
//! What f16 sums lose inside a matrix product is not seen.

mod build;
mod judge;
mod run;

use std::{collections::HashMap, path::Path};

pub use judge::{Judgement, LARGEST};
pub use run::check;

use crate::{
    error::DeployError,
    half::HalfModel,
    onnx::{self, ModelProto},
    trt::TensorRtError,
};

/// The graph to run, and what its outputs mean.
#[derive(Debug, Clone)]
pub struct Twin {
    /// Twin, original and measures. Inputs are those of the model; all outputs are needed. Weights in f16
    /// become f32 where it is written: two of them in memory would be too much.
    pub model: ModelProto,
    /// What is measured, in the order of the measures.
    watched: Vec<Watched>,
    /// Outputs of the file: their names in the twin, and those of the original.
    outputs: Vec<(String, String)>,
}

/// A result that becomes f16.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    node: String,
    operator: String,
}

/// What a run of the graph gave: shape and values, by the name of the output.
pub type Run = HashMap<String, (Vec<usize>, Vec<f32>)>;

impl Twin {
    /// The twin of `half`, which was made of `original`.
    pub fn new(original: &ModelProto, half: &HalfModel) -> Twin {
        build::build(original, half)
    }

    /// Writes the graph, with its values in a file beside it: a runtime maps them and copies none.
    pub fn write(&self, path: &Path) -> Result<(), DeployError> {
        onnx::write_widened(&self.model, path)
    }

    /// Whether f16 serves what was run: every result finite and at most [`LARGEST`], every output
    /// close to the original's.
    pub fn judge(&self, run: &Run) -> Result<Judgement, TensorRtError> {
        judge::judge(self, run)
    }
}
