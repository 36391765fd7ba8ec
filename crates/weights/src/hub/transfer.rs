//! One file from the hub to the cache: continued where an earlier attempt ended, checked, then named.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::cache::{Repository, make_folder_of, not_written};
use super::error::HubError;
use super::http::{Announced, Client, NO_SUCH_RANGE};
use super::settings::Patience;
use super::watch::{Event, Watch};
use crate::{atomic::sync_folder, error::WeightsError};

const BUFFER_BYTES: usize = 1 << 18;
/// An attempt that brought this much counts as progress.
const PROGRESS_BYTES: u64 = 1 << 20;
/// Slower is as good as silence.
const LEAST_BYTES_PER_S: u64 = 1000;
/// How often another process's lock is tried.
const GLANCE: Duration = Duration::from_millis(50);

/// The way of one blob into the cache.
pub(super) struct Transfer<'a, 'w> {
    pub(super) client: &'a Client,
    pub(super) repository: &'a Repository,
    pub(super) patience: Patience,
    pub(super) watch: &'a mut Watch<'w>,
    /// For messages.
    pub(super) file: &'a str,
    pub(super) address: &'a str,
    pub(super) announced: &'a Announced,
}

/// What has come so far, under the name that others who fetch the same continue.
struct Part {
    path: PathBuf,
    file: File,
    done: u64,
    /// Of what has come, where the hub announced one.
    hash: Option<Sha256>,
}

impl Transfer<'_, '_> {
    /// The blob is in the cache afterwards, whole and checked.
    pub(super) fn run(&mut self) -> Result<(), WeightsError> {
        let blob = self.repository.blob(&self.announced.etag);
        if self.is_whole(&blob) {
            return Ok(());
        }
        let _lock = self.lock()?;
        // Another process may have fetched it in the meantime.
        if self.is_whole(&blob) {
            return Ok(());
        }
        let mut part = Part::open(&blob, self.announced)?;
        self.check_space(&part)?;
        let continued = part.done > 0;
        self.fill(&mut part)?;
        if continued && self.check(&part).is_err() {
            // What lay there may be to blame, not what came now.
            part.restart()?;
            self.fill(&mut part)?;
        }
        if let Err(error) = self.check(&part) {
            part.discard();
            return Err(error.into());
        }
        part.publish(&blob)
    }

    fn is_whole(&self, blob: &Path) -> bool {
        fs::metadata(blob).is_ok_and(|found| found.is_file() && found.len() == self.announced.size)
    }

