//! Runs other programs as a person would, showing the command line.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Runs a program in the root of the repository and fails when it does.
pub(crate) fn run<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Result<()> {
    run_with(&[], program, arguments)
}

/// As [`run`], with these variables.
pub(crate) fn run_with<S: AsRef<OsStr>>(
    variables: &[(&str, &str)],
    program: impl AsRef<OsStr>,
    arguments: &[S],
) -> Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().copied()).current_dir(crate::root());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    println!("\n$ {line}");
    let status = command.status().with_context(|| format!("`{line}`: cannot start"))?;
    ensure!(status.success(), "`{line}`: {status}");
    Ok(())
}

/// What a command line prints, in the root of the repository and with these variables; fails when it does. Its
/// errors are shown.
pub(crate) fn output(words: &[String], variables: &BTreeMap<&str, &str>) -> Result<String> {
    let line = words.join(" ");
    let (program, arguments) = words.split_first().context("found no program to run")?;
    let mut command = Command::new(program);
    command.args(arguments).envs(variables).current_dir(crate::root());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("`{line}`: cannot start"))?;
    ensure!(output.status.success(), "`{line}`: {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("`{line}`"))
}
