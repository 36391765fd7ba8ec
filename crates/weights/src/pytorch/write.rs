//! Writes a file that `torch.load(weights_only=True)` reads: a dictionary of f32 tensors, names
//! sorted, the same bytes for the same content.

use std::{
    collections::BTreeMap,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use flate2::Crc;

use super::{
    archive::{Stored, write_table},
    state::METADATA,
};
use crate::{atomic::AtomicFile, error::WeightsError, values};

const FOLDER: &str = "archive";

/// A file being written, as [`crate::TensorWriter`]: names and shapes first, then the values in
/// any order and in parts. Dropped before [`PthWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct PthWriter {
    path: PathBuf,
    file: AtomicFile,
    /// Entries whose content is known from the start, with their checksums: `data.pkl` and
    /// `byteorder` stand before the tensors, `version` behind.
    fixed: Vec<(Stored, u32)>,
    tensors: BTreeMap<String, Slot>,
}

#[derive(Debug)]
struct Slot {
    entry: Stored,
    len: usize,
    /// First value and checksum of what was written.
    parts: BTreeMap<usize, (usize, Crc)>,
}

impl PthWriter {
    /// Begins a file at `path`; a former file stays until [`PthWriter::finish`].
    pub(crate) fn create(
        path: &Path,
        metadata: &BTreeMap<String, String>,
        shapes: &BTreeMap<String, Vec<usize>>,
    ) -> Result<PthWriter, WeightsError> {
        let not_written = |source| WeightsError::NotWritten { path: path.to_owned(), source };
        let mut file = AtomicFile::create(path).map_err(not_written)?;
        let mut end = 0;
        let mut place = |name: String, len: u64| {
            let entry = Stored::new(format!("{FOLDER}/{name}"), len, end);
            end = entry.end();
            entry
        };
        let pickle = pickle(metadata, shapes);
        let before = [("data.pkl", pickle.as_slice()), ("byteorder", b"little")];
        let mut fixed = Vec::new();
        for (name, content) in before {
            let entry = place(name.to_owned(), content.len() as u64);
            fixed.push((write_entry(&mut file, entry, content).map_err(not_written)?, content));
        }
        let mut tensors = BTreeMap::new();
        for (number, (name, shape)) in shapes.iter().enumerate() {
            let len = shape.iter().product();
            let entry = place(format!("data/{number}"), len as u64 * 4);
            entry.write_header(file.file()).map_err(not_written)?;
            tensors.insert(name.clone(), Slot { entry, len, parts: BTreeMap::new() });
        }
        let version: &[u8] = b"3\n";
        let entry = place("version".to_owned(), version.len() as u64);
        fixed.push((write_entry(&mut file, entry, version).map_err(not_written)?, version));
        let fixed = fixed.into_iter().map(|(entry, content)| (entry, crc(content).sum())).collect();
        Ok(PthWriter { path: path.to_owned(), file, fixed, tensors })
    }

    /// Writes some values of a tensor, from value number `start`. Each value is written once.
    pub(crate) fn write_part(
        &mut self,
        name: &str,
        start: usize,
        values: &[f32],
    ) -> Result<(), WeightsError> {
        let not_written = |source| WeightsError::NotWritten { path: self.path.clone(), source };
        let Some(slot) = self.tensors.get_mut(name) else {
            return Err(unwritable(&self.path, name, "was not announced".to_owned()));
        };
        let end = start.checked_add(values.len());
        if end.is_none_or(|end| end > slot.len) {
            let problem =
                format!("has {} values, got {} from number {start}", slot.len, values.len());
            return Err(unwritable(&self.path, name, problem));
        }
        let mut to = Summed { file: self.file.file(), crc: Crc::new() };
        to.file
            .seek(SeekFrom::Start(slot.entry.data_start + start as u64 * 4))
            .and_then(|_| values::write_f32(&mut to, values))
            .map_err(not_written)?;
        slot.parts.insert(start, (values.len(), to.crc));
        Ok(())
    }

    /// Writes the table of the archive, syncs the file and puts it in its place.
    pub(crate) fn finish(mut self) -> Result<(), WeightsError> {
        let mut sums = Vec::new();
        for (name, slot) in &self.tensors {
            let sum = slot.sum().map_err(|written| {
                let problem = format!("got {written} of {} values", slot.len);
                unwritable(&self.path, name, problem)
            })?;
            sums.push((&slot.entry, sum));
        }
        // In the order of the file: the names sort as the numbers of the entries do.
        let (version, before) = self.fixed.split_last().expect("`create` puts three in");
        let all: Vec<(&Stored, u32)> = before
            .iter()
            .map(|(entry, sum)| (entry, *sum))
            .chain(sums)
            .chain([(&version.0, version.1)])
            .collect();
        let file = self.file.file();
        let written = all
            .iter()
            .try_for_each(|(entry, sum)| entry.write_crc(file, *sum))
            .and_then(|()| write_table(file, &all));
        let path = self.path;
        written
            .and_then(|()| self.file.commit())
            .map_err(|source| WeightsError::NotWritten { path, source })
    }
}

