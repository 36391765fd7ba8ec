//! Part files of an interrupted `clip inference`: finished rows behind a line that identifies the work.

use std::{fs, path::Path, sync::OnceLock};

use anyhow::Result;
use hearth_clip::parts::{Parts, Record};

use super::scratch;

const IDENTITY: &str = "0123456789abcdef";
const WIDTH: usize = 2;
/// Index, flag, row, checksum.
const RECORD_BYTES: usize = 8 + 1 + 4 * WIDTH + 4;
const BATCH: usize = 2;

pub(super) const WORDS: &[&str] =
    &["hearth embeddings 1 2 ", "0123456789abcdef\n", "\n", "\0\0\0\0\0\0\0\0\x01"];

pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let folder = scratch::folder("parts-seeds");
    let path = folder.join("seed");
    let mut seeds = vec![Vec::new(), b"hearth embeddings 1 2 fedcba\n".to_vec()];
    for rows in [0, 1, 2, 5, 40] {
        // What an earlier seed left is not part of this one.
        fs::write(&path, b"")?;
        let mut parts = Parts::open(&path, IDENTITY, WIDTH, BATCH)?;
        parts.append(&(0..rows).map(record).collect::<Vec<_>>())?;
        seeds.push(fs::read(&path)?);
    }
    fs::remove_dir_all(folder)?;
    Ok(seeds)
}

fn record(index: u64) -> Record {
    Record { index, row: (index != 3).then(|| vec![index as f32; WIDTH]) }
}

/// Right checksums behind the first line, so that mutations reach what they protect.
#[expect(clippy::ptr_arg, reason = "the type of every repair")]
pub(super) fn repair(input: &mut Vec<u8>) {
    let Some(line) = input.iter().position(|&byte| byte == b'\n') else { return };
    for record in input[line + 1..].chunks_exact_mut(RECORD_BYTES) {
        let (content, checksum) = record.split_at_mut(RECORD_BYTES - 4);
        checksum.copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    }
}

/// Whole batches are kept, a row more goes behind them, and the file says so when it is opened again.
pub(super) fn read(input: &[u8]) {
    let path = path();
    fs::write(path, input).expect("a scratch folder can be written");
    let open = || Parts::open(path, IDENTITY, WIDTH, BATCH).expect("any content is answered");
    let mut parts = open();
    let kept = parts.finished();
    assert!(kept.is_multiple_of(BATCH) && kept * RECORD_BYTES <= input.len(), "{kept} rows");
    let rows = |parts: &Parts| -> Vec<Record> {
        let records = parts.records().expect("the file is there");
        records.map(|record| record.expect("it can be read")).collect()
    };
    let before = rows(&parts);
    assert_eq!(before.len(), kept);
    assert!(before.iter().all(|one| one.row.as_ref().is_none_or(|row| row.len() == WIDTH)));

    parts.append(&[record(0), record(1)]).expect("a scratch folder can be written");
    let again = open();
    assert_eq!(again.finished(), kept + BATCH);
    let bytes = |records: &[Record]| format!("{records:?}");
    assert_eq!(bytes(&rows(&again)[..kept]), bytes(&before));
}

fn path() -> &'static Path {
    static PATH: OnceLock<std::path::PathBuf> = OnceLock::new();
    PATH.get_or_init(|| scratch::folder("parts").join("part"))
}
