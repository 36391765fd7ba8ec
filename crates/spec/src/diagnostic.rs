//! What is said about a spec: place, key, what was found, what is needed, the line with a caret, and hints.

use std::{fmt, sync::Arc};

use crate::{
    source::{Source, clip_to},
    tree::Origin,
};

/// How many diagnostics are printed in full; a file of another kind would bring thousands.
pub(crate) const PRINTED: usize = 100;

/// Characters of a key that are printed; no key of a spec is as long.
const LONGEST_KEY: usize = 120;

/// Characters of a message that are printed.
const LONGEST_MESSAGE: usize = 1000;

/// Whether a spec may be used in spite of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The spec is refused.
    Error,
    /// The spec is used; the user should know.
    Warning,
}

/// One thing to say about a spec, complete in itself.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The dotted key, lists as `datasets[0]`; empty for the file as a whole.
    pub key: String,
    /// What was found and what is needed; one line without a final period.
    pub message: String,
    /// Actions that help, in the words of the user.
    pub hints: Vec<String>,
    pub(crate) source: Arc<Source>,
    pub(crate) origin: Origin,
}

impl Diagnostic {
    /// The first line alone, without its severity: for a log or a status file.
    pub fn headline(&self) -> String {
        let Self { key, message, source, origin, .. } = self;
        let (place, message) = (source.label(*origin), clip_to(message, LONGEST_MESSAGE));
        if key.is_empty() || source.names(*origin, key) {
            format!("{place}: {message}")
        } else {
            format!("{place}: `{}`: {message}", clip_to(key, LONGEST_KEY))
        }
    }

    /// Where it stands in the reading order: the file, then the command line.
    fn order(&self) -> (u8, usize, usize) {
        match self.origin {
            Origin::File(span) => (0, span.line, span.column),
            Origin::Override(at) => (1, at, 0),
            Origin::Nowhere => (2, 0, 0),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.headline())?;
        let margin = match self.source.excerpt(self.origin) {
            Some(excerpt) => {
                write!(f, "\n{excerpt}")?;
                excerpt.margin()
            }
            None => 1,
        };
        for hint in &self.hints {
            write!(f, "\n{:margin$} = hint: {hint}", "")?;
        }
        Ok(())
    }
}

/// Everything wrong with a spec, in the order of the file, then of the command line.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts into reading order.
    pub(crate) fn sorted(mut found: Vec<Diagnostic>) -> Self {
        found.sort_by_key(Diagnostic::order);
        Self(found)
    }

    /// The errors among them.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|one| one.severity == Severity::Error)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, diagnostic) in self.0.iter().take(PRINTED).enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{diagnostic}")?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n\nerror: {more} more problems are not shown"),
        }
    }
}

impl std::error::Error for Diagnostics {}
