//! Indexes that are kept in the cache, so that a shard is gone through once.
//!
//! A file has a first line with its version and the checksum of the rest, then JSON. One that belongs
//! to another state of the shard, or is damaged, is not used.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::index::Index;
use crate::cache::{self, Cache, Stamp, hex};

/// Changes when the content of an index does.
const VERSION: &str = "hearth shard index 2";

#[derive(Serialize, Deserialize)]
struct Kept<I> {
    path: String,
    stamp: Stamp,
    index: I,
}

/// The index of a shard in this state, if it is kept and sound.
pub(crate) fn load(cache: &Cache, shard: &Path, stamp: Stamp) -> Option<Index> {
    let mut content = Vec::new();
    // A sample takes several blocks of the archive and far less of the index.
    let limit = stamp.bytes.saturating_add(1 << 20);
    File::open(place(cache, shard).ok()?).ok()?.take(limit).read_to_end(&mut content).ok()?;
    let end = content.iter().position(|&byte| byte == b'\n')?;
    let (first, json) = (&content[..end], &content[end + 1..]);
    if first != first_line(json).as_bytes() {
        return None;
    }
    let kept: Kept<Index> = serde_json::from_slice(json).ok()?;
    let is_same = kept.stamp == stamp && kept.path == real_path(shard);
    (is_same && kept.index.fits(stamp.bytes)).then_some(kept.index)
}

/// Keeps the index of a shard.
pub(crate) fn keep(cache: &Cache, shard: &Path, stamp: Stamp, index: &Index) -> io::Result<()> {
    let path = place(cache, shard)?;
    let kept = Kept { path: real_path(shard), stamp, index };
    let json = serde_json::to_vec(&kept).map_err(io::Error::other)?;
    cache::write(&path, &[first_line(&json).as_bytes(), b"\n", &json].concat())
}

fn first_line(json: &[u8]) -> String {
    format!("{VERSION} {}", hex(&Sha256::digest(json)))
}

/// The same by every way to the shard.
fn real_path(shard: &Path) -> String {
    cache::real(shard).to_string_lossy().into_owned()
}

fn place(cache: &Cache, shard: &Path) -> io::Result<PathBuf> {
    Ok(cache.folder("indexes")?.join(format!("{}.index", cache::key_of(shard))))
}
