//! Files that a reader, or the next run after a power cut, finds either old or new, never half.
//!
//! A file is written under a temporary name beside its destination, synced, renamed over the
//! destination, and the folder is synced. The temporary name is always the same (`NAME.tmp`), so
//! what a killed process left is overwritten by the next attempt and never piles up.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file or folder that could not be written, and what was being done to it.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot {doing}", .path.display())]
pub struct FileError {
    /// The failed action as a verb and its object: `write this file`.
    pub doing: &'static str,
    /// Where it was tried.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`: adds the action and the place to an error of the operating system.
    pub fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |source| FileError { doing, path, source }
    }
}

/// Replaces the content of `path` with `bytes`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |file| file.write_all(bytes))
}

/// Replaces the content of `path` with what `fill` writes; on an error the old content stays.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let temporary = temporary_path(path);
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::new(file);
        fill(&mut file)?;
        file.flush()
    });
    if let Err(source) = written {
        // Nothing to add when this fails too: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        return Err(FileError { doing: "write this file", path: path.to_owned(), source });
    }
    publish(&temporary, path)
}

/// The name under which `path` is written before it is published: `model.h5` -> `model.h5.tmp`.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, |name| name.to_owned());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Gives a finished temporary file its name, so that it survives a power cut.
///
/// For formats whose library insists on writing the file itself; others use [`write_with`].
pub fn publish(temporary: &Path, path: &Path) -> Result<(), FileError> {
    File::open(temporary)
        .and_then(|file| file.sync_all())
        .map_err(FileError::at("sync this file", temporary))?;
    fs::rename(temporary, path).map_err(FileError::at("replace this file", path))?;
    sync_folder_of(path)
}

/// Points the symbolic link `link` at `target` (kept as given, relative to the folder of `link`).
pub fn replace_link(link: &Path, target: &Path) -> Result<(), FileError> {
    let temporary = temporary_path(link);
    match fs::remove_file(&temporary) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(FileError { doing: "remove this file", path: temporary, source });
        }
        _ => {}
    }
    symlink(target, &temporary)
        .and_then(|()| fs::rename(&temporary, link))
        .map_err(FileError::at("replace this link", link))?;
    sync_folder_of(link)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

/// Elsewhere a link needs rights that users rarely have: a copy serves the same readers.
#[cfg(not(unix))]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    let folder = link.parent().unwrap_or(Path::new(""));
    fs::copy(folder.join(target), link).map(|_| ())
}

/// A rename is on disk only when the folder is. Other systems cannot open a folder as a file.
fn sync_folder_of(path: &Path) -> Result<(), FileError> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::at("sync this folder", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_content_is_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        write(&path, b"one").unwrap();
        fs::write(temporary_path(&path), b"left by a killed process, and much longer").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names_in(folder.path()), ["results.json"]);
    }

    #[test]
    fn an_error_in_the_middle_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(&path, b"good").unwrap();
        let err = write_with(&path, |file| {
            file.write_all(b"half of it")?;
            Err(io::Error::other("no space left"))
        })
        .unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert_eq!(names_in(folder.path()), ["model.safetensors"]);
        assert!(err.to_string().ends_with("model.safetensors: cannot write this file"), "{err}");
        assert_eq!(err.source.to_string(), "no space left");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let err = write(&folder.path().join("none/file"), b"").unwrap_err();
        assert!(err.to_string().ends_with("none/file: cannot write this file"), "{err}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_moves_from_one_target_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("clip_latest.safetensors");
        for name in ["first", "second"] {
            write(&folder.path().join(name), name.as_bytes()).unwrap();
            replace_link(&link, Path::new(name)).unwrap();
            assert_eq!(fs::read_to_string(&link).unwrap(), name);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(name));
        }
        assert_eq!(names_in(folder.path()), ["clip_latest.safetensors", "first", "second"]);
    }
}
