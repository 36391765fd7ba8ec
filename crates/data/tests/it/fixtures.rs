//! Where the fixtures lie and how they are compared.

use std::path::{Path, PathBuf};

use hearth_data::decode::{Limits, read_picture};
use hearth_data::picture::Picture;
use serde_json::Value;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of `tests/golden/data`, made by `tests/golden/data.py`.
pub(crate) fn golden(path: &str) -> PathBuf {
    root().join("tests/golden/data").join(path)
}

/// A file of the shared data, which is not in the repository: `HEARTH_SHARED` or `../shared`. `None`
/// (and a line that says so) where it is not there.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("HEARTH_SHARED").map(PathBuf::from);
    let path = shared.unwrap_or_else(|| root().join("../shared")).join(path);
    if !path.exists() {
        println!("skipped: {} is not there; HEARTH_SHARED says where it may be", path.display());
        return None;
    }
    Some(path)
}

pub(crate) fn json(path: &str) -> Value {
    let text = std::fs::read_to_string(golden(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn cases<'a>(manifest: &'a Value, name: &str) -> &'a [Value] {
    let cases = manifest[name].as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

pub(crate) fn picture(path: &str) -> Picture {
    read_picture(&golden(path), &Limits::default()).unwrap()
}

/// The largest difference of any value, and the share of values that differ at all.
#[track_caller]
pub(crate) fn difference(found: &Picture, expected: &Picture) -> (u8, f64) {
    assert_eq!((found.width, found.height), (expected.width, expected.height));
    let pairs = found.pixels.iter().zip(&expected.pixels);
    let differences: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let different = differences.iter().filter(|&&d| d > 0).count();
    (differences.iter().copied().max().unwrap(), different as f64 / differences.len() as f64)
}
