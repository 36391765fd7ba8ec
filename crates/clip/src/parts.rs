//! Finished rows of an interrupted `inference`, so that the next run continues behind them.
//!
//! A part file starts with a line that identifies the work (weights, recipe, list of inputs), followed
//! by records of equal size: index, flag, row, checksum. A file of other work, and whatever a kill
//! tore at the end, is not used.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use hearth_engine::FileError;

/// Rows of one kind of input that are on disk.
#[derive(Debug)]
pub struct Parts {
    path: PathBuf,
    file: File,
    width: usize,
    /// Bytes of the identifying line.
    header: u64,
    /// Records that are complete.
    finished: usize,
}

/// One finished input.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Position in the list of inputs.
    pub index: u64,
    /// Its embedding; none where the input could not be read.
    pub row: Option<Vec<f32>>,
}

impl Parts {
    /// Opens or starts the part file of this work. Of what is there, whole batches of `batch`
    /// records are kept, so that every row is computed in the same company as in one go.
    pub fn open(
        path: &Path,
        identity: &str,
        width: usize,
        batch: usize,
    ) -> Result<Self, FileError> {
        let header = format!("hearth embeddings 1 {width} {identity}\n");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::at("open this file", path))?;
        let mut parts = Self {
            path: path.to_owned(),
            file: file.try_clone().map_err(FileError::at("open this file", path))?,
            width,
            header: header.len() as u64,
            finished: 0,
        };

        let mut found = vec![0; header.len()];
        let same = file.read_exact(&mut found).is_ok() && found == header.as_bytes();
        if same {
            let intact = parts.records()?.map_while(Result::ok).count();
            parts.finished = intact / batch * batch;
        } else {
            parts.cut(0)?;
            parts.append_bytes(header.as_bytes())?;
        }
        parts.cut(parts.header + parts.record_size() * parts.finished as u64)?;
        Ok(parts)
    }

    /// Records that need not be computed again.
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Adds records and syncs them to disk.
    pub fn append(&mut self, records: &[Record]) -> Result<(), FileError> {
        let mut bytes = Vec::with_capacity(records.len() * self.record_size() as usize);
        for record in records {
            let start = bytes.len();
            bytes.extend(record.index.to_le_bytes());
            bytes.push(u8::from(record.row.is_some()));
            match &record.row {
                Some(row) => row.iter().for_each(|value| bytes.extend(value.to_le_bytes())),
                None => bytes.resize(bytes.len() + 4 * self.width, 0),
            }
            let checksum = crc32(&bytes[start..]);
            bytes.extend(checksum.to_le_bytes());
        }
        self.append_bytes(&bytes)?;
        self.finished += records.len();
        Ok(())
    }

    /// All finished records, in order.
    pub fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<Record, FileError>> + use<>, FileError> {
        let mut file =
            File::open(&self.path).map_err(FileError::at("open this file", &self.path))?;
        file.seek(SeekFrom::Start(self.header))
            .map_err(FileError::at("read this file", &self.path))?;
        let mut reader = BufReader::new(file);
        let (path, size) = (self.path.clone(), self.record_size() as usize);
        Ok(std::iter::from_fn(move || {
            let mut bytes = vec![0; size];
            match read_full(&mut reader, &mut bytes) {
                Ok(true) => parse(&bytes).map(Ok),
                Ok(false) => None,
                Err(error) => Some(Err(FileError::at("read this file", &path)(error))),
            }
        }))
    }

    /// Removes the file: its rows stand elsewhere now.
    pub fn remove(self) -> Result<(), FileError> {
        fs::remove_file(&self.path).map_err(FileError::at("remove this file", &self.path))
    }

    fn record_size(&self) -> u64 {
        8 + 1 + 4 * self.width as u64 + 4
    }

    fn cut(&mut self, length: u64) -> Result<(), FileError> {
        self.file
            .set_len(length)
            .and_then(|()| self.file.seek(SeekFrom::End(0)))
            .map(|_| ())
            .map_err(FileError::at("write this file", &self.path))
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.sync_data())
            .map_err(FileError::at("write this file", &self.path))
    }
}

/// Fills `bytes`; false at the end of the file, also in the middle of a record.
fn read_full(reader: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A record, if its checksum holds.
fn parse(bytes: &[u8]) -> Option<Record> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*checksum) != crc32(content) {
        return None;
    }
    let (index, rest) = content.split_first_chunk::<8>()?;
    let (readable, row) = rest.split_first()?;
    let values = row.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let row = (*readable == 1).then(|| values.collect());
    Some(Record { index: u64::from_le_bytes(*index), row })
}

fn crc32(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(index: u64) -> Record {
        let row = (index != 3).then(|| vec![index as f32, 0.5]);
        Record { index, row }
    }

    fn open(path: &Path, identity: &str) -> Parts {
        Parts::open(path, identity, 2, 2).unwrap()
    }

    fn read(parts: &Parts) -> Vec<Record> {
        parts.records().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn whole_batches_survive_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        let mut parts = open(&path, "a");
        parts.append(&[record(0), record(1)]).unwrap();
        parts.append(&[record(2), record(3)]).unwrap();
        parts.append(&[record(4)]).unwrap();
        drop(parts);
        let torn = fs::metadata(&path).unwrap().len() - 3;
        OpenOptions::new().write(true).open(&path).unwrap().set_len(torn).unwrap();

        let mut parts = open(&path, "a");
        assert_eq!(parts.finished(), 4);
        parts.append(&[record(4), record(5)]).unwrap();
        assert_eq!(read(&parts), (0..6).map(record).collect::<Vec<_>>());
        parts.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn other_work_and_damaged_rows_start_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        open(&path, "a").append(&[record(0), record(1)]).unwrap();
        assert_eq!(open(&path, "b").finished(), 0);

        open(&path, "b").append(&[record(0), record(1), record(2), record(3)]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let third = bytes.len() - 25;
        bytes[third] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(open(&path, "b").finished(), 2);
    }

    #[test]
    fn the_boundaries_of_an_identity_count() {
        let digest = |parts: &[&str]| {
            let mut identity = hearth_engine::Identity::default();
            parts.iter().for_each(|part| identity.add(part.as_bytes()));
            identity.finish()
        };
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&[]).len(), 64);
    }
}
