//! Why a run ended early.

use std::path::PathBuf;

use hearth_data::DataError;
use hearth_spec::Diagnostics;
use hearth_weights::WeightsError;

use crate::{atomic_file::FileError, optimizer::OptimizerStateError, run::Run, stop::Signal};

/// Training could not go on. Checkpoints written so far are untouched.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A loss or the gradient norm is infinite or not a number.
    #[error("step {step}: `{term}` is {value}; samples of this batch: {}", listed(.samples))]
    NotFinite {
        /// Update number, from 1.
        step: usize,
        /// Loss term or `grad_norm`.
        term: String,
        /// The value.
        value: f32,
        /// Names of the batch's samples.
        samples: Vec<String>,
        /// The newest checkpoint, which holds finite weights.
        last_good: Option<PathBuf>,
    },
    /// A signal asked for the end; a checkpoint was written.
    #[error("stopped by {signal:?} after step {step}, checkpoint {}", .checkpoint.display())]
    Stopped {
        /// What arrived.
        signal: Signal,
        /// Updates done.
        step: usize,
        /// Where to go on.
        checkpoint: PathBuf,
    },
    /// A signal ended an action that has nothing to continue.
    #[error("stopped by {signal:?}")]
    Interrupted {
        /// What arrived.
        signal: Signal,
    },
    /// The checkpoint belongs to another run.
    #[error("{}: {what} was {found} when this checkpoint was written, this run has {needed}", .checkpoint.display())]
    OtherRun {
        /// The checkpoint that was to be continued.
        checkpoint: PathBuf,
        /// What differs.
        what: String,
        /// In the checkpoint.
        found: String,
        /// In this run.
        needed: String,
    },
    /// The part of a checkpoint that only resuming needs is missing or damaged.
    #[error("{}: {reason}", .path.display())]
    State {
        /// File of the state.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system gives no threads.
    #[error("{threads} threads for replicas: the system does not give so many")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        source: rayon::ThreadPoolBuildError,
    },
    /// A key that only a running program can judge.
    #[error(transparent)]
    Spec(#[from] Diagnostics),
    /// A sample could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file of rows.
    #[error("{}: {reason}", .path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// What the HDF5 library said.
        reason: String,
    },
    /// The optimizer state is of another model.
    #[error(transparent)]
    Optimizer(#[from] OptimizerStateError),
}

impl EngineError {
    /// The end of an action that a signal ended.
    pub fn interrupted(run: &Run) -> EngineError {
        EngineError::Interrupted { signal: run.stop.requested().unwrap_or(Signal::Interrupt) }
    }

    /// Suggestions in the user's words.
    pub fn hints(&self) -> Vec<String> {
        match self {
            EngineError::NotFinite { last_good, .. } => {
                let mut hints = vec![
                    "lower the learning rates, lengthen the warm-up or set a gradient norm limit; \
                     empty captions and broken pictures do this too"
                        .to_owned(),
                ];
                if let Some(checkpoint) = last_good {
                    hints.push(format!("the last good checkpoint is {}", checkpoint.display()));
                }
                hints
            }
            EngineError::Stopped { .. } => {
                vec!["the same command continues from this checkpoint".to_owned()]
            }
            EngineError::OtherRun { .. } => vec![
                "use another results folder, or start from these weights with \
                 `train.pretrained_model_path`"
                    .to_owned(),
            ],
            EngineError::State { .. } => vec![
                "a checkpoint is continued together with the `.state` folder beside it; to start \
                 from its weights alone, name it in `train.pretrained_model_path`"
                    .to_owned(),
            ],
            EngineError::Threads { .. } => {
                vec!["lower `hearth.train.replicas` or RAYON_NUM_THREADS".to_owned()]
            }
            EngineError::Weights(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

/// The first few names and how many there are.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
