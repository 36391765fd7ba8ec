//! An opened checkpoint: names and shapes at once, values on demand.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    error::WeightsError,
    folder,
    header::{self, Entry, Header, LENGTH_BYTES},
    names::nearest,
    refused::Foreign,
    values,
};

/// A larger configuration beside the weights is not read.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// One safetensors file, or the shards that an index joins. The headers have been checked in
/// full; values are read by seeking, so that memory holds what was asked for and nothing else.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    shards: Vec<Shard>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    data_start: u64,
    /// Behind a lock because a read moves the position that all readers share.
    file: Mutex<File>,
}

impl WeightsFile {
    /// Opens a `.safetensors` file, an index of shards (`….safetensors.index.json`), or a folder
    /// that holds either under the name that Hugging Face or open_clip gives it.
    pub fn open(path: impl AsRef<Path>) -> Result<WeightsFile, WeightsError> {
        let path = path.as_ref();
        let sources = folder::sources(path)?;
        let mut file = WeightsFile {
            path: path.to_owned(),
            folder: sources.folder,
            entries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            shards: Vec::new(),
        };
        for shard in &sources.files {
            file.add(shard)?;
        }
        if let Some(index) = sources.index {
            let held = file
                .entries
                .iter()
                .map(|(name, entry)| (name.as_str(), sources.files[entry.shard].as_path()));
            index.check(held)?;
        }
        Ok(file)
    }

    /// The path as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The safetensors files that hold the values.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path.as_path())
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Type and shape of a tensor.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Free text of the file; of all shards together where there are several.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// A JSON file beside the weights, such as `config.json`; nothing if it is not there.
    pub fn config(&self, name: &str) -> Result<Option<serde_json::Value>, WeightsError> {
        let path = self.folder.join(name);
        match folder::read_limited(&path, MAX_CONFIG_BYTES) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|err| {
                WeightsError::Config { path, problem: format!("not valid JSON: {err}") }
            }),
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(WeightsError::Config { path, problem: err.to_string() }),
        }
    }

    /// All values of a float tensor (F32, F16, BF16, F64) as f32, in the order of the file.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let count = self.find(name)?.len();
        self.read_f32_part(name, 0, count)
    }

    /// `count` values of a float tensor, from value number `start`; both must lie inside of it.
    pub(crate) fn read_f32_part(
        &self,
        name: &str,
        start: usize,
        count: usize,
    ) -> Result<Vec<f32>, WeightsError> {
        let needed = "F32, F16, BF16 or F64";
        let entry = self.find(name)?;
        debug_assert!(start + count <= entry.len());
        let read = |file: &mut File| values::read_f32(file, entry.dtype, count);
        self.read_at(name, entry, start, needed, read)
    }

    /// All values of an integer or boolean tensor, in the order of the file.
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, WeightsError> {
        let needed = "an integer type up to 64 bits, or BOOL";
        let entry = self.find(name)?;
        let read = |file: &mut File| values::read_i64(file, entry.dtype, entry.len());
        self.read_at(name, entry, 0, needed, read)
    }

    fn read_at<T>(
        &self,
        name: &str,
        entry: &Entry,
        start: usize,
        needed: &'static str,
        read: impl FnOnce(&mut File) -> Option<io::Result<Vec<T>>>,
    ) -> Result<Vec<T>, WeightsError> {
        let shard = &self.shards[entry.shard];
        let unreadable = |source| WeightsError::Unreadable { path: shard.path.clone(), source };
        let place = shard.data_start + entry.begin + (start * entry.dtype.size()) as u64;

        let mut file = shard.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(place)).map_err(unreadable)?;
        match read(&mut file) {
            Some(values) => values.map_err(unreadable),
            None => Err(WeightsError::WrongDtype {
                path: shard.path.clone(),
                name: name.to_owned(),
                dtype: entry.dtype.name(),
                needed,
            }),
        }
    }

    fn find(&self, name: &str) -> Result<&Entry, WeightsError> {
        self.entries.get(name).ok_or_else(|| WeightsError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            nearest: nearest(name, self.names()),
        })
    }

    /// Reads and checks the header of one more file.
    fn add(&mut self, path: &Path) -> Result<(), WeightsError> {
        let (file, header, data_start) = open_one(path)?;
        let shard = self.shards.len();
        for (name, mut entry) in header.entries {
            entry.shard = shard;
            if let Some(first) = self.entries.get(&name) {
                let first = self.shards[first.shard].path.display();
                return Err(WeightsError::Index {
                    path: path.to_owned(),
                    problem: format!("tensor `{name}` stands also in {first}"),
                });
            }
            self.entries.insert(name, entry);
        }
        self.metadata.extend(header.metadata);
        self.shards.push(Shard { path: path.to_owned(), data_start, file: Mutex::new(file) });
        Ok(())
    }
}

fn open_one(path: &Path) -> Result<(File, Header, u64), WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { path: path.to_owned(), source };
    let broken = |problem| WeightsError::Header { path: path.to_owned(), problem };

    let mut file = File::open(path).map_err(unreadable)?;
    let file_len = file.metadata().map_err(unreadable)?.len();
    // Enough for the length and for the signs of other formats.
    let mut start = Vec::with_capacity(32);
    (&mut file).take(32).read_to_end(&mut start).map_err(unreadable)?;
    if let Some(foreign) = Foreign::recognise(path, &start) {
        return Err(WeightsError::Refused { path: path.to_owned(), foreign });
    }

    let header_len = header::length(&start, file_len).map_err(broken)?;
    let data_start = LENGTH_BYTES as u64 + header_len;
    let mut json = vec![0; header_len as usize];
    file.seek(SeekFrom::Start(LENGTH_BYTES as u64)).map_err(unreadable)?;
    file.read_exact(&mut json).map_err(unreadable)?;
    let header = header::parse(&json, file_len - data_start).map_err(broken)?;
    Ok((file, header, data_start))
}
