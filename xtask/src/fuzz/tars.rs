//! Tar shards and archives of folders as a target: nearly right, with checksums that are, plain and
//! compressed.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use hearth_data::archives::unpacked_folder;
use hearth_data::cache::Cache;
use hearth_data::captions::Captions;
use hearth_data::pairs::{Missing, Reading, Source, read_pairs};
use hearth_data::random::Key;
use hearth_data::shards::ShardSource;
use hearth_data::work::Unwatched;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Builder, EntryType, Header};

use super::scratch;

const BLOCK: usize = 512;

/// Most bytes that something of a compressed archive can have: far more than its mutants hold, far less
/// than the memory of a run.
const MOST_BYTES: u64 = 1 << 30;

/// Words of names, captions and headers.
pub(super) const WORDS: &[&str] = &[
    ".jpg",
    ".txt",
    ".json",
    "/",
    "../",
    "\n",
    "{\"captions\":[\"a\"]}",
    "\u{feff}",
    "ustar",
    "00000000777\0",
    "12 path=a.jpg\n",
    "18 size=9999999999\n",
    "26 GNU.sparse.major=1\n",
    "\u{1f}\u{8b}\u{8}",
    "././@LongLink",
];

pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let long = format!("{}/{}.jpg", "folder".repeat(18), "name".repeat(20));
    let plain: &[(&str, &str)] = &[
        ("1.jpg", "J"),
        ("1.txt", "one\ntwo"),
        ("s/2.png", "P"),
        ("s/2.json", "{\"captions\": [\"a\", \"b\"]}"),
    ];
    let mut seeds = vec![archive(plain)?, archive(&[(&long, "J"), ("a.txt", "a")])?];
    let mut extended = Builder::new(Vec::new());
    append(&mut extended, EntryType::XHeader, "x", "18 path=ä/b.jpg\n")?;
    append(&mut extended, EntryType::Regular, "y", "J")?;
    append(&mut extended, EntryType::Symlink, "ä/b.txt", "")?;
    seeds.push(extended.into_inner()?);
    seeds.push(vec![0; 2 * BLOCK]);
    let folders = [("x/train/images/1.jpg", "J"), ("x/val/images/1.jpg", "K"), ("s/3.jpg", "L")];
    seeds.push(archive(&folders)?);
    for tar in seeds.clone() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&tar)?;
        seeds.push(gzip.finish()?);
        seeds.push(compress_to_vec(&tar[..], CompressionLevel::Fastest));
    }
    Ok(seeds)
}

fn archive(members: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, content) in members {
        append(&mut builder, EntryType::Regular, name, content)?;
    }
    Ok(builder.into_inner()?)
}

fn append(to: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &str) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    Ok(to.append_data(&mut header, name, content.as_bytes())?)
}

/// Makes the checksum of every block right that says it is a header.
#[expect(clippy::ptr_arg, reason = "the type of every repair")]
pub(super) fn repair(bytes: &mut Vec<u8>) {
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Reads a shard and unpacks it as a folder: what is found lies in it, and nothing leaves the cache.
pub(super) fn read(input: &[u8]) {
    let folder = scratch();
    let (path, root) = (folder.join("s.tar"), folder.join("cache"));
    fs::write(&path, input).expect("a scratch file can be written");
    let source = [Source::Shards(ShardSource::One(path.clone()))];
    let cache = Cache::at(&root);
    for captions in [Captions::Whole, Captions::All] {
        let reading =
            Reading { captions, cache: &cache, missing: Missing::IsAnError, watch: &Unwatched };
        match read_pairs(&source, &reading) {
            Ok(pairs) => {
                assert!(is_compressed(input) || pairs.pairs.len() <= input.len());
                for pair in &pairs.pairs {
                    let image = pair.image.read(MOST_BYTES).expect("it lies in the shard");
                    assert!(!image.is_empty());
                    let caption = pair.caption.text(&Key::new(0)).expect("it lies in the shard");
                    assert!(!caption.is_empty());
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    match unpacked_folder(&path, &cache, &Unwatched) {
        Ok(unpacked) => assert!(unpacked.starts_with(&root)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    fs::remove_dir_all(&root).expect("a cache can be deleted at any time");
    let left = fs::read_dir(folder).expect("the scratch folder is there").count();
    assert_eq!(left, 1, "the archive only");
}

/// By the first byte of gzip or zstd.
fn is_compressed(input: &[u8]) -> bool {
    matches!(input.first(), Some(0x1F | 0x28 | 0x50..=0x5F))
}

/// A folder for the archive of every input, and the cache.
fn scratch() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| scratch::folder("tars"))
}
