//! Why the program ends badly: what it prints, what `status.json` keeps, what it exits with.
//!
//! The errors of all crates meet here, and nowhere else.

use std::{error::Error, io, path::Path};

use hearth_data::DataError;
use hearth_deploy::{DeployError, FileError as FileRefused, trt::Blame};
use hearth_engine::{DeviceError, EngineError, Failure, FileError};
use hearth_spec::Diagnostics;
use hearth_weights::WeightsError;

/// Exit codes; ARCHITECTURE.md and the README list them.
pub(crate) mod exit {
    pub(crate) const OTHER: u8 = 1;
    pub(crate) const SPEC: u8 = 2;
    pub(crate) const DATA: u8 = 3;
    pub(crate) const WEIGHTS: u8 = 4;
    pub(crate) const DEVICE: u8 = 5;
    pub(crate) const DIVERGED: u8 = 6;
    pub(crate) const REJECTED: u8 = 7;
    pub(crate) const NO_LIBRARY: u8 = 8;
}

/// An error that has reached the edge of the program.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) exit_code: u8,
    /// TAO's class of the error, for `status.json`.
    pub(crate) class: Failure,
    /// One line, for `status.json`.
    pub(crate) reason: String,
    /// For the terminal: the error, its causes, what to do.
    pub(crate) report: String,
}

impl Failed {
    /// Error and causes as `error:` and `caused by:`, then the hints.
    pub(crate) fn new(
        exit_code: u8,
        class: Failure,
        error: &dyn Error,
        hints: &[String],
    ) -> Failed {
        let mut reason = error.to_string();
        let mut report = format!("error: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(&format!(": {error}"));
            report.push_str(&format!("\n  caused by: {error}"));
            cause = error.source();
        }
        add_hints(&mut report, hints);
        Failed { exit_code, class, reason, report }
    }

    /// The command line itself is wrong.
    pub(crate) fn usage(message: impl Into<String>, hints: &[String]) -> Failed {
        let reason = message.into();
        let mut report = format!("error: {reason}");
        add_hints(&mut report, hints);
        Failed { exit_code: exit::OTHER, class: Failure::Configuration, reason, report }
    }

    /// Something at `path` that is not the engine's.
    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Failed {
        FileError { doing, path: path.to_owned(), source }.into()
    }
}

fn add_hints(report: &mut String, hints: &[String]) {
    for (at, hint) in hints.iter().enumerate() {
        let gap = if at == 0 { "\n\n" } else { "\n" };
        report.push_str(&format!("{gap}hint: {hint}"));
    }
}

/// Prints itself, with positions and hints.
impl From<Diagnostics> for Failed {
    fn from(found: Diagnostics) -> Failed {
        let headlines: Vec<_> = found.errors().map(|one| one.headline()).collect();
        Failed {
            exit_code: exit::SPEC,
            class: Failure::Configuration,
            reason: headlines.join("; "),
            report: found.to_string(),
        }
    }
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Failed {
        Failed::new(exit::OTHER, Failure::FileSystem, &error, &[])
    }
}

impl From<DeviceError> for Failed {
    fn from(error: DeviceError) -> Failed {
        Failed::new(exit::DEVICE, Failure::Validation, &error, &error.hints())
    }
}

impl From<DataError> for Failed {
    fn from(error: DataError) -> Failed {
        let class = match error {
            DataError::Unreadable { .. } | DataError::NoFolder { .. } => Failure::FileSystem,
            _ => Failure::Validation,
        };
        Failed::new(exit::DATA, class, &error, &error.hints())
    }
}

impl From<WeightsError> for Failed {
    fn from(error: WeightsError) -> Failed {
        let class = match error {
            WeightsError::Missing { .. }
            | WeightsError::Unreadable { .. }
            | WeightsError::NoWeights { .. }
            | WeightsError::Hub(_)
            | WeightsError::NotWritten { .. } => Failure::FileSystem,
            _ => Failure::Validation,
        };
        Failed::new(exit::WEIGHTS, class, &error, &error.hints())
    }
}

