//! Looking into folders: sorted names, which of them are pictures, what lies one level lower.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Extensions that TAO takes in folders with captions, in any case.
const USUAL: [&str; 3] = ["jpg", "jpeg", "png"];

/// Further extensions that are taken as pictures.
const OTHERS: [&str; 5] = ["bmp", "gif", "tif", "tiff", "webp"];

/// What was looked for, in messages.
pub(crate) const LOOKED_FOR: &str =
    "*.jpg, *.jpeg, *.png, *.webp, *.bmp, *.gif, *.tif, *.tiff in any case";

/// How many sub-folders are searched for a suggestion; a suggestion must not cost minutes.
const SUB_FOLDERS: usize = 200;

/// What one folder holds, each list sorted by name. Links count as what they lead to.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) folders: Vec<PathBuf>,
}

/// Lists a folder without entering its sub-folders.
pub(crate) fn list(path: &Path) -> Result<Folder, DataError> {
    let unreadable = |problem| DataError::Unreadable { path: path.to_owned(), problem };
    if path.is_file() {
        return Err(unreadable(io::ErrorKind::NotADirectory.into()));
    }
    if !path.is_dir() {
        let mut ancestors = path.ancestors().skip(1);
        let exists = ancestors.find(|part| part.is_dir() && !part.as_os_str().is_empty());
        return Err(DataError::NoFolder {
            path: path.to_owned(),
            exists: exists.map(Path::to_owned),
        });
    }
    let mut folder = Folder::default();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let path = entry.path();
        // Asking what a link leads to costs a call for each file, so only links are asked.
        let is_dir = if kind.is_symlink() { path.is_dir() } else { kind.is_dir() };
        if is_dir { folder.folders.push(path) } else { folder.files.push(path) }
    }
    sort(&mut folder.files);
    sort(&mut folder.folders);
    Ok(folder)
}

/// All files below a folder, sorted; hidden folders are left out. A linked folder is entered too, but no
/// folder twice: links may form loops. Links wait until the real folders are done, so that these keep their own paths.
pub(crate) fn files_below(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    let (mut open, mut links) = (vec![root.to_owned()], BTreeSet::new());
    let mut entered = HashSet::new();
    while let Some(path) = open.pop().or_else(|| links.pop_first()) {
        let Folder { files, folders } = list(&path)?;
        let real = fs::canonicalize(&path)
            .map_err(|problem| DataError::Unreadable { path: path.clone(), problem })?;
        if !entered.insert(real) {
            continue;
        }
        found.extend(files);
        for folder in folders.into_iter().filter(|folder| !is_hidden(folder)) {
            if folder.is_symlink() {
                links.insert(folder);
            } else {
                open.push(folder);
            }
        }
    }
    sort(&mut found);
    Ok(found)
}

/// Sorts as Python sorts the same paths as text, which differs from comparing folder by folder.
pub(crate) fn sort(paths: &mut [PathBuf]) {
    paths.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
}

/// True for a name that is taken as a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    is_usual_picture(path) || has_extension(path, &OTHERS)
}

/// True for the extensions that nearly every data set has.
pub(crate) fn is_usual_picture(path: &Path) -> bool {
    has_extension(path, &USUAL)
}

/// Hidden files never have one: `._photo.jpg` is what macOS leaves beside `photo.jpg`.
fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let is_one = |found: &OsStr| extensions.iter().any(|known| found.eq_ignore_ascii_case(known));
    !is_hidden(path) && path.extension().is_some_and(is_one)
}

/// Tools keep their own files and folders under such names.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The first few sub-folders that hold a file of the wanted kind themselves.
pub(crate) fn sub_folders_with(folder: &Folder, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let searched = folder.folders.iter().take(SUB_FOLDERS);
    let holds =
        |path: &&PathBuf| list(path).is_ok_and(|sub| sub.files.iter().any(|file| wanted(file)));
    searched.filter(holds).cloned().collect()
}
