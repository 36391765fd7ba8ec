//! The program `trtexec`, which comes with every TensorRT: found, asked for its version, run.

mod arguments;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

pub use arguments::arguments;

use super::{EngineCard, Profile, TensorRtError, Version, version::Product};
use crate::error::FileError;

/// Where installations put it.
const FOLDERS: &[&str] = &[
    "/usr/src/tensorrt/bin",
    "/usr/local/tensorrt/bin",
    "/usr/local/TensorRT/bin",
    "/opt/tensorrt/bin",
    "/opt/TensorRT/bin",
    "/usr/local/cuda/bin",
];

/// How often the wait for a line looks at the stop flag.
const LOOK: Duration = Duration::from_millis(200);

/// The program and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trtexec {
    /// The program.
    pub program: PathBuf,
    /// Whose engines it builds: NVIDIA's own those of TensorRT, `hearth-trtexec` of either kind.
    pub product: Product,
    /// The version of the product.
    pub version: Version,
}

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The graph, in its final types.
    pub onnx: PathBuf,
    /// The shapes.
    pub profile: Profile,
    /// Whether the graph computes in f16 somewhere.
    pub half: bool,
    /// Memory for trying algorithms, in MiB; 0 leaves the builder's own limit.
    pub workspace: usize,
    /// File that remembers timings.
    pub timing_cache: Option<PathBuf>,
    /// Says everything.
    pub verbose: bool,
    /// Which GPU.
    pub gpu: usize,
    /// What the graph says about itself; the engine's card says it too.
    pub metadata: BTreeMap<String, String>,
}

/// What is told while a builder works.
pub struct Listener<'a> {
    /// Takes a line of its output.
    pub say: &'a mut dyn FnMut(&str),
    /// Whether the work shall end.
    pub stopped: &'a dyn Fn() -> bool,
}

impl Trtexec {
    /// The program that the variable `TRTEXEC` names, or the first of that name in `PATH` and the
    /// folders of usual installations.
    pub fn find() -> Result<Trtexec, TensorRtError> {
        let variable = std::env::var_os("TRTEXEC").filter(|value| !value.is_empty());
        let path = std::env::var_os("PATH").unwrap_or_default();
        Trtexec::find_in(variable.as_deref(), &path)
    }

    /// The same with given variables.
    pub fn find_in(variable: Option<&OsStr>, path: &OsStr) -> Result<Trtexec, TensorRtError> {
        let program = match variable {
            Some(program) => match fs::metadata(program).is_ok_and(|found| found.is_file()) {
                true => PathBuf::from(program),
                false => {
                    let path = PathBuf::from(program);
                    return Err(TensorRtError::NoProgram { path });
                }
            },
            None => {
                let folders = std::env::split_paths(path).chain(FOLDERS.iter().map(PathBuf::from));
                let found =
                    folders.map(|folder| folder.join("trtexec")).find(|file| file.is_file());
                found.ok_or(TensorRtError::NoBuilder)?
            }
        };
        let (product, version) = ask(&program)?;
        Ok(Trtexec { program, product, version })
    }

    /// Builds `engine`, which appears complete or not at all.
    pub fn build(
        &self,
        order: &Order,
        engine: &Path,
        listener: &mut Listener<'_>,
    ) -> Result<(), TensorRtError> {
        let unwritable = FileError::writing(engine);
        let name = engine.file_name().ok_or_else(|| {
            unwritable(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"))
        })?;
        let temporary = engine.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
        let built = self.run(&arguments(self.dialect(), order, &temporary), listener);
        let placed = built
            .and_then(|()| EngineCard::remove(engine))
            .and_then(|()| Ok(place(&temporary, engine).map_err(unwritable)?));
        if placed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        placed
    }

    /// The version whose arguments it takes.
    fn dialect(&self) -> Version {
        match self.product {
            Product::Standard => self.version,
            Product::Rtx => Version(11, 0, 0),
        }
    }

    fn run(&self, arguments: &[String], listener: &mut Listener<'_>) -> Result<(), TensorRtError> {
        let failed = |source| TensorRtError::NotStarted { program: self.program.clone(), source };
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        let mut child = command.spawn().map_err(failed)?;
        // The command holds the writing ends: while it lives, the output has no end.
        drop(command);
        let last = match listen(reader, listener) {
            Some(last) => last,
            None => {
                end(&mut child);
                return Err(TensorRtError::Stopped);
            }
        };
        let status = child.wait().map_err(failed)?;
        match status.success() {
            true => Ok(()),
            false => Err(TensorRtError::NotBuilt {
                builder: self.program.display().to_string(),
                status: status.to_string(),
                said: last,
            }),
        }
    }
}

/// Passes lines on until there are no more; the last that say what is wrong, or nothing if the work
/// shall end.
fn listen(output: io::PipeReader, listener: &mut Listener<'_>) -> Option<Vec<String>> {
    let (sender, lines) = mpsc::sync_channel::<String>(64);
    let reading = thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    let mut errors = Vec::new();
    let mut last = Vec::new();
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                (listener.say)(&line);
                remember(if line.contains("[E]") { &mut errors } else { &mut last }, line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if (listener.stopped)() {
            return None;
        }
    }
    let _ = reading.join();
    Some(if errors.is_empty() { last } else { errors })
}

/// Keeps the last three.
fn remember(lines: &mut Vec<String>, line: String) {
    if line.is_empty() {
        return;
    }
    lines.push(line);
    if lines.len() > 3 {
        lines.remove(0);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Puts a finished engine in its place.
fn place(temporary: &Path, engine: &Path) -> io::Result<()> {
    let file = File::open(temporary)?;
    if file.metadata()?.len() == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the builder wrote nothing"));
    }
    file.sync_all()?;
    fs::rename(temporary, engine)
}

/// Asks the program; its first line says `[TensorRT v100300]` or `[TensorRT-RTX v10701]`.
fn ask(program: &Path) -> Result<(Product, Version), TensorRtError> {
    let failed = |source| TensorRtError::NotStarted { program: program.to_owned(), source };
    let output =
        Command::new(program).arg("--help").stdin(Stdio::null()).output().map_err(failed)?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let after = |mark: &str| {
        let (_, rest) = text.split_once(mark)?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<u32>().ok()
    };
    for (product, mark) in [(Product::Standard, "[TensorRT v"), (Product::Rtx, "[TensorRT-RTX v")] {
        if let Some(number) = after(mark) {
            return Ok((product, Version::of(product, number)));
        }
    }
    let program = program.to_owned();
    // `hearth-trtexec` without its libraries says what to install.
    if output.status.code() == Some(8) {
        let said = text.lines().take(3).map(str::to_owned).collect();
        return Err(TensorRtError::NoLibraries { program, said });
    }
    Err(TensorRtError::NoVersion { program })
}
