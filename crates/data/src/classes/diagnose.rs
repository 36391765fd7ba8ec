//! Why a folder holds no classes: what lies there, and where they may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Class, ClassSource, class_folders, key_of};
use crate::captions::entries;
use crate::error::{DataError, NothingFound};
use crate::folder::{self, Folder, LOOKED_FOR};

/// Folders that are parts of a data set, never classes; the first is proposed first.
const SPLITS: [&str; 9] =
    ["test", "testing", "val", "valid", "validation", "eval", "dev", "train", "training"];

/// How many folders are opened for a suggestion; it must not cost minutes.
const OPENED: usize = 200;

/// Fails where there are no class folders.
pub(super) fn check_folders(
    source: &ClassSource,
    folder: &Folder,
    classes: &[&Path],
) -> Result<(), DataError> {
    if !classes.is_empty() {
        return Ok(());
    }
    let dir = source.image_dir.display();
    let pictures = folder.files.iter().filter(|file| folder::is_picture(file)).count();
    let found = match pictures {
        0 => format!("`{dir}`: neither folders nor pictures ({LOOKED_FOR})"),
        count => format!("`{dir}`: {count} pictures ({LOOKED_FOR}) and no folders"),
    };
    Err(no_classes(found, one_level_too_low(source)))
}

/// Fails where the folders that hold pictures are the splits of a data set.
pub(super) fn check_splits<'a>(
    source: &ClassSource,
    with_pictures: impl Iterator<Item = &'a str>,
) -> Result<(), DataError> {
    let names: Vec<&str> = with_pictures.collect();
    let is_split = |name: &&str| SPLITS.contains(&name.to_lowercase().as_str());
    if names.is_empty() || source.image_list_file.is_some() || !names.iter().all(is_split) {
        return Ok(());
    }
    let (dir, names) = (source.image_dir.display(), names.join("`, `"));
    let found = format!("`{dir}`: found the folders `{names}`, needed one for each class");
    Err(no_classes(found, too_high(source, &|_| true)))
}

/// Fails where fewer than two classes are left to tell apart, or no picture.
pub(super) fn check_number(
    source: &ClassSource,
    classes: usize,
    with_pictures: usize,
) -> Result<(), DataError> {
    if classes >= 2 && with_pictures > 0 {
        return Ok(());
    }
    let place = source.image_list_file.as_ref().unwrap_or(&source.image_dir).display();
    let found = match (classes, with_pictures) {
        (0, _) => format!("`{place}`: no pictures"),
        (_, 0) => format!("`{place}`: no pictures ({LOOKED_FOR}) of its {classes} classes"),
        _ => format!("`{place}`: a single class, needed two or more"),
    };
    let hint = match source.image_list_file {
        Some(_) => None,
        None => too_high(source, &|_| true),
    };
    Err(no_classes(found, hint))
}

/// Fails where a class to learn has no picture.
pub(super) fn check_pictures(
    source: &ClassSource,
    classes: &[Class],
    with: &BTreeSet<usize>,
) -> Result<(), DataError> {
    let without = (0..classes.len()).filter(|class| !with.contains(class));
    let without: Vec<String> = without.map(|class| format!("`{}`", classes[class].key)).collect();
    let place = source.image_list_file.as_ref().unwrap_or(&source.image_dir);
    match without.is_empty() {
        true => Ok(()),
        false => Err(entries(place, "classes have no picture", without)),
    }
}

/// Fails where no folder has a name while those of a sub-folder do.
pub(super) fn check_level(
    source: &ClassSource,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<(), DataError> {
    match too_high(source, is_known) {
        Some(hint) if source.image_list_file.is_none() => {
            let found = format!("`{}`: no folder has a name", source.image_dir.display());
            Err(no_classes(found, Some(hint)))
        }
        _ => Ok(()),
    }
}

fn no_classes(found: String, hint: Option<String>) -> DataError {
    let usual =
        "needed is one folder of pictures for each class, or a list of lines PICTURE<TAB>CLASS";
    let hints = vec![hint.unwrap_or_else(|| usual.to_owned())];
    DataError::NoClasses(NothingFound { found, hints })
}

/// The suggestion for a folder whose sub-folder holds class folders that are wanted.
fn too_high(source: &ClassSource, is_wanted: &dyn Fn(&str) -> bool) -> Option<String> {
    let folder = folder::list(&source.image_dir).ok()?;
    let mut holders: Vec<&Path> = class_folders(&folder)
        .into_iter()
        .take(OPENED)
        .filter(|path| holds_classes(path, is_wanted))
        .collect();
    holders.sort_by_key(|path| {
        let name = key_of(path).to_lowercase();
        SPLITS.iter().position(|split| *split == name).unwrap_or(SPLITS.len())
    });
    let first = holders.first()?.display();
    Some(format!("the folder is one level too high: set `{}: {first}`", source.key))
}

/// The suggestion for a folder of pictures that has others like it beside it.
fn one_level_too_low(source: &ClassSource) -> Option<String> {
    let (dir, key) = (&source.image_dir, source.key);
    let parent = dir.canonicalize().ok()?.parent()?.to_path_buf();
    let is_class = holds_pictures(dir) && holds_classes(&parent, &|_| true);
    is_class
        .then(|| format!("the folder is one class of several: set `{key}: {}`", parent.display()))
}

fn holds_classes(dir: &Path, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    let folder = folder::list(dir).unwrap_or_default();
    let classes = class_folders(&folder).into_iter().take(OPENED);
    classes.filter(|path| is_wanted(&key_of(path)) && holds_pictures(path)).take(2).count() == 2
}

/// Whether a folder, or a folder in it, holds a picture.
fn holds_pictures(dir: &Path) -> bool {
    let has_picture =
        |folder: &Folder| folder.files.iter().any(|file: &PathBuf| folder::is_picture(file));
    let folder = folder::list(dir).unwrap_or_default();
    let inner = folder.folders.iter().take(OPENED);
    has_picture(&folder) || inner.flat_map(|path| folder::list(path)).any(|sub| has_picture(&sub))
}
