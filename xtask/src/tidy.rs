//! Sizes and names: what `reference/style.md` calls limits, as a check over every Rust file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::source;

const MOST_FILE_LINES: usize = 400;
const MOST_FUNCTION_LINES: usize = 60;
/// Names that say nothing about what lies behind them.
const EMPTY_WORDS: [&str; 6] = ["manager", "helper", "helpers", "util", "utils", "misc"];

/// `tidy.toml`: what is exempt from which rule, with the reason.
type Exceptions = BTreeMap<(String, String), String>;

/// Every broken rule in the Rust files under `root`, and every exception that is needed no more.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut exceptions = exceptions(&read(&root.join("tidy.toml"))?)?;
    let mut problems = Vec::new();
    for path in rust_files(root)? {
        let place = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        for (rule, message) in check_file(&place, &read(&path)?) {
            if exceptions.remove(&(rule.to_owned(), place.clone())).is_none() {
                problems.push(format!("{place}: {message}"));
            }
        }
    }
    for (rule, place) in exceptions.into_keys() {
        problems.push(format!("tidy.toml: `[{rule}]` exempts {place}, which keeps the rule"));
    }
    Ok(problems)
}

/// The rules that one file breaks, and how.
pub fn check_file(place: &str, text: &str) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    if !text.starts_with("//! ") {
        problems.push(("first_line", "starts without a `//!` sentence".to_owned()));
    }
    let code = source::code_only(text);
    let own = source::before_tests(&code);
    let is_test = place.contains("/tests/") || place.starts_with("tests/");
    let lines = source::count_lines(own);
    if !is_test && lines > MOST_FILE_LINES {
        let message = format!("found {lines} lines of code, needed at most {MOST_FILE_LINES}");
        problems.push(("file_lines", message));
    }
    let functions = source::items(own).into_iter().filter(|item| item.keyword == "fn");
    for function in functions.filter(|_| !is_test) {
        let lines = source::body(own, function.end).map_or(0, source::count_lines);
        if lines > MOST_FUNCTION_LINES {
            let name = function.name;
            problems.push((
                "function_lines",
                format!("`{name}` has {lines} lines of code, needed at most {MOST_FUNCTION_LINES}"),
            ));
        }
    }
    let stem = Path::new(place).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let names = source::items(&code).into_iter().map(|item| item.name.to_owned());
    for name in names.chain([stem]) {
        if let Some(word) = words(&name).into_iter().find(|w| EMPTY_WORDS.contains(&w.as_str())) {
            problems.push(("words", format!("`{name}`: `{word}` says nothing, name the content")));
        }
    }
    problems
}

/// `LoadReport` and `load_report` are the words `load`, `report`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().expect("starts with one").extend(letter.to_lowercase());
        }
        was_lower = letter.is_lowercase();
    }
    words
}

/// Lines `[rule]` and `"path" = "reason"`, the only two forms in `tidy.toml`.
fn exceptions(text: &str) -> Result<Exceptions> {
    let mut exceptions = Exceptions::new();
    let mut rule = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            rule = name.to_owned();
            continue;
        }
        let parts: Vec<&str> = line.split('"').collect();
        let [_, path, " = ", reason, _] = parts[..] else {
            anyhow::bail!("tidy.toml: found `{line}`, needed `\"path\" = \"reason\"`");
        };
        anyhow::ensure!(reason.len() > 10, "tidy.toml: {path} has no reason");
        exceptions.insert((rule.clone(), path.to_owned()), reason.to_owned());
    }
    Ok(exceptions)
}

/// All Rust files of ours, sorted.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = ["crates", "xtask", "tests", "benches"].map(|name| root.join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        if !folder.exists() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{}: cannot read", path.display()))
}
