//! Writes a safetensors file: f32, names sorted, the same bytes for the same content.

use std::{
    collections::BTreeMap,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::{atomic::AtomicFile, error::WeightsError, header::LENGTH_BYTES, values};

/// The data begins at a multiple of this, as readers that map the file expect.
const ALIGNMENT: usize = 8;

/// A file being written. All names and shapes are told first; then the values come in any order,
/// a tensor or a part of one at a time, so that no second copy of a model is ever in memory.
/// Dropped before [`TensorWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct TensorWriter {
    path: PathBuf,
    file: AtomicFile,
    data_start: u64,
    tensors: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    shape: Vec<usize>,
    /// Values before this tensor, in the whole data.
    start: usize,
    len: usize,
    written: usize,
}

impl TensorWriter {
    /// Begins a file at `path`; a former file stays until [`TensorWriter::finish`].
    pub fn create(
        path: &Path,
        metadata: &BTreeMap<String, String>,
        tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
    ) -> Result<TensorWriter, WeightsError> {
        let tensors = slots(path, tensors)?;
        let header = header(metadata, &tensors);
        let not_written = |source| WeightsError::NotWritten { path: path.to_owned(), source };

        let mut file = AtomicFile::create(path).map_err(not_written)?;
        let len = (header.len() as u64).to_le_bytes();
        file.file().write_all(&len).map_err(not_written)?;
        file.file().write_all(header.as_bytes()).map_err(not_written)?;
        let data_start = (LENGTH_BYTES + header.len()) as u64;
        Ok(TensorWriter { path: path.to_owned(), file, data_start, tensors })
    }

    /// Writes all values of a tensor.
    pub fn write(&mut self, name: &str, values: &[f32]) -> Result<(), WeightsError> {
        self.write_part(name, 0, values)
    }

    /// Writes some values of a tensor, from value number `start`. Each value is written once.
    pub fn write_part(
        &mut self,
        name: &str,
        start: usize,
        values: &[f32],
    ) -> Result<(), WeightsError> {
        let Some(slot) = self.tensors.get_mut(name) else {
            return Err(unwritable(&self.path, name, "was not announced".to_owned()));
        };
        let end = start.checked_add(values.len());
        if end.is_none_or(|end| end > slot.len) {
            let Slot { shape, len, .. } = slot;
            let problem = format!(
                "has {len} values in shape {shape:?}, got {} from number {start}",
                values.len()
            );
            return Err(unwritable(&self.path, name, problem));
        }
        slot.written += values.len();

        let place = self.data_start + (slot.start + start) as u64 * 4;
        let file = self.file.file();
        file.seek(SeekFrom::Start(place))
            .and_then(|_| values::write_f32(file, values))
            .map_err(|source| WeightsError::NotWritten { path: self.path.clone(), source })
    }

    /// Syncs the file and puts it in its place.
    pub fn finish(self) -> Result<(), WeightsError> {
        for (name, slot) in &self.tensors {
            if slot.written != slot.len {
                let problem = format!("got {} of {} values", slot.written, slot.len);
                return Err(unwritable(&self.path, name, problem));
            }
        }
        let path = self.path;
        self.file.commit().map_err(|source| WeightsError::NotWritten { path, source })
    }
}

fn unwritable(path: &Path, name: &str, problem: String) -> WeightsError {
    WeightsError::Unwritable { path: path.to_owned(), name: name.to_owned(), problem }
}

/// Gives every tensor its place, in order of the names.
fn slots(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
) -> Result<BTreeMap<String, Slot>, WeightsError> {
    let mut slots = BTreeMap::new();
    for (name, shape) in tensors {
        if name == "__metadata__" || slots.contains_key(&name) {
            return Err(unwritable(path, &name, "this name is taken".to_owned()));
        }
        let len = shape.iter().product();
        slots.insert(name, Slot { shape, start: 0, len, written: 0 });
    }
    let mut start = 0;
    for slot in slots.values_mut() {
        slot.start = start;
        start += slot.len;
    }
    Ok(slots)
}

/// The header, padded so that the data is aligned.
fn header(metadata: &BTreeMap<String, String>, tensors: &BTreeMap<String, Slot>) -> String {
    let mut members = Vec::new();
    if !metadata.is_empty() {
        members.push(format!("\"__metadata__\":{}", json(metadata)));
    }
    for (name, slot) in tensors {
        let (begin, end) = (slot.start * 4, (slot.start + slot.len) * 4);
        members.push(format!(
            "{}:{{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[{begin},{end}]}}",
            json(name),
            json(&slot.shape),
        ));
    }
    let mut header = format!("{{{}}}", members.join(","));
    let padding = (LENGTH_BYTES + header.len()).next_multiple_of(ALIGNMENT) - LENGTH_BYTES;
    header.extend(std::iter::repeat_n(' ', padding - header.len()));
    header
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers are always JSON")
}