impl Slot {
    /// The checksum of all values, or how many there are without a gap.
    fn sum(&self) -> Result<u32, usize> {
        let mut sum = Crc::new();
        let mut written = 0;
        for (start, (len, part)) in &self.parts {
            if *start != written {
                break;
            }
            sum.combine(part);
            written += len;
        }
        if written == self.len { Ok(sum.sum()) } else { Err(written) }
    }
}

/// Sums up what goes through it.
struct Summed<'a> {
    file: &'a mut std::fs::File,
    crc: Crc,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn write_entry(file: &mut AtomicFile, entry: Stored, content: &[u8]) -> io::Result<Stored> {
    entry.write_header(file.file())?;
    file.file().seek(SeekFrom::Start(entry.data_start))?;
    file.file().write_all(content)?;
    Ok(entry)
}

fn crc(content: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(content);
    crc
}

fn unwritable(path: &Path, name: &str, problem: String) -> WeightsError {
    WeightsError::Unwritable { path: path.to_owned(), name: name.to_owned(), problem }
}

/// Places of the memory of the pickle.
const ORDERED_DICT: u8 = 0;
const REBUILD: u8 = 1;
const STORAGE: u8 = 2;
const FLOATS: u8 = 3;
const CPU: u8 = 4;

/// An `OrderedDict` of tensors, as `state_dict()` gives it, with the metadata as an attribute,
/// which programs that want a plain dictionary do not see.
fn pickle(metadata: &BTreeMap<String, String>, shapes: &BTreeMap<String, Vec<usize>>) -> Vec<u8> {
    let mut out = b"\x80\x02".to_vec();
    remembered(&mut out, b"ccollections\nOrderedDict\n", ORDERED_DICT);
    out.extend(b")R(");
    for (number, (name, shape)) in shapes.iter().enumerate() {
        text(&mut out, name);
        let words = if number == 0 { Words::First } else { Words::Again };
        tensor(&mut out, number, shape, words);
    }
    out.push(b'u');
    if !metadata.is_empty() {
        out.push(b'}');
        text(&mut out, METADATA);
        out.extend(b"}(");
        for (key, value) in metadata {
            text(&mut out, key);
            text(&mut out, value);
        }
        out.extend(b"usb");
    }
    out.push(b'.');
    out
}

/// Whether the names that every tensor needs are written or recalled.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    First,
    Again,
}

/// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
fn tensor(out: &mut Vec<u8>, number: usize, shape: &[usize], words: Words) {
    let mut storage = Vec::new();
    text(&mut storage, "storage");
    let mut cpu = Vec::new();
    text(&mut cpu, "cpu");
    let word = |out: &mut Vec<u8>, bytes: &[u8], place: u8| match words {
        Words::First => remembered(out, bytes, place),
        Words::Again => out.extend([b'h', place]),
    };
    word(out, b"ctorch._utils\n_rebuild_tensor_v2\n", REBUILD);
    out.extend(b"((");
    word(out, &storage, STORAGE);
    word(out, b"ctorch\nFloatStorage\n", FLOATS);
    text(out, &number.to_string());
    word(out, &cpu, CPU);
    int(out, shape.iter().product());
    out.extend(b"tQ");
    int(out, 0);
    let strides = (1..=shape.len()).map(|axis| shape[axis..].iter().product::<usize>().max(1));
    for sizes in [shape.to_vec(), strides.collect()] {
        out.push(b'(');
        sizes.iter().for_each(|size| int(out, *size));
        out.push(b't');
    }
    out.push(0x89);
    out.extend([b'h', ORDERED_DICT]);
    out.extend(b")RtR");
}

fn remembered(out: &mut Vec<u8>, bytes: &[u8], place: u8) {
    out.extend(bytes);
    out.extend([b'q', place]);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, number: usize) {
    match i32::try_from(number) {
        Ok(number) if number < 256 => out.extend([b'K', number as u8]),
        Ok(number) => {
            out.push(b'J');
            out.extend(number.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend((number as u64).to_le_bytes());
        }
    }
}
