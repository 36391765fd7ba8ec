//! Which files a path stands for: one file, a folder of Hugging Face or open_clip, or shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

use crate::{error::WeightsError, header::MAX_HEADER_BYTES, names::listed, refused::Foreign};

/// What is looked for in a folder: names in this order, else the one file of the kind. Kinds that
/// lie beside each other hold the same weights; the first is taken.
const KINDS: &[Kind] = &[
    Kind {
        names: &[
            "model.safetensors",
            "model.safetensors.index.json",
            "open_clip_model.safetensors",
        ],
        endings: &[".safetensors"],
    },
    Kind {
        names: &[
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "open_clip_pytorch_model.bin",
        ],
        // Not `.bin`, which the state of an optimiser is called too.
        endings: &[".pth", ".pt", ".ckpt", ".pth.tar"],
    },
];
const INDEX_SUFFIXES: &[&str] = &[".safetensors.index.json", ".bin.index.json"];

/// Files of one format in a folder.
struct Kind {
    names: &'static [&'static str],
    endings: &'static [&'static str],
}

/// The files behind a path.
pub(crate) struct Sources {
    /// Where `config.json` would lie.
    pub(crate) folder: PathBuf,
    /// In order of their names.
    pub(crate) files: Vec<PathBuf>,
    pub(crate) index: Option<Index>,
}

/// Which tensor lies in which shard, as the index says.
pub(crate) struct Index {
    path: PathBuf,
    shard_of: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct IndexFile {
    weight_map: BTreeMap<String, String>,
}

pub(crate) fn sources(path: &Path) -> Result<Sources, WeightsError> {
    let kind = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => {
            WeightsError::Missing { path: path.to_owned(), beside: beside(path) }
        }
        _ => WeightsError::Unreadable { path: path.to_owned(), source },
    })?;
    let file = if kind.is_dir() { in_folder(path)? } else { path.to_owned() };
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    if !is_index(&file) {
        return Ok(Sources { folder, files: vec![file], index: None });
    }
    let index = read_index(&file)?;
    let names: BTreeSet<&String> = index.shard_of.values().collect();
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let absent: Vec<String> = names
        .iter()
        .zip(&files)
        .filter(|(_, path)| !path.exists())
        .map(|(name, _)| (*name).clone())
        .collect();
    if !absent.is_empty() {
        let problem = format!(
            "names shards that are not there: {}",
            listed(absent.iter().map(String::as_str), 5)
        );
        return Err(WeightsError::Index { path: file, problem });
    }
    Ok(Sources { folder, files, index: Some(index) })
}

/// Whether a file lists shards instead of holding tensors.
pub(crate) fn is_index(path: &Path) -> bool {
    let name = path.to_string_lossy();
    INDEX_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// The shards that an index names, all of them plain names of its own folder.
pub(crate) fn shard_names(index: &Path) -> Result<BTreeSet<String>, WeightsError> {
    Ok(read_index(index)?.shard_of.into_values().collect())
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let too_large = || {
        let problem = format!("found more than {limit} bytes, which is the limit");
        io::Error::new(io::ErrorKind::FileTooLarge, problem)
    };
    if len > limit {
        return Err(too_large());
    }
    // Not every file tells its size: a pipe says 0.
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// The file that was probably meant by a name that does not exist.
fn beside(path: &Path) -> Option<PathBuf> {
    let candidate = path.with_extension("safetensors");
    (candidate != path && candidate.is_file()).then_some(candidate)
}

fn in_folder(folder: &Path) -> Result<PathBuf, WeightsError> {
    let unreadable = |source| WeightsError::Unreadable { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for item in fs::read_dir(folder).map_err(unreadable)? {
        names.push(item.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for kind in KINDS {
        let known = kind.names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        if let Some(path) = known {
            return Ok(path);
        }
        let is_one = |name: &&String| kind.endings.iter().any(|ending| name.ends_with(ending));
        let found: Vec<String> = names.iter().filter(is_one).cloned().collect();
        match found.as_slice() {
            [one] => return Ok(folder.join(one)),
            [] => {}
            _ => return Err(WeightsError::Ambiguous { path: folder.to_owned(), found }),
        }
    }
    let needed = KINDS.iter().flat_map(|kind| kind.names).map(|name| (*name).to_owned()).collect();
    let foreign = names.into_iter().filter(|name| Foreign::by_name(name).is_some()).collect();
    Err(WeightsError::NoWeights { path: folder.to_owned(), needed, foreign })
}

fn read_index(path: &Path) -> Result<Index, WeightsError> {
    let wrong = |problem| WeightsError::Index { path: path.to_owned(), problem };
    let text = read_limited(path, MAX_HEADER_BYTES)
        .map_err(|source| WeightsError::Unreadable { path: path.to_owned(), source })?;
    let index: IndexFile = serde_json::from_slice(&text)
        .map_err(|err| wrong(format!("not a valid index of shards: {err}")))?;
    if index.weight_map.is_empty() {
        return Err(wrong("its `weight_map` is empty".to_owned()));
    }
    // An index comes from outside: it may name files of its own folder only.
    let strays: BTreeSet<&String> =
        index.weight_map.values().filter(|name| !is_plain_name(name)).collect();
    if let Some(stray) = strays.first() {
        return Err(wrong(format!(
            "names the shard `{stray}`, need the plain name of a `.safetensors` or `.bin` file of this folder"
        )));
    }
    Ok(Index { path: path.to_owned(), shard_of: index.weight_map })
}

fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let plain = matches!(components.next(), Some(Component::Normal(first)) if first == name);
    let known = name.ends_with(".safetensors") || name.ends_with(".bin");
    plain && components.next().is_none() && !name.contains('\\') && known
}

impl Index {
    /// The shards hold exactly the tensors that the index promises of them.
    pub(crate) fn check<'a>(
        &self,
        held: impl Iterator<Item = (&'a str, &'a Path)>,
    ) -> Result<(), WeightsError> {
        let mut expected: BTreeMap<&str, &str> =
            self.shard_of.iter().map(|(name, shard)| (name.as_str(), shard.as_str())).collect();
        let mut unlisted = Vec::new();
        for (name, shard) in held {
            if expected.get(name).is_some_and(|file| shard.ends_with(file)) {
                expected.remove(name);
            } else {
                unlisted.push(name.to_owned());
            }
        }
        let mut problems = Vec::new();
        if !expected.is_empty() {
            let names: Vec<String> = expected.into_keys().map(str::to_owned).collect();
            problems
                .push(format!("the shards lack {}", listed(names.iter().map(String::as_str), 5)));
        }
        if !unlisted.is_empty() {
            let names = listed(unlisted.iter().map(String::as_str), 5);
            problems.push(format!("it does not list {names}, which the shards hold"));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Index { path: self.path.clone(), problem: problems.join("; ") })
    }
}
