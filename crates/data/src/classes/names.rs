//! What classes are called: their folders' names, or those of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Class, ClassSource, Purpose, diagnose};
use crate::captions::entries;
use crate::error::DataError;
use crate::text;

/// Largest file of names: a million classes.
const LARGEST_FILE: u64 = 64 << 20;

/// Longest name in bytes; every template repeats it.
const LONGEST_NAME: usize = 1000;

/// How much of a wrong line a message repeats.
const SHOWN: usize = 60;

/// The classes of `keys`, which are sorted, and those that only the file of names knows.
pub(super) fn classes(source: &ClassSource, keys: &[String]) -> Result<Vec<Class>, DataError> {
    let (classes, place) = match &source.class_names {
        None => (keys.iter().map(|key| own_name(key)).collect(), &source.image_dir),
        Some(file) => (named(source, file, keys)?, file),
    };
    if source.purpose == Purpose::Words {
        check_distinct(place, &classes)?;
    }
    Ok(classes)
}

/// Sorts by keys, by their values where all of them are numbers.
pub(super) fn sort<T>(items: &mut [T], key: impl Fn(&T) -> &String) {
    let numbers: Option<Vec<u64>> = items.iter().map(|item| key(item).parse().ok()).collect();
    match numbers {
        Some(_) => items.sort_by_key(|item| (key(item).parse::<u64>().ok(), key(item).clone())),
        None => items.sort_by(|a, b| key(a).cmp(key(b))),
    }
}

/// A key that is not known, and the one that was probably meant.
pub(super) fn meant<'a>(wrong: &str, known: impl Iterator<Item = &'a String>) -> String {
    match nearest(wrong, known) {
        Some(near) => format!("`{wrong}` (did you mean `{near}`?)"),
        None => format!("`{wrong}`"),
    }
}

/// A warning when not one name is a word: no text tower knows what `n01443537` or `17` looks like.
pub(super) fn codes(classes: &[Class]) -> Option<String> {
    let is_code = |name: &str| {
        name.strip_prefix('n').unwrap_or(name).chars().all(|c| c.is_ascii_digit() || c == ' ')
    };
    let first = classes.first().filter(|_| classes.iter().all(|class| is_code(&class.name)))?;
    let name = &first.name;
    Some(format!(
        "names of classes such as `{name}` mean nothing in a sentence: `class_names` takes a file of \
         lines `{}<TAB>NAME`",
        first.key
    ))
}

/// Whether a word can be the name of a class.
pub(super) fn check(name: &str) -> Result<(), String> {
    match name.len() {
        0 => Err("names no class".to_owned()),
        length if length > LONGEST_NAME => {
            Err(format!("`{}` is a name of {length} bytes, at most {LONGEST_NAME}", short(name)))
        }
        _ => Ok(()),
    }
}

/// The start of a text, for a message.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn own_name(key: &str) -> Class {
    Class { key: key.to_owned(), name: key.replace('_', " ") }
}

fn named(source: &ClassSource, file: &Path, keys: &[String]) -> Result<Vec<Class>, DataError> {
    let text = text::read_limited(file, LARGEST_FILE)?;
    let is_table = text::lines(&text).any(|line| text::strip(line).contains('\t'));
    let known = if is_table { table(file, &text)? } else { column(file, &text, keys)? };
    let unnamed: Vec<&String> = keys.iter().filter(|key| !known.contains_key(*key)).collect();
    if unnamed.is_empty() {
        return Ok(known.into_iter().map(|(key, name)| Class { key, name }).collect());
    }
    if unnamed.len() == keys.len() {
        diagnose::check_level(source, &|key| known.contains_key(key))?;
    }
    let problems = unnamed.into_iter().map(|key| meant(key, known.keys()));
    Err(entries(file, "classes have no name here", problems.collect()))
}

/// Names by key, from lines `KEY<TAB>NAME`.
fn table(file: &Path, text: &str) -> Result<BTreeMap<String, String>, DataError> {
    let (mut known, mut problems) = (BTreeMap::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if text::strip(line).is_empty() {
            continue;
        }
        let row = match line.split_once('\t') {
            None => Err(format!("`{}` has no tab", short(text::strip(line)))),
            Some((key, name)) => {
                let (key, name) = (text::strip(key), text::strip(name));
                check(key).and_then(|()| check(name)).map(|()| (key, name))
            }
        };
        let problem = match row {
            Ok((key, name)) => known
                .insert(key.to_owned(), name.to_owned())
                .map(|_| format!("`{key}` comes a second time")),
            Err(problem) => Some(problem),
        };
        problems.extend(problem.map(|problem| format!("line {} {problem}", number + 1)));
    }
    match problems.is_empty() {
        true => Ok(known),
        false => Err(entries(file, "lines are not FOLDER<TAB>NAME", problems)),
    }
}

/// Names by key, from one name a line: the keys themselves where all of them are there, else names in
/// the order of the keys.
fn column(file: &Path, text: &str, keys: &[String]) -> Result<BTreeMap<String, String>, DataError> {
    let lines: Vec<&str> =
        text::lines(text).map(text::strip).filter(|line| !line.is_empty()).collect();
    let problems: Vec<String> = lines.iter().filter_map(|line| check(line).err()).collect();
    if !problems.is_empty() {
        return Err(entries(file, "lines are no names", problems));
    }
    let set: BTreeSet<&str> = lines.iter().copied().collect();
    let of_keys = keys.iter().filter(|key| set.contains(key.as_str())).count();
    let in_place = keys.iter().zip(&lines).filter(|(key, line)| key == *line).count();
    // A key on another line than its own shows that the lines are keys, not names in their order.
    if of_keys == keys.len() || of_keys > in_place {
        let classes = lines.iter().map(|line| own_name(line));
        return Ok(classes.map(|class| (class.key, class.name)).collect());
    }
    if lines.len() != keys.len() {
        let (found, needed) = (lines.len(), keys.len());
        let problem = format!(
            "found {found} names for {needed} classes, needed one for each in their sorted order, \
             or lines FOLDER<TAB>NAME"
        );
        return Err(DataError::Sample { sample: file.display().to_string(), problem });
    }
    let names = lines.iter().map(|line| (*line).to_owned());
    Ok(keys.iter().cloned().zip(names).collect())
}

/// Equal names make equal embeddings: one of the classes would never be the answer. Text towers of this
/// family do not see case.
fn check_distinct(place: &Path, classes: &[Class]) -> Result<(), DataError> {
    let mut by_name: BTreeMap<String, Vec<&Class>> = BTreeMap::new();
    for class in classes {
        by_name.entry(class.name.to_lowercase()).or_default().push(class);
    }
    let shared = by_name.values().filter(|classes| classes.len() > 1).map(|classes| {
        let keys: Vec<String> = classes.iter().map(|class| format!("`{}`", class.key)).collect();
        format!("`{}` of {}", classes[0].name, keys.join(" and "))
    });
    match shared.collect::<Vec<_>>() {
        shared if shared.is_empty() => Ok(()),
        shared => Err(entries(place, "names stand for several classes", shared)),
    }
}

/// The key that was probably meant.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    let lower = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).max(1);
    let distances =
        known.map(|key| (strsim::damerau_levenshtein(&lower, &key.to_lowercase()), key));
    distances
        .filter(|(distance, key)| *distance <= allowed && *distance < key.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}
