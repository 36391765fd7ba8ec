//! Scalars for TensorBoard: an event file written as training goes.
//!
//! The format is a TFRecord file (length, checksum, payload, checksum) of `Event` messages of
//! tensorflow's `event.proto`; the few fields that scalars need are encoded by hand. As with
//! `status.json`, a point that cannot be written is said once and does not end the run.

use std::{
    cell::RefCell,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    atomic_file::FileError,
    events::record::{file_version, frame, scalars, session_start},
};

mod record;

/// An open event file; every call reaches the file before it returns.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    /// None: points go nowhere.
    file: RefCell<Option<File>>,
}

impl EventLog {
    /// A new event file in `folder` beside those of earlier runs, which TensorBoard joins.
    pub fn create_in(folder: &Path) -> Result<EventLog, FileError> {
        fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
        let (path, file) =
            create_new(folder).map_err(FileError::at("create an event file here", folder))?;
        let log = EventLog { path, file: RefCell::new(Some(file)) };
        log.append(&file_version(wall_time()));
        Ok(log)
    }

    /// Writes nothing: for actions that leave no files behind.
    pub fn nowhere() -> EventLog {
        EventLog { path: PathBuf::new(), file: RefCell::new(None) }
    }

    /// Values at `step` (optimizer updates since the start of training).
    pub fn scalars(&self, step: u64, values: &[(&str, f64)]) {
        self.append(&scalars(wall_time(), step, values));
    }

    /// After a resume at `step`: TensorBoard drops what a killed run had drawn from there on.
    pub fn resumed_at(&self, step: u64) {
        self.append(&session_start(wall_time(), step));
    }

    /// The file, empty for [`EventLog::nowhere`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, event: &[u8]) {
        let mut file = self.file.borrow_mut();
        let Some(open) = file.as_mut() else { return };
        if let Err(err) = open.write_all(&frame(event)) {
            tracing::warn!("{}: no more points are written here: {err}", self.path.display());
            *file = None;
        }
    }
}

/// `events.out.tfevents.SECONDS.HOST`; a second run within the same second counts on.
fn create_new(folder: &Path) -> io::Result<(PathBuf, File)> {
    let mut seconds = wall_time() as u64;
    loop {
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.{}", host_name()));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(err) if err.kind() == io::ErrorKind::AlreadyExists => seconds += 1,
            Err(err) => return Err(err),
        }
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Only tells files of several machines apart, so any name will do.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
