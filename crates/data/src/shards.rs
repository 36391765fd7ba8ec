//! Tar shards (WebDataset): each is indexed once, after which a sample is a number and is read at its
//! place. So shards are shuffled as folders are, resuming is exact, and fewer shards than threads do
//! no harm.
//!
//! A sample is a run of members with the same name up to the first dot. Its picture is the first of
//! `jpg`, `jpeg`, `png`, `webp`, its caption the first of `txt`, `text`; JSON may hold captions too.

#[cfg(feature = "s3")]
mod address;
mod braces;
mod index;
mod kept;
mod names;
mod problems;
#[cfg(feature = "s3")]
mod remote;
mod shard;

use std::fs::File;
use std::iter::repeat_n;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use names::{ShardSource, is_address, is_shard};
pub use shard::{Shard, Which};

use index::Index;
use names::ShardName;
use problems::{Flaw, Flaws, Unusable};
#[cfg(feature = "s3")]
use remote::fetched;

use crate::archives;
use crate::cache::{Cache, Stamp};
use crate::captions;
use crate::error::{DataError, NothingFound};
use crate::pairs::{Caption, Found, Missing, Pair, Pairs, Place, Reading};
use crate::tarball::{Seeking, TarProblem};
use crate::work::{Meter, Unwatched, in_parallel};

/// Shards whose files stay open; processes may often have no more than 1,024.
const STAY_OPEN: usize = 256;

/// The pairs of the shards of a source.
pub(crate) fn read_source(source: &ShardSource, reading: &Reading<'_>) -> Result<Found, DataError> {
    let (names, place) = (source.names()?, source.shown());
    if names.is_empty() {
        let found = match source {
            ShardSource::List { .. } => format!("`{place}`: the list holds no name"),
            _ => format!("`{place}`: no shards (*.tar, *.tar.gz, *.tar.zst)"),
        };
        return Ok(Err(NothingFound { found, hints: Vec::new() }));
    }
    let (shards, mut warnings) = open(source, &names, reading)?;
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let name = twice[0].shown();
        warnings
            .push(format!("{place}: a shard that is named twice is read twice, such as {name}"));
    }
    let mut flaws = Flaws::default();
    shards.iter().for_each(|shard| flaws.merge(shard.name(), shard.flaws()));
    let left_out = left_out(&mut flaws, &place, reading.missing)?;
    warnings.extend(flaws.lines(&place));
    let empty: Vec<&str> =
        shards.iter().filter(|shard| shard.is_empty()).map(|shard| shard.name()).collect();
    if empty.len() == shards.len() && left_out.is_empty() {
        return Ok(Err(no_samples(&place, &shards, &flaws)));
    }
    if let Some(first) = empty.first() {
        warnings
            .push(format!("{place}: {} shards hold no sample, the first: {first}", empty.len()));
    }
    let mut pairs = Vec::new();
    for shard in &shards {
        for number in 0..shard.len() as u32 {
            let captions = shard.captions(number, reading.captions);
            pairs.extend(captions.into_iter().map(|which| Pair {
                image: Place::Member(Arc::clone(shard), number),
                caption: Caption::Member(Arc::clone(shard), number, which),
            }));
        }
    }
    Ok(Ok(Pairs { pairs, shards, warnings, left_out }))
}

/// Samples whose captions or pictures are there and cannot be used: all in one error, or a reason for
/// each where they may be left out.
fn left_out(flaws: &mut Flaws, place: &str, missing: Missing) -> Result<Vec<String>, DataError> {
    let (mut errors, mut reasons) = (Vec::new(), Vec::new());
    for Unusable { what, why, named, count } in flaws.take_unusable() {
        match missing {
            Missing::IsAnError => errors.push(DataError::Entries {
                path: PathBuf::from(place),
                what,
                problems: named,
                total: count,
            }),
            Missing::IsLeftOut => {
                let rest = count.saturating_sub(named.len());
                reasons.extend(named.into_iter().map(|name| format!("{name}: {why}")));
                reasons.extend(repeat_n(format!("{place}: another sample: {why}"), rest));
            }
        }
    }
    DataError::from_many(errors).map_or(Ok(reasons), Err)
}

fn no_samples(place: &str, shards: &[Arc<Shard>], flaws: &Flaws) -> NothingFound {
    let (count, left_out) = (shards.len(), flaws.left_out());
    let found = match left_out {
        0 => format!("`{place}`: {count} shards without a sample"),
        _ => format!("`{place}`: {count} shards, {left_out} samples without picture or caption"),
    };
    let mut hints = flaws.lines(place);
    if flaws.count(Flaw::NoPicture) > 0 && flaws.count(Flaw::NoCaption) > 0 {
        hints.push(
            "the members of a sample must follow each other: pack them sorted by name, as \
             `tar --sort=name` does"
                .to_owned(),
        );
    }
    NothingFound { found, hints }
}

