//! The two containers of `torch.save`: a zip archive, and before PyTorch 1.6 pickles in a row with
//! the storages behind them. Either way a storage is a piece of the file.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use flate2::Crc;
use zip::{CompressionMethod, ZipArchive, result::ZipError};

use super::{
    machine::Unpickler,
    problem::{MAX_PICKLE_BYTES, PyTorchProblem},
    tape::Tape,
    tensor::storage_dtype,
    value::{Id, Value, Values},
};

/// What every file of `torch.save` before 1.6 begins with, behind the protocol of the pickle.
const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;
const COUNT_BYTES: u64 = 8;

/// An opened container: what the pickle says, and where each storage lies in the file.
pub(crate) struct Container {
    pub(crate) values: Values,
    pub(crate) root: Id,
    pub(crate) storages: HashMap<String, Place>,
}

/// Where the bytes of a storage lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) begin: u64,
    pub(crate) len: u64,
    pub(crate) crc: Option<u32>,
}

/// Whether a file begins like one of PyTorch before 1.6.
pub(crate) fn is_legacy(start: &[u8]) -> bool {
    start.first() == Some(&0x80) && start.windows(LEGACY_MAGIC.len()).any(|w| w == LEGACY_MAGIC)
}

/// Names of a zip archive, as far as they tell what it is: nothing if it cannot be read.
pub(crate) fn zip_names(file: &File) -> Vec<String> {
    let zip = ZipArchive::new(file);
    zip.map_or_else(|_| Vec::new(), |zip| names(&zip).take(4).collect())
}

/// Names that are texts; PyTorch writes no others.
fn names<'a>(zip: &'a ZipArchive<&File>) -> impl Iterator<Item = String> + 'a {
    zip.file_names().filter_map(|name| name.ok().map(|name| name.into_owned()))
}

/// Opens the zip archive of `torch.save` or `torch.jit.save`; nothing if it is another archive.
pub(crate) fn open_zip(file: &File) -> Result<Option<Container>, PyTorchProblem> {
    let file_len = file.metadata().map_or(0, |metadata| metadata.len());
    let mut zip = ZipArchive::new(file).map_err(|error| {
        let cut = matches!(error, ZipError::InvalidArchive(_) | ZipError::Io(_));
        PyTorchProblem::Archive { problem: error.to_string(), cut }
    })?;
    let archive = |problem: &str| PyTorchProblem::Archive { problem: problem.into(), cut: false };
    if zip.has_duplicate_names() {
        return Err(archive("it has two entries of the same name"));
    }
    // `NAME/data.pkl`: the folder is called after the file that was saved.
    let is_pickle =
        |name: &String| name.split_once('/').is_some_and(|(_, rest)| rest == "data.pkl");
    let pickles: Vec<String> = names(&zip).filter(is_pickle).collect();
    let pickle = match pickles.as_slice() {
        [] => return Ok(None),
        [pickle] => pickle,
        _ => return Err(archive("it has several entries `data.pkl`")),
    };
    let folder = pickle.strip_suffix("data.pkl").expect("it ends so");
    let entries = entries(&mut zip, folder, file_len)?;

    let order = format!("{folder}byteorder");
    if let Some(place) = entries.get(&order)
        && read(file, &order, place, 16)? != b"little"
    {
        return Err(PyTorchProblem::BigEndian);
    }
    let pickle = read(file, pickle, &entries[pickle.as_str()], MAX_PICKLE_BYTES)?;
    let mut unpickler = Unpickler::new(Tape::whole(pickle));
    let root = unpickler.next()?;
    let (values, _) = unpickler.finish();
    let data = format!("{folder}data/");
    let storages = entries
        .into_iter()
        .filter_map(|(name, place)| Some((name.strip_prefix(&data)?.to_owned(), place)))
        .collect();
    Ok(Some(Container { values, root, storages }))
}

