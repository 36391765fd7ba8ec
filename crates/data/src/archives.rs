//! Archives: shards that are compressed, and whole folders of pictures or captions. They are unpacked
//! once, into the cache.

mod extract;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::cache::{self, Cache, Stamp, Turn};
use crate::compressed::{self, Compression, Expansion};
use crate::error::DataError;
use crate::tarball::TarProblem;
use crate::work::{Meter, Watch, in_parallel};

/// Pieces in which an archive is unpacked.
const PIECE: usize = 1 << 18;

/// The folder that an archive stands for, in the cache: its members, unpacked.
///
/// By TAO's rule the folder is named as the archive up to its first dot. Where some member lies in
/// `../images/`, the folders in front of `images` are taken off all members.
pub fn unpacked_folder(
    archive: &Path,
    cache: &Cache,
    watch: &dyn Watch,
) -> Result<PathBuf, DataError> {
    let stamp = Stamp::of_file(archive)?;
    let what = format!("unpacking {}", archive.display());
    let folder = cache.folder("folders").map_err(|problem| Cache::needed(&what, problem))?;
    let place = folder.join(cache::key_with(archive, stamp));
    if !place.is_dir() {
        let name = archive.display().to_string();
        let work =
            |_: &(), meter: &Meter| guarded(&name, || extract::extract(archive, &place, meter));
        in_parallel(&what, &[()], watch, work)?.into_iter().collect::<Result<(), _>>()?;
    }
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let wanted = name.split('.').next().unwrap_or_default();
    let inside = place.join(wanted);
    if !wanted.is_empty() && inside.is_dir() {
        return Ok(inside);
    }
    Err(DataError::Archive {
        name: archive.display().to_string(),
        problem: format!(
            "found {}, needed a folder `{wanted}`, named as the archive",
            extract::shown(&place)
        ),
        hint: Some("rename the archive after the folder in it, or unpack it yourself".to_owned()),
    })
}

/// The tar archive behind a shard, without unpacking anything: itself, or its copy in the cache.
pub(crate) fn known_tar(shard: &Path, cache: &Cache) -> Option<PathBuf> {
    match compressed::compression_of(shard).ok()? {
        Compression::None => Some(shard.to_owned()),
        _ => tar_place(shard, cache).ok().filter(|place| place.is_file()),
    }
}

/// The tar archive behind a shard; a compressed one is unpacked into the cache.
pub(crate) fn tar(shard: &Path, cache: &Cache, meter: &Meter) -> Result<PathBuf, DataError> {
    let unreadable = |problem| DataError::Unreadable { path: shard.to_owned(), problem };
    if compressed::compression_of(shard).map_err(unreadable)? == Compression::None {
        return Ok(shard.to_owned());
    }
    let refused = |problem: io::Error| refused(&shard.display().to_string(), problem.into());
    let needed = |problem| Cache::needed(&format!("unpacking {}", shard.display()), problem);
    let place = tar_place(shard, cache).map_err(needed)?;
    let turn = Turn::wait(&place, meter).map_err(needed)?;
    if place.is_file() {
        return Ok(place);
    }
    let temporary = turn.temporary();
    let unpacked = unpack(shard, temporary, meter).and_then(|()| fs::rename(temporary, &place));
    if let Err(problem) = unpacked {
        let _ = fs::remove_file(temporary);
        return Err(refused(problem));
    }
    Ok(place)
}

/// Work on an archive. What reads it is in part other people's code, fed with whatever lies on disk:
/// a panic in it is an error with the archive's name.
pub(crate) fn guarded<T>(
    name: &str,
    work: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let problem = "damaged: what reads it panicked".to_owned();
        Err(DataError::Archive { name: name.to_owned(), problem, hint: None })
    })
}

/// The error for an archive that cannot be used.
pub(crate) fn refused(name: &str, problem: TarProblem) -> DataError {
    let problem = match problem {
        TarProblem::Io(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => {
            "truncated: it ends early".to_owned()
        }
        problem => problem.to_string(),
    };
    let hint = problem
        .starts_with("truncated")
        .then(|| "copy or fetch the archive again, or take it out of the data".to_owned());
    DataError::Archive { name: name.to_owned(), problem, hint }
}

fn tar_place(shard: &Path, cache: &Cache) -> io::Result<PathBuf> {
    let stamp = Stamp::of(&fs::metadata(shard)?);
    Ok(cache.folder("unpacked")?.join(format!("{}.tar", cache::key_with(shard, stamp))))
}

fn unpack(shard: &Path, to: &Path, meter: &Meter) -> io::Result<()> {
    let size = fs::metadata(shard)?.len();
    cache::check_space(to.parent().unwrap_or(Path::new(".")), size)?;
    let mut input = compressed::open(shard, Expansion::default())?;
    let mut output = BufWriter::new(File::create(to)?);
    let mut piece = vec![0; PIECE];
    loop {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                output.write_all(&piece[..read])?;
                meter.add(read as u64)?;
            }
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {}
            Err(problem) => return Err(problem),
        }
    }
    output.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_the_name_of_the_archive() {
        let empty: &[u8] = &[];
        let error = guarded("a.tar", || Ok(empty[empty.len()])).unwrap_err();
        assert_eq!(error.to_string(), "a.tar: damaged: what reads it panicked");
        assert_eq!(guarded("a.tar", || Ok(1)).unwrap(), 1);
    }
}
