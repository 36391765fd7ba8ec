//! A folder for what can be made again: indexes of shards, unpacked archives, fetched files. It may be
//! deleted at any time, and nothing of it lies beside the user's data.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use crate::error::DataError;
use crate::work::Meter;

/// How often another process's lock is tried.
const GLANCE: Duration = Duration::from_millis(50);

/// Where the folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    root: Option<PathBuf>,
}

/// What tells whether a file is still the same: size and time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    /// Nanoseconds since 1970; 0 where the system does not say.
    pub(crate) modified: u64,
}

impl Cache {
    /// `$HEARTH_CACHE`, else `$XDG_CACHE_HOME/hearth`, else `~/.cache/hearth`. `variable` reads the
    /// environment.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<OsString>) -> Cache {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = set("HEARTH_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("hearth")))
            .or_else(|| set("HOME").map(|home| home.join(".cache/hearth")));
        Cache { root }
    }

    /// A cache in this folder, which is made when it is needed.
    pub fn at(root: &Path) -> Cache {
        Cache { root: Some(root.to_owned()) }
    }

    /// The folder, whether it is there or not; nothing where the environment names none.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The folder for one kind of thing, made if it is not there.
    pub(crate) fn folder(&self, kind: &str) -> io::Result<PathBuf> {
        let Some(root) = &self.root else {
            return Err(io::Error::other("no folder for it: HEARTH_CACHE and HOME are not set"));
        };
        let folder = root.join(kind);
        let named = |problem: io::Error| {
            io::Error::new(problem.kind(), format!("{}: {problem}", folder.display()))
        };
        fs::create_dir_all(&folder).map_err(named)?;
        Ok(folder)
    }

    /// The error for work that cannot do without a cache.
    pub(crate) fn needed(what: &str, problem: io::Error) -> DataError {
        DataError::NoCache { what: what.to_owned(), problem }
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        let modified = metadata.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Stamp {
            bytes: metadata.len(),
            modified: since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    pub(crate) fn of_file(path: &Path) -> Result<Stamp, DataError> {
        let unreadable = |problem| DataError::Unreadable { path: path.to_owned(), problem };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Stamp::of(&metadata))
    }
}

/// A name for what is kept about a file: the same file has the same one by every path to it.
pub(crate) fn key_of(path: &Path) -> String {
    key(real(path).as_os_str().as_encoded_bytes())
}

/// The path without links and detours, where the system can tell.
pub(crate) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A short name for long bytes.
pub(crate) fn key(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..16])
}

/// As [`key_of`], for what depends on the content as well.
pub(crate) fn key_with(path: &Path, stamp: Stamp) -> String {
    format!("{}-{}-{}", key_of(path), stamp.bytes, stamp.modified)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Holds off other processes that would make the same thing, as long as it lives.
#[derive(Debug)]
pub(crate) struct Turn {
    _file: File,
    temporary: PathBuf,
}

impl Turn {
    /// Waits for its turn to make `path`; an error where the work is to stop.
    pub(crate) fn wait(path: &Path, meter: &Meter) -> io::Result<Turn> {
        let file = File::create(beside(path, "lock"))?;
        let temporary = loop {
            match file.try_lock() {
                // The one name, so that what a killed process left is replaced.
                Ok(()) => break beside(path, "tmp"),
                Err(TryLockError::WouldBlock) => {
                    meter.add(0)?;
                    thread::sleep(GLANCE);
                }
                // Without locks (some network file systems) two processes may do the same work
                // twice, each under a name of its own: a result is complete before it gets `path`.
                Err(TryLockError::Error(_)) => break own_temporary(path),
            }
        };
        Ok(Turn { _file: file, temporary })
    }

    /// The name under which `path` is made.
    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }
}

/// A name that no other process or thread writes to.
fn own_temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    beside(path, &format!("{}-{count}.tmp", std::process::id()))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

/// Replaces a file of the cache, or leaves the old one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The same index may be written twice at once.
    let temporary = own_temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Refuses work that the disk of `folder` cannot hold, where the system says how much is free.
pub(crate) fn check_space(folder: &Path, bytes: u64) -> io::Result<()> {
    match free_bytes(folder).filter(|free| *free < bytes) {
        Some(free) => Err(io::Error::other(format!(
            "{}: {free} bytes are free, at least {bytes} are needed",
            folder.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(unix)]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Brings the files of a folder to disk before it gets its name.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let at = |set: &[(&str, &str)]| {
            let cache = Cache::from_environment(&|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
            });
            cache.root.map(|root| root.display().to_string())
        };
        let all = [("HEARTH_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(at(&all).as_deref(), Some("/c"));
        assert_eq!(at(&all[1..]).as_deref(), Some("/x/hearth"));
        assert_eq!(at(&all[2..]).as_deref(), Some("/h/.cache/hearth"));
        assert_eq!(at(&[("HEARTH_CACHE", ""), all[2]]).as_deref(), Some("/h/.cache/hearth"));
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.index");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(&folder.path().join("none/a"), b"").is_err());
        let problem = check_space(folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(cfg!(not(unix)) || problem.contains("bytes are free"), "{problem}");
    }
}
