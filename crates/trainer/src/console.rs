//! The only place that prints: lines on the standard error, results on the standard output, and
//! the progress of long work as a bar on a terminal, as a line now and then otherwise.

use std::{
    cell::RefCell,
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hearth_engine::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{arguments::Level, pace::Pace};

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The two output streams; shared by progress, log and the panic hook.
#[derive(Debug)]
pub(crate) struct Console {
    level: Level,
    terminal: bool,
    /// The bar that has to step aside while a line is printed.
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    pub(crate) fn new(level: Level) -> Arc<Console> {
        let terminal = io::stderr().is_terminal();
        Arc::new(Console { level, terminal, bar: Mutex::new(None) })
    }

    /// Prints `text` whatever the level.
    pub(crate) fn line(&self, text: &str) {
        self.beside_the_bar(|| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// Prints `text` unless the level is quieter than `level`.
    pub(crate) fn line_at(&self, level: Level, text: &str) {
        if self.level >= level {
            self.line(text);
        }
    }

    /// What the program was asked for, so it does not depend on the level.
    pub(crate) fn result(&self, text: &str) {
        // A reader that went away (`| head`) is no reason to fail.
        self.beside_the_bar(|| {
            let _ = writeln!(io::stdout().lock(), "{text}");
        });
    }

    fn beside_the_bar(&self, print: impl FnOnce()) {
        match self.bar().as_ref() {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        // A bar is whole after any panic: nothing is left half done under this lock.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How work shows itself on `console`.
pub(crate) fn progress(console: &Arc<Console>) -> Box<dyn Progress> {
    let console = Arc::clone(console);
    let pace = RefCell::default();
    if console.level < Level::Info {
        Box::new(Quiet { console })
    } else if console.terminal {
        Box::new(Bar { console, pace })
    } else {
        Box::new(Lines { console, pace, last: RefCell::new(Instant::now()) })
    }
}

/// A warning reaches `--quiet`, other messages do not.
fn level_of(message: &str) -> Level {
    if message.starts_with("warning:") { Level::Warning } else { Level::Info }
}

struct Quiet {
    console: Arc<Console>,
}

impl Progress for Quiet {
    fn message(&self, text: &str) {
        self.console.line_at(level_of(text), text);
    }
    fn begin(&self, _what: &str, _total: u64) {}
    fn advance(&self, _done: u64, _detail: &str) {}
    fn end(&self) {}
}

/// For files and pipes.
struct Lines {
    console: Arc<Console>,
    pace: RefCell<Pace>,
    last: RefCell<Instant>,
}

impl Progress for Lines {
    fn message(&self, text: &str) {
        self.console.line_at(level_of(text), text);
    }

    fn begin(&self, what: &str, total: u64) {
        *self.pace.borrow_mut() = Pace::new(what, total);
        *self.last.borrow_mut() = Instant::now();
    }

    fn advance(&self, done: u64, detail: &str) {
        let now = Instant::now();
        self.pace.borrow_mut().advance(done, now);
        if now.duration_since(*self.last.borrow()) >= LINE_EVERY {
            *self.last.borrow_mut() = now;
            self.console.line_at(Level::Info, &self.pace.borrow().line(detail));
        }
    }

    fn end(&self) {}
}

/// For a terminal.
struct Bar {
    console: Arc<Console>,
    pace: RefCell<Pace>,
}

impl Progress for Bar {
    fn message(&self, text: &str) {
        self.console.line_at(level_of(text), text);
    }

    fn begin(&self, what: &str, total: u64) {
        self.end();
        *self.pace.borrow_mut() = Pace::new(what, total);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len}{msg}")
            .expect("a template without mistakes")
            .progress_chars("=> ");
        let bar = ProgressBar::new(total).with_style(style).with_prefix(what.to_owned());
        bar.tick();
        *self.console.bar() = Some(bar);
    }

    fn advance(&self, done: u64, detail: &str) {
        let mut pace = self.pace.borrow_mut();
        pace.advance(done, Instant::now());
        if let Some(bar) = self.console.bar().as_ref() {
            bar.set_message(pace.tail(detail));
            bar.set_position(done);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.console.bar().take() {
            bar.finish_and_clear();
        }
    }
}
