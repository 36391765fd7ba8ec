//! Runs the program in a folder and writes down what a terminal would show.

use std::{fs, path::Path, process::Output};

use tempfile::TempDir;

/// The cache of every session, in its own folder.
pub(crate) const CACHE: &str = ".cache";

/// A folder of its own for every session, with `files` in it.
pub(crate) fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What `trainer` with these arguments shows in `folder`, with paths and version taken out.
pub(crate) fn session(folder: &TempDir, arguments: &[&str]) -> String {
    let output = run(folder.path(), arguments);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code().unwrap();
    let shown =
        format!("exit code: {code}\n----- stdout -----\n{stdout}----- stderr -----\n{stderr}");
    shown
        .replace(&folder.path().display().to_string(), "[TMP]")
        .replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
}

/// The finished process; nothing of the caller's environment changes what it says.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(folder).args(arguments).env("HEARTH_CACHE", folder.join(CACHE));
    for variable in ["TAO_LOGGING_LEVEL", "RUST_BACKTRACE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command.output().unwrap()
}

/// `date`, `time` and everything but status and message taken out of `status.json`.
pub(crate) fn status_lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let field = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\": \"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    text.lines()
        .map(|line| format!("{} {}", field(line, "status"), field(line, "message")))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
