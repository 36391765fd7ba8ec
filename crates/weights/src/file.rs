//! An opened checkpoint: names and shapes at once, values on demand.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use crate::{
    error::WeightsError,
    folder,
    header::{Dtype, Entry},
    names::nearest,
    shard::{self, Shard},
    values::{f32_decoder, i64_decoder},
};

/// A larger configuration beside the weights is not read.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// One file of safetensors or PyTorch, or the shards that an index joins. What they say of their
/// tensors has been checked in full; values are read by seeking, so that memory holds what was
/// asked for and nothing else.
#[derive(Debug)]
pub struct WeightsFile {
    path: PathBuf,
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
    extra: Option<serde_json::Value>,
    shards: Vec<Shard>,
    /// Values that were computed from those of the file.
    computed: BTreeMap<String, Vec<f32>>,
}

impl WeightsFile {
    /// Opens a file of safetensors or PyTorch (told apart by content), an index of shards
    /// (`….safetensors.index.json`, `….bin.index.json`), or a folder that holds one of them under
    /// the name that Hugging Face or open_clip gives it.
    ///
    /// Of a PyTorch file, the tensors are those of the dictionary that training programs put them
    /// in, without a prefix (`module.`, `_orig_mod.`, `model.`) that all names share.
    pub fn open(path: impl AsRef<Path>) -> Result<WeightsFile, WeightsError> {
        let path = path.as_ref();
        let sources = folder::sources(path)?;
        let mut file = WeightsFile {
            path: path.to_owned(),
            folder: sources.folder,
            entries: BTreeMap::new(),
            metadata: BTreeMap::new(),
            extra: None,
            shards: Vec::new(),
            computed: BTreeMap::new(),
        };
        for shard in &sources.files {
            file.add(shard, sources.index.is_none())?;
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

    /// The same file with the tensors `absorbed` left out and `computed` (name, shape, values) in their
    /// place, such as weights that a file keeps as a formula of several tensors.
    pub fn with_computed(
        mut self,
        absorbed: &[String],
        computed: Vec<(String, Vec<usize>, Vec<f32>)>,
    ) -> WeightsFile {
        absorbed.iter().for_each(|name| drop(self.entries.remove(name)));
        for (name, shape, values) in computed {
            let entry = Entry { dtype: Dtype::F32, shape, begin: 0, shard: 0, origin: None };
            assert_eq!(values.len(), entry.len(), "values for `{name}` of shape {:?}", entry.shape);
            self.entries.insert(name.clone(), entry);
            self.computed.insert(name, values);
        }
        self
    }

    /// The path as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files that hold the values.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.shards.iter().map(Shard::path)
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

    /// What a PyTorch file holds besides tensors, such as the arguments of its training: tuples as
    /// lists, element types by name, a `Namespace` as its attributes, instances of other classes as
    /// a text `<module.Class>`. Nothing for safetensors.
    pub fn extra(&self) -> Option<&serde_json::Value> {
        self.extra.as_ref()
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
        let entry = self.find(name)?;
        debug_assert!(start + count <= entry.len());
        if let Some(values) = self.computed.get(name) {
            return Ok(values[start..start + count].to_vec());
        }
        let Some(decode) = f32_decoder(entry.dtype) else {
            return Err(self.wrong_dtype(name, entry, "F32, F16, BF16 or F64"));
        };
        self.shards[entry.shard].read(entry, start, count, decode)
    }

    /// All values of an integer or boolean tensor, in the order of the file.
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, WeightsError> {
        let entry = self.find(name)?;
        let Some(decode) = i64_decoder(entry.dtype) else {
            return Err(self.wrong_dtype(name, entry, "an integer type up to 64 bits, or BOOL"));
        };
        self.shards[entry.shard].read(entry, 0, entry.len(), decode)
    }

    fn wrong_dtype(&self, name: &str, entry: &Entry, needed: &'static str) -> WeightsError {
        WeightsError::WrongDtype {
            path: self.shards[entry.shard].path().to_owned(),
            name: name.to_owned(),
            dtype: entry.dtype.name(),
            needed,
        }
    }

    fn find(&self, name: &str) -> Result<&Entry, WeightsError> {
        self.entries.get(name).ok_or_else(|| WeightsError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            nearest: nearest(name, self.names()),
        })
    }

    /// Reads and checks what one more file says of itself.
    fn add(&mut self, path: &Path, alone: bool) -> Result<(), WeightsError> {
        let opened = shard::open(path, alone)?;
        let shard = self.shards.len();
        for (name, mut entry) in opened.entries {
            entry.shard = shard;
            if let Some(first) = self.entries.get(&name) {
                let first = self.shards[first.shard].path().display();
                return Err(WeightsError::Index {
                    path: path.to_owned(),
                    problem: format!("tensor `{name}` stands also in {first}"),
                });
            }
            self.entries.insert(name, entry);
        }
        self.metadata.extend(opened.metadata);
        self.extra = self.extra.take().or(opened.extra);
        self.shards.push(opened.shard);
        Ok(())
    }
}