    /// Waits for other processes that fetch the same. Their end, whatever it is, frees the lock.
    fn lock(&mut self) -> Result<File, WeightsError> {
        let path = self.repository.lock(&self.announced.etag);
        let not_written = not_written(&path);
        let file = make_folder_of(&path)
            .and_then(|()| OpenOptions::new().create(true).append(true).open(&path))
            .map_err(not_written)?;
        let mut is_first = true;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks: the temporary name is shared at one's own risk.
                Err(TryLockError::Error(_)) => return Ok(file),
            }
            if is_first {
                self.watch.tell(&Event::Waiting { file: self.file })?;
                is_first = false;
            }
            self.watch.pause(GLANCE)?;
        }
    }

    fn check_space(&self, part: &Part) -> Result<(), HubError> {
        let folder = part.path.parent().unwrap_or(Path::new("."));
        let needed = self.announced.size - part.done;
        match free_bytes(folder) {
            Some(free) if free < needed => Err(HubError::NoSpace {
                folder: folder.to_owned(),
                file: self.file.to_owned(),
                free,
                needed,
            }),
            _ => Ok(()),
        }
    }

    /// Attempts until everything has come; gives up after several in a row that brought nothing.
    fn fill(&mut self, part: &mut Part) -> Result<(), WeightsError> {
        let mut failures = 0;
        loop {
            self.tell(part)?;
            let before = part.done;
            let error = match self.attempt(part) {
                Ok(()) => return Ok(()),
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::There(error)) if !error.is_of_the_network() => {
                    if matches!(error, HubError::Size { .. }) {
                        part.discard();
                    }
                    return Err(error.into());
                }
                Err(Failed::There(error)) => error,
            };
            failures = if part.done >= before + PROGRESS_BYTES { 1 } else { failures + 1 };
            self.watch.retry(error, failures, self.patience)?;
        }
    }

    fn attempt(&mut self, part: &mut Part) -> Result<(), Failed> {
        let size = self.announced.size;
        if part.done == size {
            return Ok(());
        }
        let mut incoming = match self.client.fetch(self.address, part.done) {
            // Perhaps the other side holds less than we do: what we hold is not of this file.
            Err(HubError::Status { status: NO_SUCH_RANGE, .. }) if part.done > 0 => {
                part.restart().map_err(Failed::Here)?;
                self.client.fetch(self.address, 0).map_err(Failed::There)?
            }
            other => other.map_err(Failed::There)?,
        };
        if incoming.start == 0 && part.done > 0 {
            part.restart().map_err(Failed::Here)?;
        }
        if let Some(length) = incoming.length.filter(|length| part.done + length != size) {
            return Err(Failed::There(self.wrong_size(part.done + length)));
        }
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut pace = Pace::start(self.patience.timeout);
        loop {
            let read = match incoming.body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(Failed::There(self.client.interrupted(self.address, error)));
                }
            };
            if part.done + read as u64 > size {
                return Err(Failed::There(self.wrong_size(size + 1)));
            }
            part.append(&buffer[..read]).map_err(Failed::Here)?;
            self.tell(part).map_err(Failed::There)?;
            if pace.is_too_slow(read as u64) {
                return Err(Failed::There(self.client.late(self.address)));
            }
        }
        if part.done < size {
            let end = io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended early");
            return Err(Failed::There(self.client.interrupted(self.address, end)));
        }
        Ok(())
    }

    fn tell(&mut self, part: &Part) -> Result<(), HubError> {
        let (done, size) = (part.done, self.announced.size);
        self.watch.tell(&Event::Received { file: self.file, done, size })
    }

    fn wrong_size(&self, found: u64) -> HubError {
        HubError::Size { url: self.address.to_owned(), found, needed: self.announced.size }
    }

    fn check(&self, part: &Part) -> Result<(), HubError> {
        let found = match &part.hash {
            Some(hash) => hex(&hash.clone().finalize()),
            None => return Ok(()),
        };
        let needed = self.announced.etag.to_ascii_lowercase();
        if found == needed {
            return Ok(());
        }
        Err(HubError::Hash { url: self.address.to_owned(), found, needed })
    }
}

/// Where an attempt failed.
enum Failed {
    /// On this machine: another attempt would not help.
    Here(WeightsError),
    There(HubError),
}

impl Part {
    /// What an earlier attempt left of the blob, or nothing.
    fn open(blob: &Path, announced: &Announced) -> Result<Part, WeightsError> {
        let mut path = blob.as_os_str().to_owned();
        path.push(".incomplete");
        let path = PathBuf::from(path);
        let file = make_folder_of(&path)
            .and_then(|()| {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(false).open(&path)
            })
            .map_err(not_written(&path))?;
        let hash = (announced.etag.len() == 64).then(Sha256::new);
        let mut part = Part { path, file, done: 0, hash };
        let done = part.file.metadata().map_err(not_written(&part.path))?.len();
        if done > announced.size {
            part.restart()?;
        } else {
            part.read_back().map_err(not_written(&part.path))?;
        }
        Ok(part)
    }

    /// Takes what is there into the account of length and hash.
    fn read_back(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                read => {
                    self.done += read as u64;
                    if let Some(hash) = &mut self.hash {
                        hash.update(&buffer[..read]);
                    }
                }
            }
        }
    }

    fn restart(&mut self) -> Result<(), WeightsError> {
        self.done = 0;
        self.hash = self.hash.take().map(|_| Sha256::new());
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map(|_| ())
            .map_err(not_written(&self.path))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        self.file.write_all(bytes).map_err(not_written(&self.path))?;
        self.done += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }

    /// A refused file is not continued by anybody. Failing to remove it changes no answer.
    fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn publish(self, blob: &Path) -> Result<(), WeightsError> {
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.path, blob))
            .and_then(|()| sync_folder(blob))
            .map_err(not_written(blob))
    }
}

/// Bytes over time, one window of time after the other.
struct Pace {
    window: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn start(timeout: Duration) -> Pace {
        Pace { window: 2 * timeout, since: Instant::now(), bytes: 0 }
    }

    fn is_too_slow(&mut self, read: u64) -> bool {
        self.bytes += read;
        if self.since.elapsed() < self.window {
            return false;
        }
        let least = self.window.as_secs_f64() * LEAST_BYTES_PER_S as f64;
        let is_too_slow = (self.bytes as f64) < least;
        *self = Pace { window: self.window, since: Instant::now(), bytes: 0 };
        is_too_slow
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
