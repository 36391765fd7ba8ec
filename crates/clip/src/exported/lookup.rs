//! Which files a name in a spec means: graphs by their name, engines as TAO looks for them, and the
//! tokenizer beside either.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hearth_deploy::DeployError;
use hearth_engine::{FileError, Run};

use super::{Exported, Format};
use crate::{
    error::ClipError,
    export::{TEXT, VISION},
};

/// End of the name of a folder with a tokenizer.
pub(crate) const TOKENIZER: &str = "_tokenizer";

/// End of the name of an engine.
const ENGINE: &str = "engine";

impl Exported {
    /// The graphs that `path` names: itself with the one of the other tower, if it is there, or both
    /// towers of a name that does not exist.
    pub(crate) fn graphs(path: &Path) -> Result<Exported, ClipError> {
        let files = match path.exists() {
            true => with_partner(path),
            false => existing(of_towers(path)),
        };
        match files.is_empty() {
            true => Err(DeployError::Missing { path: path.to_owned() }.into()),
            false => Ok(Exported { format: Format::Onnx, files }),
        }
    }

    /// The engines that `path` names, for the GPU of this number: those of a folder, a file with that
    /// of the other tower, or both towers of a name that does not exist.
    pub(crate) fn engines(path: &Path, gpu: usize, run: &Run) -> Result<Exported, ClipError> {
        let (files, tried) = if path.is_dir() {
            (of_folder(path, run)?, vec![path.join(format!("*.{ENGINE}"))])
        } else if path.exists() {
            (with_partner(path), Vec::new())
        } else {
            let named = match path.extension() {
                Some(_) => path.to_owned(),
                None => path.with_extension(ENGINE),
            };
            let tried = [vec![named.clone()], of_towers(&named)].concat();
            (existing(tried.clone()), tried)
        };
        match files.is_empty() {
            true => Err(ClipError::NoEngine { path: path.to_owned(), tried }),
            false => Ok(Exported { format: Format::Engine { gpu }, files }),
        }
    }
}

/// The first model of a folder: a pair, else one with both towers, else one tower.
fn of_folder(folder: &Path, run: &Run) -> Result<Vec<PathBuf>, ClipError> {
    let engines = entries(folder)?;
    let engines = engines.into_iter().filter(|path| path.is_file() && is_engine(path));
    let engines: Vec<PathBuf> = engines.collect();
    let ends = |ending: &str| {
        let wanted = move |path: &&PathBuf| stem(path).ends_with(ending);
        engines.iter().filter(wanted).cloned().collect::<Vec<_>>()
    };
    let (vision, text) = (ends(VISION), ends(TEXT));
    let whole = engines.iter().filter(|path| !vision.contains(path) && !text.contains(path));
    let pairs = vision.iter().filter(|path| with_partner(path).len() == 2).cloned();
    let kinds = [pairs.collect(), whole.cloned().collect(), vision.clone(), text.clone()];
    let Some(models) = kinds.into_iter().find(|models: &Vec<PathBuf>| !models.is_empty()) else {
        return Ok(Vec::new());
    };
    if models.len() > 1 {
        let (count, folder, first) = (models.len(), folder.display(), models[0].display());
        run.warn(&format!(
            "{folder}: holds {count} models, {first} is taken; name the one you mean"
        ));
    }
    Ok(with_partner(&models[0]))
}

fn is_engine(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == ENGINE)
}

/// A file, with that of the other tower if it holds one: pictures first.
fn with_partner(path: &Path) -> Vec<PathBuf> {
    match base(&stem(path)) {
        Some(base) => existing(of_towers(&renamed(path, base))),
        None => vec![path.to_owned()],
    }
}

/// The names of both towers of a model that is called `path`.
fn of_towers(path: &Path) -> Vec<PathBuf> {
    [VISION, TEXT].map(|tower| renamed(path, &format!("{}{tower}", stem(path)))).into()
}

fn existing(files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.into_iter().filter(|path| path.exists()).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The stem of a tower without the tower.
fn base(stem: &str) -> Option<&str> {
    stem.strip_suffix(VISION).or_else(|| stem.strip_suffix(TEXT))
}

/// The path with another stem.
fn renamed(path: &Path, stem: &str) -> PathBuf {
    let end = path.extension().map(|end| format!(".{}", end.to_string_lossy()));
    path.with_file_name(format!("{stem}{}", end.unwrap_or_default()))
}

/// The tokenizer that lies beside the model at `path`, which may hold one tower.
pub(crate) fn tokenizer_folder(path: &Path) -> PathBuf {
    let stem = stem(path);
    let base = base(&stem).unwrap_or(&stem);
    path.with_file_name(format!("{base}{TOKENIZER}"))
}

/// Where TAO looks for the tokenizer of an engine: beside it, in `export` beside its folder, above its
/// folder; its own name first.
pub(super) fn tokenizer_folders(engine: &Path) -> Vec<PathBuf> {
    let own = tokenizer_folder(engine);
    let name = own.file_name().unwrap_or_default().to_owned();
    let folder = match engine.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let above = folder.join("..");
    let mut places = Vec::new();
    for place in [folder, above.join("export"), above] {
        places.push(place.join(&name));
        let others = entries(&place).unwrap_or_default().into_iter();
        let is_tokenizer = |path: &PathBuf| {
            path.is_dir() && path.to_string_lossy().ends_with(TOKENIZER) && !path.ends_with(&name)
        };
        places.extend(others.filter(is_tokenizer));
    }
    places[0] = own;
    places
}

/// What a folder holds, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = read().map_err(FileError::at("read this folder", folder))?;
    paths.sort();
    Ok(paths)
}
