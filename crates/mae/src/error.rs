//! What can go wrong in an action of this network.

use std::path::PathBuf;

use hearth_data::DataError;
use hearth_deploy::DeployError;
use hearth_engine::{EngineError, FileError};
use hearth_spec::Diagnostics;
use hearth_weights::WeightsError;

/// Why an action ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum MaeError {
    /// The spec, with every mistake in it.
    #[error(transparent)]
    Spec(#[from] Diagnostics),
    /// Pictures or their classes.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A checkpoint does not fit the model.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Training ended early.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A result could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A graph cannot be made, read or run.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A checkpoint's account of itself is damaged or not of this release.
    #[error("{}: this checkpoint's recipe cannot be used: {reason}", .path.display())]
    Recipe {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An answer of the model is infinite or not a number.
    #[error("{sample}: the model's answer is not finite")]
    NotFinite {
        /// The picture.
        sample: String,
    },
}

impl MaeError {
    /// Suggestions in the user's words.
    pub fn hints(&self) -> Vec<String> {
        match self {
            MaeError::Weights(error) => error.hints(),
            MaeError::Engine(error) => error.hints(),
            MaeError::Deploy(error) => error.hints(),
            MaeError::Recipe { .. } => vec![
                "fine-tune from it as from plain weights: name the file in \
                 `train.pretrained_model_path` and the architecture in `model.arch`"
                    .to_owned(),
            ],
            MaeError::NotFinite { .. } => vec![
                "the weights hold values that are not finite: take an earlier checkpoint"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}
