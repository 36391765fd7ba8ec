//! `cargo xtask goldens`: makes the fixtures of `tests/golden` again with the reference implementations.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::process;

/// Runs `tests/golden/<name>.py`, or all of them, in a Python environment of its own.
pub fn run(name: Option<&str>) -> Result<()> {
    let folder = Path::new("tests/golden");
    let names = script_names(&crate::root().join(folder))?;
    let known = names.join(", ");
    ensure!(
        name.is_none_or(|name| names.iter().any(|n| n == name)),
        "found {name:?}, needed one of {known}"
    );
    let environment = Path::new("target/goldens-venv");
    let python = environment.join("bin/python");
    if !crate::root().join(&python).exists() {
        process::run("python3", &["-m".as_ref(), "venv".as_ref(), environment.as_os_str()])?;
    }
    let requirements = folder.join("requirements.txt");
    let install = ["-m", "pip", "install", "--quiet", "--requirement"].map(Path::new);
    process::run(crate::root().join(&python), &[&install[..], &[&requirements]].concat())?;
    for script in names.iter().filter(|script| name.is_none_or(|name| name == *script)) {
        process::run(crate::root().join(&python), &[folder.join(script).with_extension("py")])?;
    }
    Ok(())
}

/// The scripts without `.py`, sorted.
fn script_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
