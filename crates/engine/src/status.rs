//! `status.json`: what a run did, one JSON object per line, in TAO's words.
//!
//! Programs read this file while the run writes it, so every line is one write of a whole line.
//! An existing file is continued. A line that cannot be written does not end the run: it is said
//! once in the log, and the run's own files report a full disk with more weight.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use crate::atomic_file::FileError;

pub use crate::status::clock::Moment;
use crate::status::line::{python_duration, to_line};

mod clock;
mod line;

/// The state a line reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Written by TAO's deploy actions only; training ends with [`Status::Running`].
    Success,
    /// Something went wrong; the last line of a failed run has it.
    Failure,
    /// An action or its loop starts.
    Started,
    /// Everything in between.
    Running,
    /// Nothing was to be done.
    Skipped,
}

/// The weight of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// For developers.
    Debug,
    /// For everybody.
    Info,
    /// Worth a look.
    Warning,
    /// The action fails.
    Error,
    /// The program fails.
    Critical,
}

/// Why a run failed, in TAO's classes; decides how the message of the last line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The spec is wrong.
    Configuration,
    /// The spec asks for something that this release does not do.
    NotImplemented,
    /// A value does not fit the data, the weights or another value.
    Validation,
    /// A file is missing, unreadable or not writable.
    FileSystem,
    /// The user or the system stopped the run; the text is fixed.
    Interrupted,
    /// Anything else. TAO writes no line for these.
    Other,
}

/// Where training stands at the end of an epoch, and how long the rest takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochTiming {
    /// The epoch that just ended, from 0.
    pub epoch: u64,
    /// Optimizer updates since the start of training.
    pub step: u64,
    /// `train.num_epochs`.
    pub epochs: u64,
    /// Optimizer updates of the whole training.
    pub steps: u64,
    /// Of the epoch that just ended.
    pub time_per_epoch: Duration,
    /// Mean over that epoch.
    pub time_per_step: Duration,
    /// Until the last epoch ends.
    pub eta: Duration,
}

/// Objects that stay on every later line until they are replaced.
#[derive(Debug, Default)]
struct Sticky {
    categorical: Map<String, Value>,
    graphical: Map<String, Value>,
    kpi: Map<String, Value>,
}

/// Writer of `status.json`.
#[derive(Debug)]
pub struct StatusLog {
    path: PathBuf,
    /// None: lines go nowhere.
    file: RefCell<Option<File>>,
    sticky: RefCell<Sticky>,
    clock: fn() -> Moment,
}

impl StatusLog {
    /// Opens `path`, keeping what earlier runs wrote.
    pub fn append_to(path: &Path) -> Result<StatusLog, FileError> {
        let file = open_at_line_start(path).map_err(FileError::at("open this file", path))?;
        Ok(StatusLog { path: path.to_owned(), file: RefCell::new(Some(file)), ..Self::nowhere() })
    }

    /// Writes nothing: for actions that leave no files behind.
    pub fn nowhere() -> StatusLog {
        StatusLog {
            path: PathBuf::new(),
            file: RefCell::new(None),
            sticky: RefCell::default(),
            clock: Moment::now,
        }
    }

    /// Takes date and time from `clock`, for golden tests.
    pub fn with_clock(self, clock: fn() -> Moment) -> StatusLog {
        StatusLog { clock, ..self }
    }

    /// One line; the named methods below know the texts that programs look for.
    pub fn write(&self, status: Status, verbosity: Verbosity, message: &str) {
        self.write_with(Map::new(), status, verbosity, message);
    }

    /// The first line of an action; `network` as displayed: `CLIP`.
    pub fn action_started(&self, network: &str, action: &str) {
        self.write(Status::Started, Verbosity::Info, &format!("Starting {network} {action}."));
    }

    /// Training continues where `checkpoint` was written.
    pub fn resuming(&self, checkpoint: &Path) {
        let text = format!("Resuming training from checkpoint: {}", checkpoint.display());
        self.write(Status::Running, Verbosity::Info, &text);
    }

    /// Evaluation or inference reads `checkpoint`.
    pub fn loading(&self, checkpoint: &Path) {
        let text = format!("Loading checkpoint: {}", checkpoint.display());
        self.write(Status::Running, Verbosity::Info, &text);
    }

    /// The first step is next.
    pub fn training_started(&self) {
        self.write(Status::Started, Verbosity::Info, "Starting Training Loop.");
    }

    /// Mean losses of the epoch, `train_loss` among them.
    pub fn train_metrics(&self, kpi: &[(&str, f64)]) {
        self.set_kpi(kpi.iter().map(|(name, value)| ((*name).to_owned(), number(*value))));
        self.write(Status::Running, Verbosity::Info, "Train metrics generated.");
    }

    /// Once per epoch.
    pub fn training_progress(&self, timing: &EpochTiming) {
        let extras = timing.fields();
        self.write_with(extras, Status::Running, Verbosity::Info, "Training loop in progress");
    }

    /// `val/...` after a validation. TAO writes these values as strings, and so do we.
    pub fn eval_metrics(&self, kpi: &[(String, f64)]) {
        self.set_kpi(kpi.iter().map(|(name, value)| (name.clone(), text(*value))));
        self.write(Status::Running, Verbosity::Info, "Eval metrics generated.");
    }

