//! Pairs of a picture and a caption, wherever they lie: in folders or in tar shards.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cache::Cache;
use crate::captions::{self, Captions, PairSource};
use crate::decode::{PictureError, read_bytes};
use crate::error::{DataError, NothingFound};
use crate::random::Key;
use crate::shards::{self, Shard, ShardSource, Which};
use crate::work::Watch;

/// Where pairs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Pictures and captions as files.
    Folder(PairSource),
    /// Tar archives of samples.
    Shards(ShardSource),
}

/// How pairs are read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Which captions are taken.
    pub captions: Captions,
    /// Where indexes and unpacked archives are kept.
    pub cache: &'a Cache,
    /// What becomes of pairs without their files.
    pub missing: Missing,
    /// Whoever waits.
    pub watch: &'a dyn Watch,
}

/// What becomes of entries of a list without their files, and of captions that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Reading ends with all of them named.
    IsAnError,
    /// They are counted in [`Pairs::left_out`].
    IsLeftOut,
}

/// A picture and what it shows.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Where the picture lies.
    pub image: Place,
    /// What it shows.
    pub caption: Caption,
}

/// Where a picture lies.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// The picture of a sample of a shard, by number.
    Member(Arc<Shard>, u32),
}

/// A caption, or where it is read when it is needed.
#[derive(Debug, Clone)]
pub enum Caption {
    /// The text.
    Text(String),
    /// One of several texts.
    AnyOf(Box<[String]>),
    /// In a sample of a shard, by number.
    Member(Arc<Shard>, u32, Which),
}

/// The pairs of all sources in order, and what is worth knowing about them.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Source after source.
    pub pairs: Vec<Pair>,
    /// The shards among the sources, in order.
    pub shards: Vec<Arc<Shard>>,
    /// One line each: empty captions, pictures without caption, sources without a pair.
    pub warnings: Vec<String>,
    /// Pairs that are not there or cannot be read, with reasons; only where these may be left out.
    pub left_out: Vec<String>,
}

/// The pairs of one source, or what was found instead.
pub(crate) type Found = Result<Pairs, NothingFound>;

/// Reads the pairs of all sources. Everything that is wrong is reported at once.
pub fn read_pairs(sources: &[Source], reading: &Reading<'_>) -> Result<Pairs, DataError> {
    let (mut all, mut errors, mut without) = (Pairs::default(), Vec::new(), Vec::new());
    for source in sources {
        match read_source(source, reading) {
            Ok(Ok(found)) => all.extend(found),
            Ok(Err(nothing)) => without.push(nothing),
            Err(DataError::Stopped) => return Err(DataError::Stopped),
            Err(error) => errors.push(error),
        }
    }
    if let Some(error) = DataError::from_many(errors) {
        return Err(error);
    }
    if all.pairs.is_empty() && all.left_out.is_empty() && !sources.is_empty() {
        return Err(DataError::NoPairs(without));
    }
    // TAO goes on when some sources give nothing; so do we, but not in silence.
    for problem in without {
        let hints = problem.hints.iter().map(|hint| format!("; {hint}")).collect::<String>();
        all.warnings.push(format!("no image-text pair in {}{hints}", problem.found));
    }
    Ok(all)
}

fn read_source(source: &Source, reading: &Reading<'_>) -> Result<Found, DataError> {
    match source {
        Source::Folder(source) => captions::read_source(source, reading),
        Source::Shards(source) => shards::read_source(source, reading),
    }
}

impl Pairs {
    fn extend(&mut self, found: Pairs) {
        self.pairs.extend(found.pairs);
        self.shards.extend(found.shards);
        self.warnings.extend(found.warnings);
        self.left_out.extend(found.left_out);
    }
}

impl Place {
    /// The bytes of the picture, at most `limit`.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>, DataError> {
        match self {
            Place::File(path) => read_bytes(path, limit),
            Place::Member(shard, number) => shard.read_image(*number, limit),
        }
    }

    /// The error for bytes that are not a picture, with the name of the place.
    pub fn refuse(&self, problem: PictureError) -> DataError {
        match self {
            Place::File(path) => problem.in_file(path),
            Place::Member(shard, number) => shard.refuse(*number, problem),
        }
    }

    /// The name of the picture without the place where it lies.
    pub fn name(&self) -> &[u8] {
        match self {
            Place::File(path) => path.file_name().unwrap_or_default().as_encoded_bytes(),
            Place::Member(shard, number) => shard.image_name(*number).as_bytes(),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::File(a), Place::File(b)) => a == b,
            (Place::Member(a, i), Place::Member(b, j)) => Arc::ptr_eq(a, b) && i == j,
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Member(shard, number) => {
                write!(f, "{}: member `{}`", shard.name(), shard.image_name(*number))
            }
        }
    }
}

impl Caption {
    /// The text; of several, the one that `key` draws.
    pub fn text(&self, key: &Key) -> Result<Cow<'_, str>, DataError> {
        match self {
            Caption::Text(text) => Ok(text.into()),
            Caption::AnyOf(texts) => Ok(texts[draw(key, texts.len())].as_str().into()),
            Caption::Member(shard, number, which) => {
                shard.read_caption(*number, *which, key).map(Cow::from)
            }
        }
    }

    /// Hands over what tells captions apart, without reading those of shards.
    pub fn identify(&self, mut part: impl FnMut(&[u8])) {
        match self {
            Caption::Text(text) => part(text.as_bytes()),
            Caption::AnyOf(texts) => texts.iter().for_each(|text| part(text.as_bytes())),
            Caption::Member(shard, number, which) => {
                part(shard.digest().as_bytes());
                part(&number.to_le_bytes());
                part(which.to_string().as_bytes());
            }
        }
    }
}

/// A number below `count`, for the choice of a caption.
pub(crate) fn draw(key: &Key, count: usize) -> usize {
    key.of("caption").rng().below(count as u64) as usize
}
