//! Image/caption folders: each picture's caption is a text file with the same name.
//!
//! Without a list file the pictures are those of the folder itself, sorted by name; pictures without a
//! caption file are left out and counted. Besides `*.jpg`, `*.jpeg` and `*.png`, which TAO takes, the other
//! formats are taken where their caption belongs to no other picture: a second copy is no second pair.
//! With a list file the pictures are its entries in its order, and each needs its picture and its caption.

mod diagnose;
pub(crate) mod wording;

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::archives::unpacked_folder;
use crate::error::{DataError, NAMED};
use crate::folder;
use crate::pairs::{self, Caption, Missing, Pair, Pairs, Place, Reading};
use crate::shards::is_shard;
use crate::text;

pub use wording::Captions;

/// Largest caption file or member; text of this length is no caption.
pub(crate) const LARGEST_CAPTION: u64 = 1 << 20;

/// One image/caption folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSource {
    /// Where the pictures lie: a folder, or an archive of one.
    pub image_dir: PathBuf,
    /// Picture names relative to `image_dir`, one a line.
    pub image_list_file: Option<PathBuf>,
    /// Where the captions lie, a folder or an archive of one; `None` is beside the pictures.
    pub caption_dir: Option<PathBuf>,
    /// Takes the place of the picture's extension: `.txt`.
    pub caption_file_suffix: String,
}

/// The names in a list file: one a line, white space at the ends and empty lines dropped. The error
/// holds every entry that could leave the folder or is no name.
pub fn parse_list(text: &str) -> Result<Vec<&str>, Vec<String>> {
    parse_names(text, |line| line)
}

fn parse_names(text: &str, name: fn(&str) -> &str) -> Result<Vec<&str>, Vec<String>> {
    let (mut names, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let name = text::strip(name(line));
        if name.is_empty() {
            continue;
        }
        match check_name(name) {
            Ok(()) => names.push(name),
            Err(problem) => problems.push(format!("line {} `{name}` {problem}", number + 1)),
        }
    }
    if problems.is_empty() { Ok(names) } else { Err(problems) }
}

/// Whether a name stays inside the folder it is joined to.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.contains('\0') {
        return Err("holds a zero byte");
    }
    let mut is_named = false;
    for component in Path::new(name).components() {
        match component {
            Component::Normal(_) => is_named = true,
            Component::CurDir => {}
            Component::ParentDir => return Err("leaves the folder through `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
        }
    }
    if is_named && !name.ends_with('/') { Ok(()) } else { Err("names no file") }
}

