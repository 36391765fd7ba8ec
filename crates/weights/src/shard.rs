//! One file of a checkpoint: told by its content what it is, then read piece by piece.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use flate2::Crc;

use crate::{
    error::WeightsError,
    header::{self, Entry, LENGTH_BYTES},
    pytorch::{self, Checksum, Contents, PyTorchProblem, reach},
    refused::Foreign,
    values::{self, Decode},
};

/// Enough to tell a format.
const START: u64 = 512;
/// Bytes summed up at once.
const BLOCK: usize = 1 << 18;

/// A file that was opened, with what it says of itself.
pub(crate) struct Opened {
    pub(crate) shard: Shard,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) extra: Option<serde_json::Value>,
}

#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    data_start: u64,
    /// Behind a lock because a read moves the position that all readers share.
    source: Mutex<Source>,
}

#[derive(Debug)]
struct Source {
    file: File,
    /// Pieces whose checksum was not compared yet.
    unchecked: Vec<Option<Checksum>>,
}

/// Opens a file. `alone` where no index tells the names of its tensors.
pub(crate) fn open(path: &Path, alone: bool) -> Result<Opened, WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { path: path.to_owned(), source };
    let broken = |problem| WeightsError::PyTorch { path: path.to_owned(), problem };
    let refused = |foreign| WeightsError::Refused { path: path.to_owned(), foreign };

    let mut file = File::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    (&mut file).take(START).read_to_end(&mut start).map_err(unreadable)?;
    let contents = if is_zip(&start) {
        match (pytorch::open_zip(&file, alone), Foreign::by_name(path)) {
            (Ok(Some(contents)), _) => contents,
            (Ok(None), _) => {
                return Err(refused(Foreign::archive(path, &pytorch::zip_names(&file))));
            }
            (Err(_), Some(foreign)) => return Err(refused(foreign)),
            (Err(problem), None) => return Err(broken(problem)),
        }
    } else if pytorch::is_legacy(&start) {
        pytorch::open_legacy(&file, alone).map_err(broken)?
    } else if let Some(foreign) = Foreign::recognise(path, &start) {
        return Err(refused(foreign));
    } else if Foreign::is_named_as_pytorch(path) && !looks_like_safetensors(&start) {
        return Err(broken(PyTorchProblem::Unknown));
    } else {
        return open_safetensors(path, file, &start);
    };
    let Contents { entries, metadata, extra, storages } = contents;
    let unchecked = storages.into_iter().map(Some).collect();
    let source = Mutex::new(Source { file, unchecked });
    let shard = Shard { path: path.to_owned(), data_start: 0, source };
    Ok(Opened { shard, entries, metadata, extra })
}

/// The length of a safetensors header may look like the mark of an archive, which goes on otherwise.
fn is_zip(start: &[u8]) -> bool {
    matches!(start, [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..])
        && !looks_like_safetensors(start)
}

/// A header begins behind its length.
fn looks_like_safetensors(start: &[u8]) -> bool {
    start.get(LENGTH_BYTES) == Some(&b'{')
}

fn open_safetensors(path: &Path, mut file: File, start: &[u8]) -> Result<Opened, WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { path: path.to_owned(), source };
    let broken = |problem| WeightsError::Header { path: path.to_owned(), problem };

    let file_len = file.metadata().map_err(unreadable)?.len();
    let header_len = header::length(start, file_len).map_err(broken)?;
    let data_start = LENGTH_BYTES as u64 + header_len;
    let mut json = vec![0; header_len as usize];
    file.seek(SeekFrom::Start(LENGTH_BYTES as u64)).map_err(unreadable)?;
    file.read_exact(&mut json).map_err(unreadable)?;
    let header = header::parse(&json, file_len - data_start).map_err(broken)?;
    let source = Mutex::new(Source { file, unchecked: Vec::new() });
    let shard = Shard { path: path.to_owned(), data_start, source };
    Ok(Opened { shard, entries: header.entries, metadata: header.metadata, extra: None })
}

impl Shard {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `count` values of a tensor, from value number `start`; both must lie inside of it.
    pub(crate) fn read<T: Copy>(
        &self,
        entry: &Entry,
        start: usize,
        count: usize,
        decode: Decode<T>,
    ) -> Result<Vec<T>, WeightsError> {
        let unreadable = |source| WeightsError::Unreadable { path: self.path.clone(), source };
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = self.data_start + entry.begin;
        let strides = match &entry.origin {
            Some(origin) => {
                source.check(origin.storage).map_err(unreadable)?;
                origin.strides.as_deref()
            }
            None => None,
        };
        let Some(strides) = strides else {
            let place = begin + (start * entry.dtype.size()) as u64;
            return source.read(entry, place, count, decode).map_err(unreadable);
        };
        let reach = reach(&entry.shape, strides).expect("checked when the file was opened");
        let between = source.read(entry, begin, reach as usize, decode).map_err(unreadable)?;
        let mut all = values::gathered(&between, &entry.shape, strides);
        Ok(if count == all.len() { all } else { all.drain(start..start + count).collect() })
    }
}

impl Source {
    fn read<T>(
        &mut self,
        entry: &Entry,
        place: u64,
        count: usize,
        decode: Decode<T>,
    ) -> io::Result<Vec<T>> {
        self.file.seek(SeekFrom::Start(place))?;
        values::read(&mut self.file, entry.dtype, count, decode)
    }

    /// Compares the checksum of a storage, once, before the first of its values is used.
    fn check(&mut self, storage: usize) -> io::Result<()> {
        let Some(Checksum { begin, len, crc: Some(expected) }) = self.unchecked[storage] else {
            return Ok(());
        };
        self.file.seek(SeekFrom::Start(begin))?;
        let mut crc = Crc::new();
        let mut block = vec![0; (len as usize).min(BLOCK)];
        let mut left = len as usize;
        while left > 0 {
            let part = &mut block[..left.min(BLOCK)];
            self.file.read_exact(part)?;
            crc.update(part);
            left -= part.len();
        }
        if crc.sum() != expected {
            let problem = format!("the values at byte {begin} are damaged: their checksum differs");
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        self.unchecked[storage] = None;
        Ok(())
    }
}