/// The entries in `folder`, each checked to lie in the file as it is.
fn entries(
    zip: &mut ZipArchive<&File>,
    folder: &str,
    file_len: u64,
) -> Result<HashMap<String, Place>, PyTorchProblem> {
    let mut entries = HashMap::new();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(|error| {
            let problem = format!("entry {index}: {error}");
            PyTorchProblem::Archive { problem, cut: false }
        })?;
        let Ok(name) = entry.name() else { continue };
        // The rest is code of TorchScript and remarks.
        let wanted = name.strip_prefix(folder).is_some_and(|rest| {
            rest == "data.pkl" || rest == "byteorder" || rest.starts_with("data/")
        });
        if !wanted {
            continue;
        }
        let fail = |problem: &str| {
            Err(PyTorchProblem::Entry { name: name.to_string(), problem: problem.to_owned() })
        };
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return fail("is compressed or encrypted, which `torch.save` never does");
        }
        let (begin, len) = (entry.data_start().unwrap_or(u64::MAX), entry.size());
        let inside = begin.checked_add(len).is_some_and(|end| end <= file_len);
        if !inside || len != entry.compressed_size() {
            return fail("does not lie inside the file");
        }
        // `torch.serialization.set_crc32_options(False)` writes zeros.
        let crc = Some(entry.crc32()).filter(|crc| *crc != 0);
        entries.insert(name.into_owned(), Place { begin, len, crc });
    }
    Ok(entries)
}

/// A small entry as a whole, its checksum compared.
fn read(mut file: &File, name: &str, place: &Place, limit: u64) -> Result<Vec<u8>, PyTorchProblem> {
    let entry = |problem: String| PyTorchProblem::Entry { name: name.to_owned(), problem };
    if place.len > limit {
        return Err(entry(format!("has {} bytes, the limit is {limit}", place.len)));
    }
    let mut bytes = vec![0; place.len as usize];
    file.seek(SeekFrom::Start(place.begin))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| entry(format!("cannot be read: {error}")))?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    match place.crc {
        Some(expected) if expected != crc.sum() => {
            Err(entry("is damaged: its checksum is another one".to_owned()))
        }
        _ => Ok(bytes),
    }
}

/// Opens a file of PyTorch before 1.6: the magic number, the protocol, the system, the values, the
/// keys of the storages, then each storage with its number of elements before it.
pub(crate) fn open_legacy(mut file: &File) -> Result<Container, PyTorchProblem> {
    let unreadable =
        |_| PyTorchProblem::Cut { at: 0, what: "the mark of older PyTorch files".to_owned() };
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut unpickler = Unpickler::new(Tape::of_file(file));
    let mut roots = [Id(0); 5];
    for root in &mut roots {
        *root = unpickler.next()?;
    }
    let (values, data_start) = unpickler.finish();
    let [_, protocol, system, root, keys] = roots;
    if values.int(protocol) != Some(LEGACY_PROTOCOL) {
        let problem = format!("found an unknown protocol, need {LEGACY_PROTOCOL}");
        return Err(PyTorchProblem::Pickle { at: 0, problem });
    }
    let little = values.entry(system, "little_endian").map(|id| values.get(id));
    if matches!(little, Some(Value::Bool(false))) {
        return Err(PyTorchProblem::BigEndian);
    }
    let storages = legacy_storages(file, &values, keys, data_start)?;
    Ok(Container { values, root, storages })
}

fn legacy_storages(
    mut file: &File,
    values: &Values,
    keys: Id,
    data_start: u64,
) -> Result<HashMap<String, Place>, PyTorchProblem> {
    let file_len = file.metadata().map_or(0, |metadata| metadata.len());
    let sizes = element_sizes(values);
    let mut storages = HashMap::new();
    let mut at = data_start;
    for key in values.members(keys).unwrap_or_default() {
        let key = values.name(*key).unwrap_or_default();
        let cut = || PyTorchProblem::Cut { at: file_len, what: format!("storage `{key}`") };
        let Some(size) = sizes.get(&key) else {
            let problem = format!("lists storage `{key}`, which no tensor names with a known type");
            return Err(PyTorchProblem::Pickle { at: data_start as usize, problem });
        };
        let mut count = [0; COUNT_BYTES as usize];
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(&mut count))
            .map_err(|_| cut())?;
        let len = u64::from_le_bytes(count).checked_mul(*size);
        let begin = at + COUNT_BYTES;
        let end = len.and_then(|len| begin.checked_add(len)).filter(|end| *end <= file_len);
        at = end.ok_or_else(cut)?;
        storages.insert(key, Place { begin, len: at - begin, crc: None });
    }
    Ok(storages)
}

/// Bytes per element of each storage, from the places where tensors name them.
fn element_sizes(values: &Values) -> HashMap<String, u64> {
    let mut sizes = HashMap::new();
    for value in &values.all {
        if let Value::Outside(id) = value
            && let Some([_, class, key, ..]) = values.members(*id)
            && let (Some(key), Some((_, class))) = (values.name(*key), values.global(*class))
            && let Some(dtype) = storage_dtype(class)
        {
            sizes.entry(key).or_insert(dtype.size() as u64);
        }
    }
    sizes
}