/// Reads a list file and joins its names to a folder; every bad entry in one error. `name` finds the name
/// in a line.
pub(crate) fn read_list(
    list: &Path,
    dir: &Path,
    name: fn(&str) -> &str,
) -> Result<Vec<PathBuf>, DataError> {
    let text = text::read(list)?;
    let names = parse_names(&text, name).map_err(|problems| {
        entries(list, "entries are not names relative to the folder", problems)
    })?;
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// The pairs of one source, or why there is none.
pub(crate) fn read_source(
    source: &PairSource,
    reading: &Reading<'_>,
) -> Result<pairs::Found, DataError> {
    let source = &unpacked(source, reading)?;
    let (images, origin) = match &source.image_list_file {
        Some(list) => (read_list(list, &source.image_dir, |line| line)?, list.as_path()),
        None => (pictures_of(source)?, source.image_dir.as_path()),
    };
    let is_listed = source.image_list_file.is_some();
    let mut found = Found::default();
    for image in images {
        let caption = caption_path(&image, source);
        let mut not_there = Vec::new();
        if is_listed && !image.is_file() {
            not_there.push(format!("picture `{}`", image.display()));
        }
        let has_caption = caption.is_file();
        if !has_caption {
            let name = format!("caption `{}`", caption.display());
            if is_listed { &mut not_there } else { &mut found.uncaptioned }.push(name);
        }
        if !not_there.is_empty() {
            found.missing.push(not_there);
        } else if has_caption {
            match captions_of(&caption, reading.captions) {
                Ok(captions) => found.add(image, &caption, captions, reading.captions),
                Err(problem) => found.unreadable.push(problem),
            }
        }
    }
    if reading.missing == Missing::IsLeftOut {
        found.leave_out(origin);
    }
    let found = found.into_pairs(origin, source)?;
    let is_empty = found.pairs.is_empty() && found.left_out.is_empty();
    Ok(if is_empty { Err(diagnose::no_pairs(source)) } else { Ok(found) })
}

/// The source with folders in the place of archives.
fn unpacked(source: &PairSource, reading: &Reading<'_>) -> Result<PairSource, DataError> {
    let folder = |path: &PathBuf| match is_shard(path) && !path.is_dir() {
        true => unpacked_folder(path, reading.cache, reading.watch),
        false => Ok(path.clone()),
    };
    Ok(PairSource {
        image_dir: folder(&source.image_dir)?,
        caption_dir: source.caption_dir.as_ref().map(folder).transpose()?,
        ..source.clone()
    })
}

/// The captions in a file: all that it holds, or the whole text as one.
fn captions_of(file: &Path, choice: Captions) -> Result<Vec<String>, String> {
    let named = |problem: wording::Unusable| format!("{}: {}", file.display(), problem.0);
    let content = text::read_limited(file, LARGEST_CAPTION).map_err(|error| error.to_string())?;
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    Ok(match choice {
        _ if is_json => wording::in_json(content.as_bytes()).map_err(named)?,
        Captions::Whole => vec![text::strip(&content).to_owned()],
        _ => wording::lines(&content),
    })
}

/// What looking at the files of one source gave.
#[derive(Default)]
struct Found {
    pairs: Vec<Pair>,
    /// For each entry of a list the files that are not there.
    missing: Vec<Vec<String>>,
    unreadable: Vec<String>,
    left_out: Vec<String>,
    uncaptioned: Vec<String>,
    empty: Vec<String>,
    /// Caption files without a caption.
    wordless: Vec<String>,
}

impl Found {
    fn add(&mut self, image: PathBuf, file: &Path, mut captions: Vec<String>, choice: Captions) {
        let image = Place::File(image);
        let pair = |caption| Pair { image: image.clone(), caption };
        match (choice, captions.len()) {
            (_, 0) => self.wordless.push(format!("`{}`", file.display())),
            (Captions::All, _) => {
                self.pairs.extend(captions.into_iter().map(|text| pair(Caption::Text(text))));
            }
            (Captions::Random, 2..) => self.pairs.push(pair(Caption::AnyOf(captions.into()))),
            _ => {
                let caption = captions.swap_remove(0);
                if caption.is_empty() {
                    self.empty.push(format!("`{}`", file.display()));
                }
                self.pairs.push(pair(Caption::Text(caption)));
            }
        }
    }

    /// Turns what would be errors into reasons.
    fn leave_out(&mut self, origin: &Path) {
        let missing = self.missing.drain(..);
        let reason = |files: Vec<String>| {
            format!("{}: found no {}", origin.display(), files.join(" and no "))
        };
        self.left_out.extend(missing.map(reason));
        self.left_out.append(&mut self.unreadable);
    }

    fn into_pairs(self, origin: &Path, source: &PairSource) -> Result<Pairs, DataError> {
        let mut errors = Vec::new();
        if !self.missing.is_empty() {
            errors.push(entries(origin, "files of the list are missing", self.missing.concat()));
        }
        if !self.unreadable.is_empty() {
            errors.push(entries(origin, "captions cannot be read", self.unreadable));
        }
        if let Some(error) = DataError::from_many(errors) {
            return Err(error);
        }
        let (mut warnings, origin, of) = (Vec::new(), origin.display(), self.pairs.len());
        if let Some(first) = self.empty.first() {
            let count = self.empty.len();
            warnings.push(format!(
                "{origin}: {count} of {of} captions are empty, first {first}; they teach nothing \
                 and can drive the loss to NaN"
            ));
        }
        if let Some(first) = self.wordless.first() {
            let count = self.wordless.len();
            warnings.push(format!(
                "{origin}: {count} pictures are left out, their files hold no caption, first {first}"
            ));
        }
        if let Some(first) = self.uncaptioned.first()
            && !self.pairs.is_empty()
        {
            let (count, of) = (self.uncaptioned.len(), self.uncaptioned.len() + of);
            warnings.push(format!(
                "{origin}: {count} of {of} pictures are left out, they have no caption `*{}`; the \
                 first that is missing: {first}",
                source.caption_file_suffix
            ));
        }
        Ok(Pairs { pairs: self.pairs, warnings, left_out: self.left_out, ..Pairs::default() })
    }
}

/// One error of many equal problems, the first few named.
pub(crate) fn entries(path: &Path, what: &'static str, mut problems: Vec<String>) -> DataError {
    let total = problems.len();
    problems.truncate(NAMED);
    DataError::Entries { path: path.to_owned(), what, problems, total }
}

/// The pictures of a folder that TAO takes, and of the others those with a caption of their own.
fn pictures_of(source: &PairSource) -> Result<Vec<PathBuf>, DataError> {
    let mut pictures = folder::list(&source.image_dir)?.files;
    pictures.retain(|path| folder::is_picture(path));
    let is_usual = |path: &&PathBuf| folder::is_usual_picture(path);
    let mut taken: HashSet<PathBuf> =
        pictures.iter().filter(is_usual).map(|path| caption_path(path, source)).collect();
    pictures.retain(|path| is_usual(&path) || taken.insert(caption_path(path, source)));
    Ok(pictures)
}

/// `caption_dir` / the picture's name within `image_dir`, its extension replaced by the suffix.
fn caption_path(image: &Path, source: &PairSource) -> PathBuf {
    let mut name = OsString::from(image.file_stem().unwrap_or_default());
    name.push(&source.caption_file_suffix);
    let beside = image.with_file_name(name);
    match &source.caption_dir {
        None => beside,
        Some(dir) => dir.join(beside.strip_prefix(&source.image_dir).unwrap_or(&beside)),
    }
}
