//! Files of PyTorch: a whole file, or a pickle that is put into an archive with a few storages.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;
use hearth_weights::WeightsFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::targets::files;

const ARCHIVE: &[u8] = b"PK";
/// How a file of PyTorch before 1.6 begins.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";
/// Every archive that a pickle is put into has storages `0` to `3` of this size.
const STORAGE_BYTES: usize = 64;
/// A view may repeat its values up to so many.
const MAX_REPEATED: usize = 1 << 24;

pub(super) const WORDS: &[&str] = &[
    "ctorch._utils\n_rebuild_tensor_v2\n",
    "ctorch._utils\n_rebuild_parameter\n",
    "ctorch\nFloatStorage\n",
    "ctorch\nLongStorage\n",
    "ctorch.storage\nUntypedStorage\n",
    "ccollections\nOrderedDict\n)R",
    "cargparse\nNamespace\n)\u{1}",
    "cposix\nsystem\n",
    "c__torch__.M\nM\n",
    "X\u{7}\0\0\0storage",
    "X\u{3}\0\0\0cpu",
    "X\u{1}\0\0\u{0}0",
    "X\u{1}\0\0\u{0}1",
    "X\u{a}\0\0\0state_dict",
    "X\u{5}\0\0\0model",
    "I-1\n",
    "I4294967296\n",
    "J\u{7f}\u{7f}\u{7f}\u{7f}",
    "K\0",
    "K\u{1}",
    "(K\u{2}K\u{3}t",
    "(K\u{3}K\u{1}t",
    "q\0",
    "h\0",
    "h\u{1}",
    "tQ",
    "tR",
    "b",
    "u",
    "e",
    "]a",
    "}s",
    "N",
    ".",
];

/// The files of tests/golden/pytorch, and the pickles inside of them.
pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let folder = crate::root().join("tests/golden/pytorch");
    let endings = [".pth", ".pt", ".bin", ".ckpt", ".tar"];
    let mut seeds = Vec::new();
    for file in files(&folder, &endings)? {
        if file.starts_with(ARCHIVE) {
            let mut archive = ZipArchive::new(Cursor::new(&file))?;
            for index in 0..archive.len() {
                let mut entry = archive.by_index_raw(index)?;
                if entry.name()?.ends_with("/data.pkl") {
                    let mut pickle = Vec::new();
                    entry.read_to_end(&mut pickle)?;
                    seeds.push(pickle);
                }
            }
        }
        // Mutations hardly reach what matters in a large file.
        if file.len() < 10_000 {
            seeds.push(file);
        }
    }
    seeds.push(b"\x80\x02}X\x01\0\0\0a]q\0h\0h\0\x86q\x01h\x01h\x01\x86es.".to_vec());
    Ok(seeds)
}

/// Takes the checksums out of the table of an archive: zeros mean that there are none.
#[expect(clippy::ptr_arg, reason = "the type of every repair")]
pub(super) fn repair(input: &mut Vec<u8>) {
    const ENTRY: &[u8] = b"PK\x01\x02";
    const CHECKSUM: std::ops::Range<usize> = 16..20;
    if !input.starts_with(ARCHIVE) {
        return;
    }
    for at in 0..input.len() {
        if input[at..].starts_with(ENTRY)
            && let Some(checksum) = input[at..].get_mut(CHECKSUM)
        {
            checksum.fill(0);
        }
    }
}

/// Opens the file and reads everything that it offers.
pub(super) fn read(input: &[u8]) {
    let path = scratch();
    let bytes = match input.starts_with(ARCHIVE) || input.starts_with(LEGACY) {
        true => input.to_vec(),
        false => archive(input),
    };
    overwrite(path, &bytes).expect("a scratch folder can be written");
    let file = match WeightsFile::open(path) {
        Ok(file) => file,
        Err(error) => return assert!(!error.to_string().is_empty() && error.hints().len() < 2),
    };
    for name in file.names() {
        let entry = file.entry(name).expect("a listed name has an entry");
        assert!(entry.len() <= bytes.len().max(MAX_REPEATED), "{name} is larger than the file");
        let read = file.read_f32(name).map(|values| values.len());
        let read = read.or_else(|_| file.read_i64(name).map(|values| values.len()));
        assert!(read.is_err() || read.is_ok_and(|read| read == entry.len()), "{name}");
    }
    if let Some(extra) = file.extra() {
        serde_json::to_vec(extra).expect("a value of JSON can be written");
    }
}

fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut add = |name: &str, content: &[u8]| {
        zip.start_file(format!("a/{name}"), options).expect("memory can be written");
        zip.write_all(content).expect("memory can be written");
    };
    add("data.pkl", pickle);
    for number in 0..4u8 {
        add(&format!("data/{number}"), &[number; STORAGE_BYTES]);
    }
    zip.finish().expect("memory can be written").into_inner()
}

/// Without emptying the file first, which makes some file systems wait for the disk.
fn overwrite(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// A file of this process, written anew for every input.
fn scratch() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        std::env::temp_dir().join(format!("hearth-fuzz-{}.pth", std::process::id()))
    })
}
