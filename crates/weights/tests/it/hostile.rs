//! Files made to hurt: no panic, no memory on their word.

use std::{fs, path::Path};

use hearth_weights::{WeightsFile, header};
use proptest::prelude::*;

use super::bytes::{counting, file, put};

/// Opens a file and reads everything that it offers.
fn open(path: &Path) -> Result<usize, String> {
    let weights = WeightsFile::open(path).map_err(|err| {
        let hints = err.hints();
        format!("{err} {hints:?}")
    })?;
    let len = fs::metadata(path).unwrap().len();
    let mut bytes = 0;
    for name in weights.names() {
        let entry = weights.entry(name).unwrap();
        bytes += entry.len() * entry.dtype.size();
        assert!(bytes as u64 <= len, "{name} claims more than the file has");
        let values = weights.read_f32(name).map(|values| values.len());
        let values = values.or_else(|_| weights.read_i64(name).map(|values| values.len()));
        assert!(values.is_err() || values.is_ok_and(|values| values == entry.len()));
    }
    Ok(weights.names().len())
}

fn valid() -> Vec<u8> {
    counting(&[("blocks.0.weight", &[2, 3]), ("blocks.0.bias", &[3]), ("scale", &[])])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.safetensors", bytes));
    }

    #[test]
    fn any_text_as_header(text in r#"\{("(a|b|__metadata__)":(\{"dtype":"(F32|F16|X)","shape":\[[0-9,]{0,8}\],"data_offsets":\[[0-9,]{1,6}\]\}|[\[{"0-9a]{0,4}),?){0,3}\}?"#, data in 0usize..40) {
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.safetensors", file(&text, &vec![0; data])));
    }

    #[test]
    fn a_valid_file_with_changed_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = valid();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.safetensors", bytes));
    }

    #[test]
    fn a_valid_file_with_other_numbers(
        numbers in prop::collection::vec(prop_oneof![0u64..64, any::<u64>()], 9),
        dtype in prop::sample::select(vec!["F32", "F64", "BOOL", "BF16"]),
    ) {
        let entry = |n: &[u64]| format!(
            r#"{{"dtype":"{dtype}","shape":[{},{}],"data_offsets":[{},{}]}}"#, n[0], n[1], n[2], n[3]
        );
        let header = format!(r#"{{"a":{},"b":{}}}"#, entry(&numbers), entry(&numbers[4..]));
        let folder = tempfile::tempdir().unwrap();
        let _ = open(&put(folder.path(), "a.safetensors", file(&header, &[0; 64])));
        let _ = header::parse(header.as_bytes(), numbers[8]);
    }

    #[test]
    fn a_valid_index_with_changed_bytes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut index = br#"{"weight_map":{"scale":"b.safetensors","blocks.0.bias":"b.safetensors"}}"#.to_vec();
        for (place, byte) in changes {
            let place = place.index(index.len());
            index[place] = byte;
        }
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "b.safetensors", valid());
        let _ = open(&put(folder.path(), "model.safetensors.index.json", index));
    }
}

/// Nothing is allocated on the word of a file: each of these claims terabytes or more.
#[test]
fn claims_cost_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let claim = |shape: &str, begin: u64, end: u64| {
        let header =
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#);
        file(&header, &[0; 16])
    };
    let terabytes = 1u64 << 42;
    for bytes in [
        terabytes.to_le_bytes().to_vec(),
        [&terabytes.to_le_bytes()[..], b"{}"].concat(),
        [&99_999_999u64.to_le_bytes()[..], b"{}"].concat(),
        claim("[1099511627776]", 0, terabytes),
        claim("[1099511627776]", 0, 16),
        claim("[4]", terabytes, terabytes + 16),
        claim("[0,18446744073709551615]", 0, 0),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(open(&path).is_err());
    }
    // A file may be as large as it says and still hold nothing: only the header is read.
    let sparse = fs::File::create(&path).unwrap();
    sparse.set_len(terabytes).unwrap();
    let header = claim("[1099511627774]", 0, terabytes - 8);
    fs::write(&path, &header[..header.len() - 16]).unwrap();
    let data = terabytes;
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(header.len() as u64 - 16 + data - 8)
        .unwrap();
    let weights = WeightsFile::open(&path).unwrap();
    assert_eq!(weights.entry("a").unwrap().len(), (1 << 40) - 2);
}

/// A header of the longest text that is little as JSON: memory stays in proportion.
#[test]
fn a_deep_or_long_header_is_refused_calmly() {
    for header in ["[".repeat(200_000), format!("{{\"a\":{}", "[".repeat(200_000))] {
        assert!(header::parse(header.as_bytes(), 0).is_err());
    }
    let long = format!(
        r#"{{"a":{{"dtype":"F32","shape":[{}0],"data_offsets":[0,0]}}}}"#,
        "0,".repeat(1_000_000)
    );
    assert!(header::parse(long.as_bytes(), 0).is_err());
    let many: Vec<String> = (0..20_000)
        .map(|i| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
        .collect();
    assert_eq!(
        header::parse(format!("{{{}}}", many.join(",")).as_bytes(), 0).unwrap().entries.len(),
        20_000
    );
}
