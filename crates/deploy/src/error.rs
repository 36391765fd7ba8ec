//! Why a model did not leave the house.

use std::{
    io,
    path::{Path, PathBuf},
};

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
    /// The operating system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that an export would replace.
    #[error("{}: this file exists already, need the name of a new one", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Not an ONNX file, or one that was cut short.
    #[error("{}: {problem}", .path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What was found, and what is needed.
        problem: String,
    },
    /// A forward pass that is not the same operations for every batch.
    #[error("the forward pass cannot be recorded: {problem}")]
    Recording {
        /// What was found.
        problem: String,
    },
    /// An operation without a form in ONNX.
    #[error("operation `{operation}` in `{module}` {problem}")]
    Lowering {
        /// The operation, as the framework calls it.
        operation: String,
        /// Where it stands in the model.
        module: String,
        /// Why it cannot be exported.
        problem: String,
    },
    /// The library that runs ONNX is not there.
    #[error("ONNX Runtime is not found: {problem}")]
    NoOnnxRuntime {
        /// Where it was looked for.
        problem: String,
    },
    /// A runtime refuses a model, or to run it.
    #[error("{}: {runtime} {problem}", .path.display())]
    Runtime {
        /// The model.
        path: PathBuf,
        /// What runs it.
        runtime: &'static str,
        /// What it said.
        problem: String,
    },
    /// An input that the model does not take.
    #[error("{}: input `{input}` {problem}", .path.display())]
    Input {
        /// The model.
        path: PathBuf,
        /// The input.
        input: String,
        /// What was found, and what is needed.
        problem: String,
    },
    /// A model that does not compute what it was made from.
    #[error("{}: {problem}", .path.display())]
    Rejected {
        /// Where the model stands now.
        path: PathBuf,
        /// How far it is off, and where that begins.
        problem: String,
    },
    /// A model that breaks a rule of the format.
    #[error("{}: node `{node}` {problem}", .path.display())]
    Structure {
        /// The model.
        path: PathBuf,
        /// The node or value.
        node: String,
        /// What is wrong with it.
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
    TensorRt(TensorRtError),
}

/// What the operating system refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// To read.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// To write.
    #[error("{}: cannot be written", .path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl FileError {
    /// What reading `path` ended with.
    pub(crate) fn reading(path: &Path) -> impl Fn(io::Error) -> FileError {
        move |source| FileError::Unreadable { path: path.to_owned(), source }
    }

    /// What writing `path` ended with.
    pub(crate) fn writing(path: &Path) -> impl Fn(io::Error) -> FileError {
        move |source| FileError::Unwritable { path: path.to_owned(), source }
    }
}

impl From<TensorRtError> for DeployError {
    fn from(error: TensorRtError) -> DeployError {
        match error {
            TensorRtError::File(error) => DeployError::File(error),
            other => DeployError::TensorRt(other),
        }
    }
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
            DeployError::Exists { .. } => {
                "delete the file, or name another one in `export.onnx_file`".to_owned()
            }
            DeployError::NoOnnxRuntime { .. } => return get_onnx_runtime(),
            DeployError::Rejected { .. } => {
                "the file is kept for a look at it; this is a defect of the program, please report it"
                    .to_owned()
            }
            DeployError::TensorRt(error) => return error.hints(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// The two commands that fetch ONNX Runtime.
pub fn get_onnx_runtime() -> Vec<String> {
    [
        "pip download onnxruntime==1.31.1 --no-deps -d ort && unzip -j ort/onnxruntime-*.whl '*/libonnxruntime.so*' -d ort",
        "export ORT_DYLIB_PATH=$PWD/ort/libonnxruntime.so.1.31.1",
    ]
    .map(str::to_owned)
    .into()
}
