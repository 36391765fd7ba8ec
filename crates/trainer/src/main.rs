//! `trainer`: the command line of Hearth.
//!
//! Architecture Invariant: this crate alone prints, exits and chooses the network; it never sees a
//! tensor. The way of a command: [`arguments`] (flags) -> [`request`] (network, action, overrides)
//! -> [`launch`] (spec, results folder, run) -> [`networks`] (the functions of the family).
#![recursion_limit = "256"]

use std::{process::ExitCode, sync::Arc};

use clap::Parser;

use crate::{
    arguments::{Arguments, Level},
    console::Console,
    failure::Failed,
    request::Request,
};

mod arguments;
mod bug;
mod console;
mod doctor;
mod failure;
mod help;
mod launch;
mod logging;
mod networks;
mod pace;
mod request;

fn main() -> ExitCode {
    hearth_engine::keep_memory();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(err) => return unparsed(&err),
    };
    let level = arguments.level(std::env::var("TAO_LOGGING_LEVEL").ok().as_deref());
    let console = Console::new(level);
    bug::keep_panics();
    logging::init(&console, level);
    match answer(&arguments, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => told(&failed, &console),
    }
}

/// Says or does what was asked for.
fn answer(arguments: &Arguments, console: &Arc<Console>) -> Result<(), Failed> {
    let request = Request::from_words(&arguments.words)?;
    if arguments.help || arguments.is_empty() {
        console.result(&help::about(&request));
    } else if request.doctor {
        console.result(&doctor::report());
    } else {
        bug::guarded(|| launch::launch(&request, arguments, console))?;
        console.line("Execution status: PASS");
    }
    Ok(())
}

/// Prints why, and the words that programs around TAO look for in the log.
fn told(failed: &Failed, console: &Console) -> ExitCode {
    // Empty after a panic: its hook has told everything.
    if !failed.report.is_empty() {
        console.line(&failed.report);
    }
    console.line("Execution status: FAIL");
    ExitCode::from(failed.exit_code)
}

/// `--version`, or flags that are wrong.
fn unparsed(err: &clap::Error) -> ExitCode {
    if err.use_stderr() {
        told(&arguments::refused(err), &Console::new(Level::Info))
    } else {
        // Nothing to add when the stream is closed.
        let _ = err.print();
        ExitCode::SUCCESS
    }
}