/// A shard ready to be read, and why its index could not be kept.
struct Opened {
    shard: Shard,
    not_kept: Option<String>,
}

/// Indexes all shards, those that are not in the cache; every shard that cannot be used is named.
fn open(
    source: &ShardSource,
    names: &[ShardName],
    reading: &Reading<'_>,
) -> Result<(Vec<Arc<Shard>>, Vec<String>), DataError> {
    let cache = reading.cache;
    let known = in_parallel("", names, &Unwatched, |name, _| known(name, cache))?;
    let missing: Vec<&ShardName> = names
        .iter()
        .zip(&known)
        .filter(|(_, known)| known.is_none())
        .map(|(name, _)| name)
        .collect();
    let mut indexed = Vec::new();
    if !missing.is_empty() {
        let index = |name: &&ShardName, meter: &Meter| {
            archives::guarded(&name.shown(), || indexed_shard(name, cache, meter))
        };
        indexed = in_parallel("indexing shards", &missing, reading.watch, index)?;
    }
    let mut indexed = indexed.into_iter();
    let (mut shards, mut problems, mut not_kept) = (Vec::new(), Vec::new(), Vec::new());
    for known in known {
        let opened = match known {
            Some(shard) => Ok(Opened { shard, not_kept: None }),
            None => indexed.next().expect("one for each that was missing"),
        };
        match opened {
            Ok(opened) => {
                let mut shard = opened.shard;
                if shards.len() < STAY_OPEN {
                    shard.stay_open();
                }
                shards.push(Arc::new(shard));
                not_kept.extend(opened.not_kept);
            }
            Err(DataError::Stopped) => return Err(DataError::Stopped),
            Err(error) if matches!(source, ShardSource::One(_)) => return Err(error),
            Err(error) => problems.push(error.to_string()),
        }
    }
    if !problems.is_empty() {
        let path = PathBuf::from(source.shown());
        return Err(captions::entries(&path, "shards cannot be read", problems));
    }
    let warnings = not_kept.first().map(|problem| {
        let count = not_kept.len();
        format!(
            "the index of {count} shards cannot be kept, so the next run makes it again: {problem}"
        )
    });
    Ok((shards, warnings.into_iter().collect()))
}

/// A shard whose index is in the cache.
fn known(name: &ShardName, cache: &Cache) -> Option<Shard> {
    let ShardName::Local(path) = name else { return None };
    let file = archives::known_tar(path, cache)?;
    let stamp = Stamp::of_file(&file).ok()?;
    let index = kept::load(cache, &file, stamp)?;
    Some(Shard::new(name.shown(), file, stamp, index))
}

/// A shard that may have to be fetched, unpacked and indexed.
fn indexed_shard(name: &ShardName, cache: &Cache, meter: &Meter) -> Result<Opened, DataError> {
    let file = match name {
        ShardName::Local(path) => archives::tar(path, cache, meter)?,
        ShardName::Remote(address) => {
            archives::tar(&fetched(address, &name.shown(), cache, meter)?, cache, meter)?
        }
    };
    let stamp = Stamp::of_file(&file)?;
    let index = match kept::load(cache, &file, stamp) {
        Some(index) => {
            return Ok(Opened {
                shard: Shard::new(name.shown(), file, stamp, index),
                not_kept: None,
            });
        }
        None => build(&file, meter).map_err(|problem| archives::refused(&name.shown(), problem))?,
    };
    let not_kept = kept::keep(cache, &file, stamp, &index).err().map(|problem| problem.to_string());
    Ok(Opened { shard: Shard::new(name.shown(), file, stamp, index), not_kept })
}

fn build(file: &Path, meter: &Meter) -> Result<Index, TarProblem> {
    index::build(Seeking::new(File::open(file)?)?, meter)
}

/// The answer of a build that has no client.
#[cfg(not(feature = "s3"))]
fn fetched(_: &str, name: &str, _: &Cache, _: &Meter) -> Result<PathBuf, DataError> {
    Err(DataError::Archive {
        name: name.to_owned(),
        problem: "this build reads no addresses, build it with `cargo build --release -p trainer \
                  --features s3` or fetch the shards"
            .to_owned(),
        hint: None,
    })
}
