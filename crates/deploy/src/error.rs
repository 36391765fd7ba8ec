//! Why a model did not leave the house.

use std::{io, path::PathBuf};

use crate::trt::TensorRtError;

/// Every variant names the file; [`DeployError::hints`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// Nothing stands at the path.
    #[error("{}: not found", .path.display())]
    Missing {
        /// As the user wrote it.
        path: PathBuf,
    },
    /// The operating system refused to read.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("{}: cannot be written", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Not an ONNX file, or one that was cut short.
    #[error("{}: {problem}", .path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What was found, and what is needed.
        problem: String,
    },
    /// A tensor whose values lie in another file, which is not as the model says.
    #[error("{}: tensor `{tensor}` has its values in `{location}`, {problem}", .path.display())]
    ExternalData {
        /// The model.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Where its values should lie, as the model says.
        location: String,
        /// What is wrong with it.
        problem: String,
    },
    /// On the way to a TensorRT engine.
    #[error(transparent)]
    TensorRt(#[from] TensorRtError),
}

impl DeployError {
    /// What the user may do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            DeployError::ExternalData { location, .. } => format!(
                "a large ONNX model is two files that stay together: put `{location}` beside it under exactly that name"
            ),
            DeployError::NotOnnx { .. } => {
                "copy or export the file again, and compare its size with that of the original"
                    .to_owned()
            }
            DeployError::TensorRt(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
