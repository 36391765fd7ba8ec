//! The cache on disk, in the layout that huggingface_hub shares with others.
//!
//! `models--ORG--NAME/` holds `refs/REVISION` (a text: the commit), `snapshots/COMMIT/FILE` (a link
//! into `blobs/`), `blobs/ETAG` (the content) and `.no_exist/COMMIT/FILE` (the commit has no such
//! file). Whatever is read from there is checked before it becomes part of a path.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use super::choice::{self, Choice};
use super::name::{HubName, is_path};
use crate::{error::WeightsError, folder::read_limited};

/// A longer file is no reference.
const MAX_REF_BYTES: u64 = 256;

/// What the cache holds of one repository.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

/// What a name means in the cache alone.
#[derive(Debug)]
pub(super) enum Cached {
    /// The weights and what belongs to them.
    Whole(PathBuf),
    /// The weights; a configuration or a tokenizer may exist that was never asked for.
    Weights(PathBuf),
    /// This file is missing from the weights.
    Lacks(String),
}

impl Repository {
    pub(super) fn new(cache: &Path, name: &HubName) -> Repository {
        let folder = format!("models--{}", name.repository().replace('/', "--"));
        Repository { locks: cache.join(".locks").join(&folder), folder: cache.join(folder) }
    }

    /// The commit that a revision meant when it was last asked for. Without a note of it the
    /// revision is the commit itself, or the name of a folder that someone filled by hand.
    pub(super) fn commit(&self, revision: &str) -> String {
        let noted = read_limited(&self.folder.join("refs").join(revision), MAX_REF_BYTES)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(|text| text.trim().to_owned());
        noted.filter(|commit| is_commit(commit)).unwrap_or_else(|| revision.to_owned())
    }

    pub(super) fn note_commit(&self, revision: &str, commit: &str) -> Result<(), WeightsError> {
        if revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        replace(&path, |temporary| fs::write(temporary, commit)).map_err(not_written(&path))
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The file of a commit, if it is there to the last byte.
    pub(super) fn file(&self, commit: &str, file: &str) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(file);
        path.is_file().then_some(path)
    }

    pub(super) fn is_known_to_lack(&self, commit: &str, file: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(file).is_file()
    }

    pub(super) fn note_lack(&self, commit: &str, file: &str) -> Result<(), WeightsError> {
        let path = self.folder.join(".no_exist").join(commit).join(file);
        make_folder_of(&path).and_then(|()| fs::write(&path, "")).map_err(not_written(&path))
    }

    /// Where the content with this etag lies, or will.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Held by whoever writes a blob; other programs respect it too.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Gives a blob its name in a commit.
    pub(super) fn link(
        &self,
        commit: &str,
        file: &str,
        etag: &str,
    ) -> Result<PathBuf, WeightsError> {
        let path = self.snapshot(commit).join(file);
        let up = "../".repeat(2 + file.matches('/').count());
        let target = format!("{up}blobs/{etag}");
        replace(&path, |temporary| link(Path::new(&target), temporary))
            .map_err(not_written(&path))?;
        Ok(path)
    }

    /// Looks without asking anybody.
    pub(super) fn look_up(&self, name: &HubName) -> Result<Cached, WeightsError> {
        let commit = self.commit(name.revision());
        let held = &mut |file: &str| Ok::<_, WeightsError>(self.file(&commit, file));
        let weights = match choice::weights(name.file(), held)? {
            Choice::Found(path) => path,
            Choice::Lacks(files) => {
                let first = files.into_iter().next().unwrap_or_default();
                return Ok(Cached::Lacks(first));
            }
        };
        // Nobody can be asked about a folder that someone filled by hand.
        let is_settled = !is_commit(&commit)
            || choice::COMPANIONS.iter().all(|kind| {
                let mut files = kind.iter().map(|file| choice::beside(name.file(), file));
                files.clone().any(|file| self.file(&commit, &file).is_some())
                    || files.all(|file| self.is_known_to_lack(&commit, &file))
            });
        Ok(if is_settled { Cached::Whole(weights) } else { Cached::Weights(weights) })
    }
}

/// Hexadecimal digits, as many as git's hashes have.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name of a blob: an etag without its quotes, if it is fit to name a file.
pub(super) fn blob_name(etag: &str) -> Option<String> {
    let etag = etag.trim().trim_start_matches("W/").trim_matches('"');
    let is_name = is_path(etag) && !etag.contains('/') && !etag.starts_with('.');
    (is_name && etag.len() <= 128 && !etag.ends_with(".incomplete")).then(|| etag.to_owned())
}

pub(super) fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

pub(super) fn not_written(path: &Path) -> impl Fn(io::Error) -> WeightsError {
    let path = path.to_owned();
    move |source| WeightsError::NotWritten { path: path.clone(), source }
}

/// Makes something under a name of its own, then gives it its place. Several processes may do so
/// at once; what they make is the same.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    make_folder_of(path)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let made = make(Path::new(&temporary)).and_then(|()| fs::rename(&temporary, path));
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made
}

#[cfg(unix)]
fn link(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Where links need rights that users rarely have, a copy serves the same readers.
#[cfg(not(unix))]
fn link(target: &Path, link: &Path) -> io::Result<()> {
    fs::copy(link.parent().unwrap_or(Path::new("")).join(target), link).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_no_path() {
        let check = |etag: &str, expected: Option<&str>| {
            assert_eq!(blob_name(etag).as_deref(), expected, "{etag}");
        };
        check("\"0f3a\"", Some("0f3a"));
        check("W/\"0f3a-1\"", Some("0f3a-1"));
        check("../x", None);
        check("\"a/b\"", None);
        check(".hidden", None);
        check("", None);
        check("x.incomplete", None);
        check(&"a".repeat(129), None);
    }

    #[test]
    fn a_reference_that_is_no_commit_is_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let name = HubName::parse("a/b").unwrap();
        let repository = Repository::new(cache.path(), &name);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(repository.commit("main"), "main");
        repository.note_commit("main", commit).unwrap();
        assert_eq!(repository.commit("main"), commit);
        for hostile in ["../../../etc", "", "a/b", &"0".repeat(300)] {
            repository.note_commit("main", hostile).unwrap();
            assert_eq!(repository.commit("main"), "main", "{hostile}");
        }
    }
}
