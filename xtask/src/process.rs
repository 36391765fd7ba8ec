//! Runs other programs as a person would, showing the command line.

use std::ffi::OsStr;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a program in the root of the repository and fails when it does.
pub(crate) fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::root());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    println!("\n$ {line}");
    let status = command.status().with_context(|| format!("`{line}`: cannot start"))?;
    ensure!(status.success(), "`{line}`: {status}");
    Ok(())
}
