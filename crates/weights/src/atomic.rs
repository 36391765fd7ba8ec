//! A file that appears complete or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// A file under a temporary name beside its place. Dropped before [`AtomicFile::commit`], it
/// leaves nothing behind, and a former file of that name is untouched.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    committed: bool,
}

impl AtomicFile {
    /// The temporary name is always the same, so that a killed process leaves at most one file,
    /// which the next one replaces.
    pub fn create(path: &Path) -> io::Result<AtomicFile> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file"));
        };
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".tmp");
        let temporary = path.with_file_name(temporary);
        let file = File::create(&temporary)?;
        Ok(AtomicFile { path: path.to_owned(), temporary, file, committed: false })
    }

    /// The file under its temporary name.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file in its place, once it is safely on the disk.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        sync_folder(&self.path)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The new name must survive a power cut too, not only the content.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}
