//! What inference embeds: pictures of folders and lists, prompts of a text file.

use std::path::{Path, PathBuf};

use crate::captions::read_list;
use crate::error::{DataError, NAMED, NothingFound};
use crate::folder::{self, LOOKED_FOR};
use crate::text;

/// A folder of pictures to embed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureSource {
    /// Searched with all its sub-folders, unless there is a list.
    pub image_dir: PathBuf,
    /// Names relative to `image_dir`, one a line; only these are taken, in this order. What stands behind
    /// a tab, as a class does, is left out.
    pub image_list_file: Option<PathBuf>,
}

impl PictureSource {
    /// The pictures at a path: a folder, or a list with names relative to its folder.
    pub fn at(path: &Path) -> PictureSource {
        let folder = path.parent().filter(|_| path.is_file());
        match folder {
            Some(folder) => PictureSource {
                image_dir: folder.to_owned(),
                image_list_file: Some(path.to_owned()),
            },
            None => PictureSource { image_dir: path.to_owned(), image_list_file: None },
        }
    }
}

/// The pictures of all sources in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Joined from `image_dir`; each source sorted, or in the order of its list.
    pub pictures: Vec<PathBuf>,
    /// One line each: empty sources.
    pub warnings: Vec<String>,
}

/// Finds the pictures. A name of a list that is not there is an error, and so are sources without
/// a single picture.
pub fn pictures(sources: &[PictureSource]) -> Result<Inputs, DataError> {
    let (mut inputs, mut errors, mut without) = (Inputs::default(), Vec::new(), Vec::new());
    for source in sources {
        match pictures_of(source) {
            Ok(found) if found.is_empty() => without.push(nothing(source)),
            Ok(found) => inputs.pictures.extend(found),
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = DataError::from_many(errors) {
        return Err(error);
    }
    if inputs.pictures.is_empty() && !sources.is_empty() {
        return Err(DataError::NoPictures(without));
    }
    inputs.warnings.extend(without.into_iter().map(|nothing| nothing.found));
    Ok(inputs)
}

/// The prompts of a text file: one a line, white space at the ends and empty lines dropped.
pub fn prompts(path: &Path) -> Result<Vec<String>, DataError> {
    let text = text::read(path)?;
    let prompts: Vec<String> =
        text::lines(&text).map(text::strip).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    if prompts.is_empty() {
        return Err(DataError::NoPrompts { path: path.to_owned() });
    }
    Ok(prompts)
}

fn pictures_of(source: &PictureSource) -> Result<Vec<PathBuf>, DataError> {
    let Some(list) = &source.image_list_file else {
        return walk(&source.image_dir);
    };
    let pictures = read_list(list, &source.image_dir, before_tab)?;
    let missing: Vec<_> = pictures.iter().filter(|path| !path.is_file()).collect();
    if missing.is_empty() {
        return Ok(pictures);
    }
    Err(DataError::Entries {
        path: list.clone(),
        what: "pictures of the list are missing",
        problems: missing.iter().take(NAMED).map(|p| format!("`{}`", p.display())).collect(),
        total: missing.len(),
    })
}

fn before_tab(line: &str) -> &str {
    line.split_once('\t').map_or(line, |(name, _)| name)
}

fn nothing(source: &PictureSource) -> NothingFound {
    let found = match &source.image_list_file {
        Some(list) => format!("`{}`: the list holds no name", list.display()),
        None => format!(
            "`{}`: no pictures ({LOOKED_FOR}) in it or its sub-folders",
            source.image_dir.display()
        ),
    };
    NothingFound { found, hints: Vec::new() }
}

/// The pictures below a folder, linked folders included.
fn walk(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let files = folder::files_below(root)?;
    Ok(files.into_iter().filter(|file| folder::is_picture(file)).collect())
}
