//! Saving: the same bytes for the same weights, any layout, and nothing left behind by a failure.

use std::{collections::BTreeMap, fs, path::Path};

use burn::tensor::Device;
use hearth_weights::{
    KeyMap, LoadOptions, TensorWriter, WeightsError, WeightsFile, load, save, save_tensors,
};

use super::{
    bytes::message,
    model::{Pool, Tiny, numbered, values},
};

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        names.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_layout_loads_what_it_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let device = Device::flex();
    let (none, options) = (BTreeMap::new(), LoadOptions::default());

    let model = numbered(Tiny::new(&device));
    for map in [Tiny::foreign_layout(), KeyMap::same_names("ours")] {
        save(&model, &path, &map, &none).unwrap();
        let file = WeightsFile::open(&path).unwrap();
        let (loaded, _) = load(Tiny::new(&device), &file, &map, &options).unwrap();
        assert_eq!(values(&loaded), values(&model), "{}", map.name);
        assert_eq!(file.metadata()["format"], "pt");
    }
    let model = numbered(Pool::new(3, &device));
    save(&model, &path, &Pool::in_proj(), &none).unwrap();
    let file = WeightsFile::open(&path).unwrap();
    assert_eq!(file.names().len(), 2);
    let (loaded, _) = load(Pool::new(3, &device), &file, &Pool::in_proj(), &options).unwrap();
    assert_eq!(values(&loaded), values(&model));
}

#[test]
fn the_bytes_follow_from_the_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let metadata = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".into(), "1".into())]);
    let tensors = vec![
        ("z".to_owned(), vec![1, 2], vec![1.0, -2.0]),
        ("a".to_owned(), vec![], vec![0.5]),
        ("none".to_owned(), vec![0, 3], vec![]),
    ];
    save_tensors(&path, &metadata, tensors.clone()).unwrap();
    let mut expected = 232u64.to_le_bytes().to_vec();
    expected.extend(
        br#"{"__metadata__":{"a":"1","b":"2"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},"z":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]}}"#,
    );
    expected[0] = ((expected.len() - 8).next_multiple_of(8)) as u8;
    expected.resize(expected.len().next_multiple_of(8), b' ');
    for value in [0.5f32, 1.0, -2.0] {
        expected.extend(value.to_le_bytes());
    }
    assert_eq!(fs::read(&path).unwrap(), expected);

    // The order in which they come does not matter.
    save_tensors(&path, &metadata, tensors.into_iter().rev().collect()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), expected);
    assert_eq!(files(folder.path()), ["a.safetensors"]);
}

#[test]
fn a_failure_leaves_the_former_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    fs::write(&path, "former").unwrap();
    let layout = || [("a".to_owned(), vec![2]), ("b".to_owned(), vec![3])];
    let create = || TensorWriter::create(&path, &BTreeMap::new(), layout()).unwrap();

    let check = |result: Result<(), WeightsError>, expected: &str| {
        assert_eq!(message(&result.unwrap_err(), folder.path()), expected);
        assert_eq!(files(folder.path()), ["a.safetensors"]);
        assert_eq!(fs::read(&path).unwrap(), b"former");
    };
    let mut writer = create();
    let problem = writer.write("a", &[1.0, 2.0]).and_then(|()| writer.finish());
    check(problem, "a.safetensors: tensor `b`: got 0 of 3 values");

    let mut writer = create();
    let problem = writer.write_part("a", 1, &[1.0, 2.0]);
    drop(writer);
    check(problem, "a.safetensors: tensor `a`: has 2 values in shape [2], got 2 from number 1");

    let mut writer = create();
    let problem = writer.write("c", &[]);
    drop(writer);
    check(problem, "a.safetensors: tensor `c`: was not announced");

    let twice = [("a".to_owned(), vec![2]), ("a".to_owned(), vec![3])];
    let problem = TensorWriter::create(&path, &BTreeMap::new(), twice).map(drop);
    check(problem, "a.safetensors: tensor `a`: this name is taken");

    // A panic in the middle is no different.
    let unwound = std::panic::catch_unwind(|| {
        let _writer = create();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(unwound.is_err());
    assert_eq!(files(folder.path()), ["a.safetensors"]);
}

#[test]
fn a_disk_that_refuses_is_told_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("a.safetensors");
    let err = save_tensors(&path, &BTreeMap::new(), vec![]).unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "missing/a.safetensors: cannot be written\n  caused by: No such file or directory (os \
         error 2)"
    );
    // A folder in the place of the file: found out only by the rename.
    fs::create_dir(folder.path().join("a.safetensors")).unwrap();
    let path = folder.path().join("a.safetensors");
    let err = save_tensors(&path, &BTreeMap::new(), vec![]).unwrap_err();
    assert!(message(&err, folder.path()).contains("cannot be written"), "{err}");
    assert_eq!(files(folder.path()), ["a.safetensors"]);
}

/// `/dev/full` accepts to be opened and refuses every byte, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::os::unix::fs::symlink("/dev/full", folder.path().join(".a.safetensors.tmp")).unwrap();
    let tensors = vec![("a".to_owned(), vec![1000], vec![1.0; 1000])];
    let err = save_tensors(&path, &BTreeMap::new(), tensors).unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "a.safetensors: cannot be written\n  caused by: No space left on device (os error 28)"
    );
    assert!(files(folder.path()).is_empty());
}
