//! Why a checkpoint did not become a model, or a model did not become a checkpoint.

use std::path::PathBuf;

use crate::{
    header::HeaderProblem, hub::HubError, mismatch::Mismatch, names::in_backticks,
    pytorch::PyTorchProblem, refused::Foreign,
};

/// Every variant names the file; [`WeightsError::hints`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// Nothing stands at the path.
    #[error("{}: not found", .path.display())]
    Missing {
        /// As the user wrote it.
        path: PathBuf,
        /// A file that stands beside it and was probably meant.
        beside: Option<PathBuf>,
    },
    /// The operating system refused, or the file ended early.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file that was being read.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Neither safetensors nor PyTorch's; its content is never executed or unpacked.
    #[error("{}: found {foreign}, need a safetensors or PyTorch file or a folder that holds one", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it is.
        foreign: Foreign,
    },
    /// The header breaks a rule of the safetensors format.
    #[error("{}: not a valid safetensors file: {problem}", .path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The first rule that it breaks.
        problem: HeaderProblem,
    },
    /// A file of PyTorch that cannot be read, or should not be.
    #[error("{}: not a PyTorch file that can be read: {problem}", .path.display())]
    PyTorch {
        /// The file.
        path: PathBuf,
        /// The first rule that it breaks.
        problem: PyTorchProblem,
    },
    /// A folder without weights that can be read.
    #[error("{}: the folder holds no weights, need one of {}", .path.display(), in_backticks(.needed))]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// Names that would have been taken.
        needed: Vec<String>,
        /// Files of foreign formats that lie there.
        foreign: Vec<String>,
    },
    /// A folder with several candidates and no rule to choose.
    #[error("{}: found {} files of weights ({}), need one, or an index that joins them", .path.display(), .found.len(), in_backticks(.found))]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// Names of the candidates.
        found: Vec<String>,
    },
    /// The index of a sharded checkpoint is wrong, or disagrees with its shards.
    #[error("{}: {problem}", .path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong, with names.
        problem: String,
    },
    /// A configuration beside the weights is not JSON.
    #[error("{}: {problem}", .path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A tensor was asked for that the file does not hold.
    #[error("{}: no tensor `{name}`", .path.display())]
    NoTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The nearest name in the file.
        nearest: Option<String>,
    },
    /// A tensor of a type that cannot be read as asked.
    #[error("{}: tensor `{name}` has type {dtype}, need {needed}", .path.display())]
    WrongDtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: &'static str,
        /// The types that would do.
        needed: &'static str,
    },
    /// None of the known layouts fits the names of the file.
    #[error("{}: found no known layout among its {tensors} tensors, looked for {}", .path.display(), looked_for(.layouts))]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// How many tensors the file holds.
        tensors: usize,
        /// Each known layout with the names that the file lacks.
        layouts: Vec<(String, Vec<String>)>,
        /// A few names that the file does hold.
        sample: Vec<String>,
    },
    /// A key map that does not fit the model: a mistake in the program, not of the user.
    #[error("key map `{map}`: {}", .problems.join("; "))]
    KeyMap {
        /// Name of the map.
        map: String,
        /// Every problem found.
        problems: Vec<String>,
    },
    /// File and model differ; the model was not touched.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
    /// The file holds a model that is not the one that was asked for; values were not compared.
    #[error("{}: found {found}, need {needed}", .path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        needed: String,
        /// What the user can do.
        hint: Option<String>,
    },
    /// A hub name did not become a local file.
    #[error(transparent)]
    Hub(Box<HubError>),
    /// The file was not written; nothing is left behind and a former file still stands.
    #[error("{}: cannot be written", .path.display())]
    NotWritten {
        /// The file that was to be written.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What was to be written does not agree with what was announced: a mistake in the program.
    #[error("{}: tensor `{name}`: {problem}", .path.display())]
    Unwritable {
        /// The file that was to be written.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl WeightsError {
    /// What the user can do, one action each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            WeightsError::Missing { beside: Some(beside), .. } => {
                vec![format!("`{}` stands beside it", beside.display())]
            }
            WeightsError::Refused { path, foreign } => {
                foreign.conversion(path).into_iter().collect()
            }
            WeightsError::NoWeights { path, foreign, .. } => foreign
                .first()
                .and_then(|name| Foreign::by_name(name)?.conversion(&path.join(name)))
                .into_iter()
                .collect(),
            WeightsError::Ambiguous { path, found } => found
                .first()
                .map(|name| {
                    format!("name the file itself, such as `{}`", path.join(name).display())
                })
                .into_iter()
                .collect(),
            WeightsError::NoTensor { nearest: Some(nearest), .. } => {
                vec![format!("did you mean `{nearest}`?")]
            }
            WeightsError::Header { problem, .. } if problem.looks_cut() => {
                vec!["the file is incomplete: download or copy it again".to_owned()]
            }
            WeightsError::PyTorch { problem, .. } => problem.hint().into_iter().collect(),
            WeightsError::Unrecognised { sample, .. } if !sample.is_empty() => {
                vec![format!("the file holds {}", in_backticks(sample))]
            }
            WeightsError::OtherModel { hint, .. } => hint.iter().cloned().collect(),
            WeightsError::Mismatch(mismatch) => mismatch.hints(),
            WeightsError::Hub(error) => error.hints(),
            _ => Vec::new(),
        }
    }
}

impl From<HubError> for WeightsError {
    fn from(error: HubError) -> WeightsError {
        WeightsError::Hub(Box::new(error))
    }
}

fn looked_for(layouts: &[(String, Vec<String>)]) -> String {
    let each: Vec<String> = layouts
        .iter()
        .map(|(layout, names)| format!("{layout} ({})", in_backticks(names)))
        .collect();
    each.join(", ")
}
