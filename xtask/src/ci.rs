//! `cargo xtask ci`: every check, cheapest first.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::generate::Mode;
use crate::process;
use crate::{floors, fuzz, generate, root, tidy};

/// What each fuzz target gets.
const FUZZ_TIME: Duration = Duration::from_secs(20);

/// Runs all checks and, unless they have just passed, the tests.
pub fn run(tested: bool) -> Result<()> {
    process::run("cargo", &["fmt", "--all", "--check"])?;
    step("floors", || none_of(floors::check(&floors::metadata()?)))?;
    step("tidy", || none_of(tidy::check(root())?))?;
    step("generated files", || generate::run(root(), Mode::Check))?;
    if !tested {
        process::run("cargo", &["test", "--release", "--workspace"])?;
    }
    // Shares no build product with the tests, so it comes once and late.
    let lints = ["--", "-D", "warnings"];
    process::run(
        "cargo",
        &[&["clippy", "--release", "--workspace", "--all-targets"][..], &lints].concat(),
    )?;
    // What only this feature compiles; the crate has no Burn below it.
    process::run(
        "cargo",
        &["test", "--release", "-p", "hearth-data", "--features", "s3", "--test", "it"],
    )?;
    // The two libraries of TensorRT exclude each other; this crate has no Burn below it either.
    let of_tensorrt = ["--release", "-p", "hearth-tensorrt", "--features"];
    let clippy = ["tensorrt", "--all-targets", "--", "-D", "warnings"];
    let apart = [("CARGO_TARGET_DIR", "target/tensorrt")];
    process::run_with(&apart, "cargo", &[&["clippy"][..], &of_tensorrt, &clippy].concat())?;
    process::run_with(&apart, "cargo", &[&["test"][..], &of_tensorrt, &["tensorrt-rtx"]].concat())?;
    step("fuzz", || fuzz::run(&fuzz::Session::new(None, FUZZ_TIME), None))
}

fn step(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("\n# {name}");
    let start = Instant::now();
    check()?;
    println!("{name}: passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn none_of(problems: Vec<String>) -> Result<()> {
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}
