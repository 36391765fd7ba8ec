//! `cargo xtask generate`: files that follow from definitions in the code.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use hearth_clip::spec::ClipSpec;
use hearth_mae::spec::MaeSpec;
use hearth_spec::{json_schema, markdown};

/// What to do with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write them.
    Write,
    /// Compare them with what lies there.
    Check,
}

/// Lines of a difference that are shown; the rest is counted.
const MOST_LINES: usize = 30;

/// Every generated file: its path in the repository and its content.
pub fn files() -> Vec<(&'static str, String)> {
    vec![
        ("docs/specs/clip.md", markdown::<ClipSpec>("clip")),
        ("docs/schemas/clip.json", format!("{:#}\n", json_schema::<ClipSpec>())),
        ("docs/specs/mae.md", markdown::<MaeSpec>("mae")),
        ("docs/schemas/mae.json", format!("{:#}\n", json_schema::<MaeSpec>())),
    ]
}

/// Writes or checks all files under `root`.
pub fn run(root: &Path, mode: Mode) -> Result<()> {
    let mut differences = String::new();
    for (name, content) in files() {
        let path = root.join(name);
        let present = fs::read_to_string(&path).unwrap_or_default();
        if present == content {
            continue;
        }
        match mode {
            Mode::Check => differences += &format!("{name}:\n{}", difference(&present, &content)),
            Mode::Write => {
                let folder = path.parent().expect("a file lies in a folder");
                fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
                fs::write(&path, content).with_context(|| path.display().to_string())?;
                println!("wrote {name}");
            }
        }
    }
    if !differences.is_empty() {
        bail!("generated files are out of date: run `cargo xtask generate`\n\n{differences}");
    }
    Ok(())
}

/// The lines between the common start and the common end of two texts.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let removed = old[..old.len() - end].iter().map(|line| format!("-{line}\n"));
    let added = new[..new.len() - end].iter().map(|line| format!("+{line}\n"));
    let lines: Vec<String> = removed.take(MOST_LINES).chain(added.take(MOST_LINES)).collect();
    format!("@@ line {} @@\n{}", start + 1, lines.concat())
}