    /// `test/...` of the evaluate action, as strings.
    pub fn test_metrics(&self, kpi: &[(String, f64)]) {
        self.set_kpi(kpi.iter().map(|(name, value)| (name.clone(), text(*value))));
        self.write(Status::Running, Verbosity::Info, "Test metrics generated.");
    }

    /// The last step is done and its checkpoint written.
    pub fn training_complete(&self) {
        self.write(Status::Running, Verbosity::Info, "Training loop complete.");
    }

    /// The last line of a good run; consumers wait for exactly this text.
    pub fn action_finished(&self, action: &str) {
        let text = format!("{} finished successfully.", capitalised(action));
        self.write(Status::Running, Verbosity::Info, &text);
    }

    /// The last line of a failed run.
    pub fn action_failed(&self, action: &str, failure: Failure, reason: &str) {
        let text = failure.message(action, reason);
        self.write(Status::Failure, Verbosity::Error, &text);
    }

    /// Replaces the `kpi` object of this and all later lines.
    pub fn set_kpi(&self, values: impl IntoIterator<Item = (String, Value)>) {
        self.sticky.borrow_mut().kpi = values.into_iter().collect();
    }

    /// Replaces the `graphical` object of this and all later lines.
    pub fn set_graphical(&self, values: impl IntoIterator<Item = (String, Value)>) {
        self.sticky.borrow_mut().graphical = values.into_iter().collect();
    }

    /// Replaces the `categorical` object of this and all later lines.
    pub fn set_categorical(&self, values: impl IntoIterator<Item = (String, Value)>) {
        self.sticky.borrow_mut().categorical = values.into_iter().collect();
    }

    /// Order of the fields: `extras`, the generic ones, the sticky ones that are not empty.
    fn write_with(
        &self,
        extras: Map<String, Value>,
        status: Status,
        verbosity: Verbosity,
        message: &str,
    ) {
        let now = (self.clock)();
        let mut fields = extras;
        fields.insert("date".to_owned(), Value::from(now.date()));
        fields.insert("time".to_owned(), Value::from(now.time()));
        fields.insert("status".to_owned(), Value::from(status.word()));
        fields.insert("verbosity".to_owned(), Value::from(verbosity.word()));
        fields.insert("message".to_owned(), Value::from(message));
        let sticky = self.sticky.borrow();
        for (name, values) in [
            ("categorical", &sticky.categorical),
            ("graphical", &sticky.graphical),
            ("kpi", &sticky.kpi),
        ] {
            if !values.is_empty() {
                fields.insert(name.to_owned(), Value::Object(values.clone()));
            }
        }
        self.append(&to_line(&fields));
    }

    fn append(&self, line: &str) {
        let mut file = self.file.borrow_mut();
        let Some(open) = file.as_mut() else { return };
        if let Err(err) = open.write_all(line.as_bytes()) {
            tracing::warn!("{}: no more lines are written here: {err}", self.path.display());
            *file = None;
        }
    }
}

impl EpochTiming {
    fn fields(&self) -> Map<String, Value> {
        let fields = [
            ("epoch", Value::from(self.epoch)),
            ("step", Value::from(self.step)),
            ("max_epoch", Value::from(self.epochs.saturating_sub(1))),
            ("max_step", Value::from(self.steps)),
            ("time_per_epoch", Value::from(python_duration(self.time_per_epoch))),
            ("time_per_step", Value::from(python_duration(self.time_per_step))),
            ("eta", Value::from(python_duration(self.eta))),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Success => "SUCCESS",
            Status::Failure => "FAILURE",
            Status::Started => "STARTED",
            Status::Running => "RUNNING",
            Status::Skipped => "SKIPPED",
        }
    }
}

impl Verbosity {
    fn word(self) -> &'static str {
        match self {
            Verbosity::Debug => "DEBUG",
            Verbosity::Info => "INFO",
            Verbosity::Warning => "WARNING",
            Verbosity::Error => "ERROR",
            Verbosity::Critical => "CRITICAL",
        }
    }
}

impl Failure {
    fn message(self, action: &str, reason: &str) -> String {
        match self {
            Failure::Configuration => format!("Configuration error: {reason}"),
            Failure::NotImplemented => format!("Feature not implemented: {reason}"),
            Failure::Validation => format!("Parameter validation error: {reason}"),
            Failure::FileSystem => format!("File system error: {reason}"),
            Failure::Interrupted => {
                format!("User/System interruption: {} was interrupted", capitalised(action))
            }
            Failure::Other => format!("Runtime error: {reason}"),
        }
    }
}

/// `train` -> `Train`, as TAO begins its sentences.
pub(crate) fn capitalised(action: &str) -> String {
    let mut letters = action.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// JSON has no NaN: such a value goes in as text, which readers can still convert.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| text(value), Value::Number)
}

/// `0.5`, `1.0`, `1e-7`: always a text that reads back as the same number.
fn text(value: f64) -> Value {
    Value::from(format!("{value:?}"))
}

/// A killed run may have left half a line: the next one must not be glued to it.
fn open_at_line_start(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
