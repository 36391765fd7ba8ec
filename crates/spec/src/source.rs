//! The text a spec was read from: the file and the overrides, kept for places and excerpts.

use std::{fmt, sync::Arc};

use crate::{
    diagnostic::{Diagnostic, Severity},
    tree::{Origin, Span},
};

/// Characters of a line that an excerpt shows.
const SHOWN: usize = 100;

/// Characters kept before the caret when a line is too long.
const BEFORE: usize = 40;

/// The file as the user named it, its lines, and the overrides.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    lines: Vec<String>,
    pub(crate) overrides: Vec<String>,
}

/// One line of the file with a caret under the place.
#[derive(Debug)]
pub(crate) struct Excerpt {
    line: usize,
    text: String,
    /// Characters of `text` before the caret.
    indent: usize,
    width: usize,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str, overrides: &[String]) -> Self {
        Self { name: name.to_owned(), lines: lines(text), overrides: overrides.to_vec() }
    }

    pub(crate) fn error(self: &Arc<Self>, at: Origin, key: &str, message: String) -> Diagnostic {
        self.diagnostic(Severity::Error, at, key, message)
    }

    pub(crate) fn diagnostic(
        self: &Arc<Self>,
        severity: Severity,
        origin: Origin,
        key: &str,
        message: String,
    ) -> Diagnostic {
        let (key, source) = (key.to_owned(), Arc::clone(self));
        Diagnostic { severity, key, message, hints: Vec::new(), source, origin }
    }

    /// `spec.yaml:3:7`, ``override `a=b` `` or `spec.yaml`.
    pub(crate) fn label(&self, origin: Origin) -> String {
        match origin {
            Origin::File(Span { line, column, .. }) => format!("{}:{line}:{column}", self.name),
            Origin::Override(at) => format!("override `{}`", clip(&self.overrides[at])),
            Origin::Nowhere => self.name.clone(),
        }
    }

    /// Whether the label of an override already tells the key.
    pub(crate) fn names(&self, origin: Origin, key: &str) -> bool {
        match origin {
            Origin::Override(at) => {
                let text = self.overrides[at].trim_start_matches(['+', '~']);
                text.split('=').next().is_some_and(|named| named.trim() == key)
            }
            _ => false,
        }
    }

    pub(crate) fn excerpt(&self, origin: Origin) -> Option<Excerpt> {
        match origin {
            Origin::File(span) => self.line(span.line).map(|text| Excerpt::new(text, span)),
            _ => None,
        }
    }

    /// A line by its number from 1.
    pub(crate) fn line(&self, number: usize) -> Option<&str> {
        self.lines.get(number.checked_sub(1)?).map(String::as_str)
    }
}

impl Excerpt {
    fn new(line: &str, span: Span) -> Self {
        let column = span.column.saturating_sub(1);
        let from = if column > SHOWN - BEFORE / 2 { column - BEFORE } else { 0 };
        let mut text = String::from(if from > 0 { "…" } else { "" });
        text.extend(line.chars().skip(from).take(SHOWN).map(printable));
        let length = text.trim_end().chars().count();
        if line.chars().nth(from + SHOWN).is_some() {
            text.push('…');
        }
        let indent = (column - from + usize::from(from > 0)).min(length);
        let rest = length - indent;
        let width = if span.width == 0 { rest } else { span.width.min(rest) };
        Self { line: span.line, text: text.trim_end().to_owned(), indent, width: width.max(1) }
    }

    /// Columns taken by the line number.
    pub(crate) fn margin(&self) -> usize {
        self.line.to_string().len()
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, text, indent, width } = self;
        let margin = self.margin();
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{:margin$} | {:indent$}{}", "", "", "^".repeat(*width))
    }
}

/// Text of the user inside a message: one line of at most 60 characters, nothing a terminal obeys.
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, 60)
}

pub(crate) fn clip_to(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).map(printable).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// Tabs become spaces so that carets stand right; other control characters must not reach a terminal.
fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// YAML's line breaks: LF, CR LF and CR.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        lines.extend(line.split('\r').map(str::to_owned));
    }
    lines
}
