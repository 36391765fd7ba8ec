//! `hearth-trtexec`: TensorRT's libraries behind the command line of NVIDIA's `trtexec`, as far as
//! building an engine goes.
//!
//! A program of its own, since a library that breaks down takes its process with it, and since the
//! features of this package would compile the whole of `trainer` once more. `trainer` runs it where
//! `TRTEXEC` names it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that is run by another")]

use std::{fs, path::PathBuf, process::ExitCode};

use hearth_tensorrt::{BUILT_FOR, BuildOptions, Kind, Library, Listener, Shapes};

/// As `trainer` has it: something must be installed.
const NO_LIBRARY: u8 = 8;

/// What the arguments say.
#[derive(Default)]
struct Arguments {
    onnx: PathBuf,
    engine: PathBuf,
    min: String,
    opt: String,
    max: String,
    workspace: Option<usize>,
    gpu: usize,
    verbose: bool,
}

fn main() -> ExitCode {
    let library = match Library::load() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("[E] {error}");
            error.hints().iter().for_each(|hint| eprintln!("[E] {hint}"));
            return ExitCode::from(if error.is_missing() { NO_LIBRARY } else { 1 });
        }
    };
    let (major, minor, patch) = library.version();
    let product = if BUILT_FOR == Some(Kind::Rtx) { "TensorRT-RTX" } else { "TensorRT" };
    println!("&&&& RUNNING hearth-trtexec [{product} v{}]", major * 10_000 + minor * 100 + patch);
    let given: Vec<String> = std::env::args().skip(1).collect();
    if given.iter().any(|argument| argument == "--help") {
        return ExitCode::SUCCESS;
    }
    match arguments(&given).and_then(|arguments| build(&library, &arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("[E] {problem}");
            ExitCode::FAILURE
        }
    }
}

fn build(library: &Library, arguments: &Arguments) -> Result<(), String> {
    let mut say = |line: &str| println!("{line}");
    let mut listener = Listener { say: &mut say, stopped: &|| false };
    let options = BuildOptions {
        shapes: shapes(arguments)?,
        workspace: arguments.workspace,
        gpu: arguments.gpu,
        verbose: arguments.verbose,
    };
    let plan = library.build(&arguments.onnx, &options, &mut listener);
    let plan = plan.map_err(|error| error.to_string().replace('\n', "\n[E]"))?;
    fs::write(&arguments.engine, plan)
        .map_err(|error| format!("{}: {error}", arguments.engine.display()))
}

fn arguments(given: &[String]) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    for argument in given {
        let wrong = || format!("{argument}: not understood");
        let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
        match name {
            "--onnx" => arguments.onnx = value.into(),
            "--saveEngine" => arguments.engine = value.into(),
            "--minShapes" => arguments.min = value.to_owned(),
            "--optShapes" => arguments.opt = value.to_owned(),
            "--maxShapes" => arguments.max = value.to_owned(),
            "--device" => arguments.gpu = value.parse().map_err(|_| wrong())?,
            "--memPoolSize" => {
                let mib =
                    value.strip_prefix("workspace:").and_then(|size| size.parse::<usize>().ok());
                arguments.workspace = Some(mib.ok_or_else(wrong)?.saturating_mul(1 << 20));
            }
            "--verbose" => arguments.verbose = true,
            "--timingCacheFile" => println!("[W] {argument}: this program keeps no timings"),
            // What it does anyway.
            "--stronglyTyped" | "--skipInference" | "--profilingVerbosity" => {}
            _ => return Err(wrong()),
        }
    }
    match arguments.onnx.as_os_str().is_empty() || arguments.engine.as_os_str().is_empty() {
        true => Err("--onnx=FILE and --saveEngine=FILE are needed".to_owned()),
        false => Ok(arguments),
    }
}

/// `image:1x3x32x32,ids:1x77` of three sizes, input by input.
fn shapes(arguments: &Arguments) -> Result<Vec<Shapes>, String> {
    let [min, opt, max] = [&arguments.min, &arguments.opt, &arguments.max].map(|text| listed(text));
    let (min, opt, max) = (min?, opt?, max?);
    let of = |all: &[(String, Vec<i64>)], name: &str| {
        let found = all.iter().find(|(found, _)| found == name).map(|(_, shape)| shape.clone());
        found.ok_or_else(|| format!("`{name}` has no shape in all three sizes"))
    };
    let shapes = max.iter().map(|(name, shape)| {
        let (min, opt) = (of(&min, name)?, of(&opt, name)?);
        Ok(Shapes { name: name.clone(), min, opt, max: shape.clone() })
    });
    shapes.collect()
}

fn listed(text: &str) -> Result<Vec<(String, Vec<i64>)>, String> {
    let entries = text.split(',').filter(|entry| !entry.is_empty()).map(|entry| {
        let wrong = || format!("`{entry}`: needed `input:1x3x32x32`");
        let (name, sides) = entry.rsplit_once(':').ok_or_else(wrong)?;
        let sides = sides.split('x').map(|side| side.parse().map_err(|_| wrong()));
        Ok((name.to_owned(), sides.collect::<Result<Vec<i64>, String>>()?))
    });
    entries.collect()
}
