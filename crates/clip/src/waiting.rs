//! Long work of the data readers, shown and stopped through the run.

use hearth_data::{DataError, work::Watch};
use hearth_engine::{EngineError, Run};

use crate::error::ClipError;

/// Whoever waits for a run.
pub(crate) struct Waiting<'a> {
    run: &'a Run,
}

impl<'a> Waiting<'a> {
    pub(crate) fn of(run: &'a Run) -> Self {
        Self { run }
    }

    /// The error, or the signal where one was the reason.
    pub(crate) fn explained(&self, error: DataError) -> ClipError {
        match (error, self.run.stop.requested()) {
            (DataError::Stopped, Some(signal)) => EngineError::Interrupted { signal }.into(),
            (error, _) => error.into(),
        }
    }
}

impl Watch for Waiting<'_> {
    fn begin(&self, what: &str, parts: u64) {
        self.run.progress.begin(what, parts);
    }

    fn advance(&self, done: u64, detail: &str) {
        self.run.progress.advance(done, detail);
    }

    fn end(&self) {
        self.run.progress.end();
    }

    fn is_stopped(&self) -> bool {
        self.run.stop.requested().is_some()
    }
}
