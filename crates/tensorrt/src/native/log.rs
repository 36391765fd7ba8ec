//! What the library says while it works.

use std::sync::mpsc::Sender;

use trtx::{LogHandler, Severity};

/// A line, and whether it tells of an error.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// Sends lines to whoever listens; after that one has gone, nowhere.
pub(super) struct Lines {
    pub(super) sender: Sender<Line>,
    pub(super) verbose: bool,
}

impl LogHandler for Lines {
    fn log(&self, severity: Severity, message: &str) {
        if severity == Severity::Verbose && !self.verbose {
            return;
        }
        let is_error = severity <= Severity::Error;
        let _ = self.sender.send(Line { text: message.trim_end().to_owned(), is_error });
    }
}

/// Keeps the last three lines that tell of errors.
pub(super) fn remember(errors: &mut Vec<String>, line: Line) {
    if line.is_error {
        errors.push(line.text);
        if errors.len() > 3 {
            errors.remove(0);
        }
    }
}
