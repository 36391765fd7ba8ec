//! Pictures by class: one folder per class, or a list with the class behind every picture.
//!
//! Classes stand in the sorted order of their folders, as in torchvision's `ImageFolder`, or of the words of
//! the list, numbers by their value. A file may give them names.

mod diagnose;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::captions::{check_name, entries};
use crate::error::DataError;
use crate::folder::{self, Folder};
use crate::inputs::{PictureSource, pictures};
use crate::text;

/// What classes are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Their names are answers in words: no two may be alike, and a class without a picture is kept as one
    /// more possible answer.
    Words,
    /// A model learns them: each needs a picture, whatever it is called.
    Labels,
}

/// Where pictures and their classes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassSource {
    /// Holds one folder per class, each searched with all its sub-folders, unless there is a list.
    pub image_dir: PathBuf,
    /// Lines `PICTURE<TAB>CLASS`, pictures relative to `image_dir`, in this order.
    pub image_list_file: Option<PathBuf>,
    /// Lines `FOLDER<TAB>NAME`; or one name a line in the sorted order of the folders; or the folders
    /// themselves. `None` takes the names of the folders.
    pub class_names: Option<PathBuf>,
    /// What the classes are for.
    pub purpose: Purpose,
    /// Name of the setting that holds `image_dir`, for messages.
    pub key: &'static str,
}

impl ClassSource {
    /// Classes to learn at a path: a folder of class folders, or a list with names relative to its folder.
    pub fn labels_at(path: &Path, key: &'static str) -> ClassSource {
        let PictureSource { image_dir, image_list_file } = PictureSource::at(path);
        ClassSource { image_dir, image_list_file, class_names: None, purpose: Purpose::Labels, key }
    }
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// Its folder, or its word in the list.
    pub key: String,
    /// What it is called in a sentence.
    pub name: String,
}

/// A picture and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// The file.
    pub image: PathBuf,
    /// Position of its class in [`ByClass::classes`].
    pub class: usize,
}

/// Pictures of known classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByClass {
    /// At least two, sorted by key; for words, no two of one name.
    pub classes: Vec<Class>,
    /// Class after class and sorted within, or in the order of the list.
    pub pictures: Vec<Labelled>,
    /// One line each.
    pub warnings: Vec<String>,
}

/// Finds the pictures of every class. What is wrong is reported at once, with what may be meant.
pub fn read_classes(source: &ClassSource) -> Result<ByClass, DataError> {
    let mut found = match &source.image_list_file {
        Some(list) => listed(list, &source.image_dir)?,
        None => in_folders(source)?,
    };
    let with: BTreeSet<usize> = found.pictures.iter().map(|(_, key)| *key).collect();
    diagnose::check_splits(source, with.iter().map(|key| found.keys[*key].as_str()))?;
    let mut classes = names::classes(source, &found.keys)?;
    if source.image_list_file.is_some() {
        names::sort(&mut classes, |class| &class.key);
    }
    let place: BTreeMap<&str, usize> =
        classes.iter().enumerate().map(|(at, class)| (class.key.as_str(), at)).collect();
    let pictures: Vec<Labelled> = found
        .pictures
        .into_iter()
        .map(|(image, key)| Labelled { image, class: place[found.keys[key].as_str()] })
        .collect();
    let of_classes: BTreeSet<usize> = pictures.iter().map(|picture| picture.class).collect();
    diagnose::check_number(source, classes.len(), of_classes.len())?;
    match source.purpose {
        Purpose::Words => {
            found.warnings.extend(without_pictures(source, &classes, &of_classes));
            if source.class_names.is_none() {
                found.warnings.extend(names::codes(&classes));
            }
        }
        Purpose::Labels => diagnose::check_pictures(source, &classes, &of_classes)?,
    }
    Ok(ByClass { classes, pictures, warnings: found.warnings })
}

impl ByClass {
    /// The same pictures with the places of other classes: those that a model has learned. Classes are
    /// told apart by their keys; `place` is where the pictures come from.
    pub fn in_order_of(self, known: &[Class], place: &Path) -> Result<ByClass, DataError> {
        let keys = || known.iter().map(|class| &class.key);
        let places: BTreeMap<&String, usize> = keys().zip(0..).collect();
        let unknown = self.classes.iter().filter(|class| !places.contains_key(&class.key));
        let unknown: Vec<String> = unknown.map(|class| names::meant(&class.key, keys())).collect();
        if !unknown.is_empty() {
            return Err(entries(place, "classes are not among those of the model", unknown));
        }
        let new = |old: usize| places[&self.classes[old].key];
        let pictures = self.pictures.iter();
        let pictures = pictures
            .map(|Labelled { image, class }| Labelled { image: image.clone(), class: new(*class) })
            .collect();
        Ok(ByClass { pictures, classes: known.to_vec(), warnings: self.warnings })
    }
}