impl From<DeployError> for Failed {
    fn from(error: DeployError) -> Failed {
        let (exit_code, class) = match error {
            DeployError::Rejected { .. } => (exit::REJECTED, Failure::Validation),
            DeployError::NoOnnxRuntime { .. } => (exit::NO_LIBRARY, Failure::Configuration),
            DeployError::File(FileRefused::Unwritable { .. }) | DeployError::Exists { .. } => {
                (exit::OTHER, Failure::FileSystem)
            }
            DeployError::Recording { .. }
            | DeployError::Lowering { .. }
            | DeployError::Structure { .. } => (exit::OTHER, Failure::Other),
            DeployError::Missing { .. } | DeployError::File(_) => {
                (exit::WEIGHTS, Failure::FileSystem)
            }
            DeployError::NotOnnx { .. }
            | DeployError::ExternalData { .. }
            | DeployError::Runtime { .. }
            | DeployError::Input { .. } => (exit::WEIGHTS, Failure::Validation),
            DeployError::TensorRt(ref error) => match error.blame() {
                Blame::Spec => (exit::SPEC, Failure::Configuration),
                Blame::Files => (exit::OTHER, Failure::FileSystem),
                Blame::Model => (exit::WEIGHTS, Failure::Validation),
                Blame::Numbers => (exit::REJECTED, Failure::Validation),
                Blame::Machine => (exit::DEVICE, Failure::Validation),
                Blame::Installation => (exit::NO_LIBRARY, Failure::Configuration),
                Blame::Builder => (exit::OTHER, Failure::Other),
            },
        };
        Failed::new(exit_code, class, &error, &error.hints())
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        let hints = error.hints();
        match error {
            EngineError::Spec(found) => found.into(),
            EngineError::Data(error) => error.into(),
            EngineError::Weights(error) => error.into(),
            EngineError::File(error) => error.into(),
            EngineError::NotFinite { .. } => {
                Failed::new(exit::DIVERGED, Failure::Other, &error, &hints)
            }
            EngineError::Stopped { signal, .. } | EngineError::Interrupted { signal } => {
                let stopped = Failed::new(signal.exit_code(), Failure::Interrupted, &error, &hints);
                // What the user asked for is no error.
                let report = stopped.report.trim_start_matches("error: ").to_owned();
                Failed { report, ..stopped }
            }
            EngineError::Hdf5 { .. } => {
                Failed::new(exit::OTHER, Failure::FileSystem, &error, &hints)
            }
            EngineError::Threads { .. } => {
                Failed::new(exit::DEVICE, Failure::Other, &error, &hints)
            }
            EngineError::OtherRun { .. }
            | EngineError::State { .. }
            | EngineError::Optimizer(_) => {
                Failed::new(exit::WEIGHTS, Failure::Validation, &error, &hints)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hearth_deploy::trt::{LibraryError, Product, TensorRtError};

    use super::*;

    #[test]
    fn what_keeps_an_engine_from_running_has_a_code_of_its_own() {
        let engine = || "x.engine".into();
        let said = || "said".to_owned();
        let library = |error| TensorRtError::Library(error);
        let cases = [
            (TensorRtError::NoCard { engine: engine() }, exit::WEIGHTS),
            (TensorRtError::Damaged { engine: engine(), problem: said() }, exit::WEIGHTS),
            (
                TensorRtError::ForeignEngine { engine: engine(), built: said(), found: said() },
                exit::WEIGHTS,
            ),
            (
                TensorRtError::NoRuntime {
                    engine: engine(),
                    product: Product::Rtx,
                    version: said(),
                },
                exit::NO_LIBRARY,
            ),
            (library(LibraryError::NotBuiltIn), exit::NO_LIBRARY),
            (library(LibraryError::NotFound { name: said(), said: said() }), exit::NO_LIBRARY),
            (library(LibraryError::NoGpu { said: said() }), exit::DEVICE),
            (library(LibraryError::Cuda { call: "cuInit", said: said() }), exit::DEVICE),
            (library(LibraryError::Failed { doing: said(), said: Vec::new() }), exit::OTHER),
        ];
        for (error, code) in cases {
            let shown = format!("{error:?}");
            assert_eq!(Failed::from(DeployError::from(error)).exit_code, code, "{shown}");
        }
    }
}
