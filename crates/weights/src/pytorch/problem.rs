//! Why a file that looks like PyTorch's was not taken.

use crate::header::MAX_HEADER_BYTES;

/// The longest pickle that is read, tensors not counted.
pub(crate) const MAX_PICKLE_BYTES: u64 = MAX_HEADER_BYTES;
/// How many values a pickle may hold, each counted as often as something holds it.
pub(crate) const MAX_VALUES: usize = 8_000_000;
/// How many of its values may stand inside each other.
pub(crate) const MAX_DEPTH: usize = 100;

/// The rule that a PyTorch file breaks.
#[derive(Debug, thiserror::Error)]
pub enum PyTorchProblem {
    /// Neither container of `torch.save`.
    #[error("begins with neither a zip archive nor the mark of older PyTorch files")]
    Unknown,
    /// The zip archive around it.
    #[error("its zip archive cannot be read: {problem}")]
    Archive {
        /// What is wrong.
        problem: String,
        /// Whether it looks like a download that stopped.
        cut: bool,
    },
    /// One entry of that archive.
    #[error("its entry `{name}` {problem}")]
    Entry {
        /// Name inside the archive.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The file ends too early.
    #[error("ends at byte {at}, in the middle of {what}")]
    Cut {
        /// Where it ends.
        at: u64,
        /// What was being read.
        what: String,
    },
    /// Something in the pickle that cannot be.
    #[error("byte {at} of its pickle: {problem}")]
    Pickle {
        /// Position in the pickle.
        at: usize,
        /// What is wrong.
        problem: String,
    },
    /// The pickle would run a program or a piece of Python.
    #[error("its pickle asks for `{name}`, which runs code and belongs in no checkpoint")]
    RunsCode {
        /// The function, with its module.
        name: String,
    },
    /// More than is read.
    #[error("its pickle has more than {limit} {what}, which is the limit")]
    Limit {
        /// The largest number.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// One tensor cannot be read from its storage.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A pickle without weights.
    #[error("holds {found}, need a dictionary of tensors")]
    NoTensors {
        /// What stands there.
        found: String,
    },
    /// Written by a processor with the other order of bytes.
    #[error("its numbers are big-endian, need little-endian")]
    BigEndian,
}

impl PyTorchProblem {
    /// What the user can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            PyTorchProblem::Cut { .. } | PyTorchProblem::Archive { cut: true, .. } => {
                Some("the file is incomplete: download or copy it again".to_owned())
            }
            PyTorchProblem::RunsCode { .. } => {
                Some("nothing of it was executed; do not open this file with Python".to_owned())
            }
            PyTorchProblem::NoTensors { .. } => Some(
                "save the `state_dict()` of the model, not the model object or a part of it"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