/// Pictures beside the position of their class in `keys`, which is sorted.
#[derive(Default)]
struct Found {
    keys: Vec<String>,
    pictures: Vec<(PathBuf, usize)>,
    warnings: Vec<String>,
}

fn in_folders(source: &ClassSource) -> Result<Found, DataError> {
    let folder = folder::list(&source.image_dir)?;
    let folders = class_folders(&folder);
    diagnose::check_folders(source, &folder, &folders)?;
    let mut found = Found::default();
    let mut errors = Vec::new();
    for (class, path) in folders.iter().enumerate() {
        found.keys.push(key_of(path));
        let of_class = PictureSource { image_dir: path.to_path_buf(), image_list_file: None };
        match pictures(&[of_class]) {
            Ok(inputs) => {
                found.pictures.extend(inputs.pictures.into_iter().map(|image| (image, class)));
                found.warnings.extend(inputs.warnings);
            }
            Err(DataError::NoPictures(_)) => {}
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = DataError::from_many(errors) {
        return Err(error);
    }
    let beside = folder.files.iter().filter(|file| folder::is_picture(file)).count();
    if beside > 0 {
        let dir = source.image_dir.display();
        found.warnings.push(format!(
            "{dir}: {beside} pictures lie beside the class folders and are left out"
        ));
    }
    Ok(found)
}

/// Sub-folders that can be classes.
fn class_folders(folder: &Folder) -> Vec<&Path> {
    folder.folders.iter().map(PathBuf::as_path).filter(|path| !folder::is_hidden(path)).collect()
}

/// The folder's own name.
fn key_of(folder: &Path) -> String {
    folder.file_name().unwrap_or(OsStr::new("")).to_string_lossy().into_owned()
}

fn listed(list: &Path, dir: &Path) -> Result<Found, DataError> {
    let text = text::read(list)?;
    let (mut rows, mut problems, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if text::strip(line).is_empty() {
            continue;
        }
        match parse_row(line) {
            Ok((name, class)) => {
                let image = dir.join(name);
                if !image.is_file() {
                    missing.push(format!("line {} `{}`", number + 1, image.display()));
                }
                rows.push((image, class));
            }
            Err(problem) => problems.push(format!("line {} {problem}", number + 1)),
        }
    }
    let mut errors = Vec::new();
    if !problems.is_empty() {
        errors.push(entries(list, "lines are not PICTURE<TAB>CLASS", problems));
    }
    if !missing.is_empty() {
        errors.push(entries(list, "pictures of the list are missing", missing));
    }
    if let Some(error) = DataError::from_many(errors) {
        return Err(error);
    }
    let keys: BTreeSet<&str> = rows.iter().map(|(_, class)| *class).collect();
    let mut keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
    names::sort(&mut keys, |key| key);
    let place: BTreeMap<&str, usize> = keys.iter().map(String::as_str).zip(0..).collect();
    let pictures = rows.into_iter().map(|(image, class)| (image, place[class])).collect();
    Ok(Found { pictures, keys, warnings: Vec::new() })
}

fn parse_row(line: &str) -> Result<(&str, &str), String> {
    let Some((name, class)) = line.split_once('\t') else {
        return Err(format!("`{}` has no tab", names::short(text::strip(line))));
    };
    let (name, class) = (text::strip(name), text::strip(class));
    check_name(name).map_err(|problem| format!("`{}` {problem}", names::short(name)))?;
    names::check(class)?;
    Ok((name, class))
}

fn without_pictures(
    source: &ClassSource,
    classes: &[Class],
    with: &BTreeSet<usize>,
) -> Option<String> {
    let first = (0..classes.len()).find(|class| !with.contains(class))?;
    let dir = source.image_dir.display();
    let (count, of, first) = (classes.len() - with.len(), classes.len(), &classes[first].key);
    Some(format!(
        "{dir}: {count} of {of} classes have no picture, the first: `{first}`; they stay possible \
         answers, and means over classes leave them out"
    ))
}
