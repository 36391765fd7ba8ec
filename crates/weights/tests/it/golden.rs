//! Files written by Python, and the bytes that Python reads. Made by tests/golden/weights.py.

use std::{collections::BTreeMap, path::PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use hearth_weights::{KeyMap, LoadOptions, WeightsFile, load, save};

use super::model::Tiny;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/weights").join(name)
}

fn tiny() -> Tiny {
    let file = WeightsFile::open(fixture("tiny.safetensors")).unwrap();
    let model = Tiny::new(&Device::flex());
    let options = LoadOptions::default();
    let (model, report) = load(model, &file, &KeyMap::same_names("torch"), &options).unwrap();
    assert_eq!(report.matched.len(), Tiny::STATE_DICT.len());
    model
}

#[test]
fn every_type_that_python_writes_is_read() {
    let file = WeightsFile::open(fixture("mixed.safetensors")).unwrap();
    assert_eq!(file.metadata()["note"], "größe");
    let text = std::fs::read_to_string(fixture("mixed.json")).unwrap();
    let expected: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len() + 1, file.names().len(), "all but `f8`");
    for (name, tensor) in expected {
        let entry = file.entry(&name).unwrap();
        let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
        assert_eq!(entry.shape, shape, "{name}");
        match file.read_f32(&name) {
            Ok(found) => {
                let values: Vec<f32> = serde_json::from_value(tensor["values"].clone()).unwrap();
                assert_eq!(bits(&found), bits(&values), "{name}: {found:?} {values:?}");
            }
            Err(_) => {
                let values: Vec<i64> = serde_json::from_value(tensor["values"].clone()).unwrap();
                assert_eq!(file.read_i64(&name).unwrap(), values, "{name}");
            }
        }
    }
}

/// So that -0 differs from 0.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_model_of_python_gives_the_same_numbers() {
    let (model, device) = (tiny(), Device::flex());
    let io = WeightsFile::open(fixture("tiny_io.safetensors")).unwrap();
    let read = |name: &str| {
        TensorData::new(io.read_f32(name).unwrap(), io.entry(name).unwrap().shape.clone())
    };

    let y = model.forward(Tensor::from_data(read("x"), &device));
    y.into_data().assert_approx_eq::<f32>(&read("y"), burn::tensor::Tolerance::absolute(1e-6));
    let patches = model.patch.forward(Tensor::from_data(read("image"), &device));
    patches
        .into_data()
        .assert_approx_eq::<f32>(&read("patches"), burn::tensor::Tolerance::absolute(1e-6));
    let ids: Vec<i32> = io.read_i64("ids").unwrap().into_iter().map(|id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, 3]), &device);
    assert_eq!(
        model.embedded(ids).into_data().try_to_vec::<f32>().unwrap(),
        io.read_f32("embedded").unwrap()
    );
}

#[test]
fn rust_writes_the_bytes_that_python_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.safetensors");
    let metadata = [("note", "größe \"1\"\n"), ("step", "3")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    save(&tiny(), &path, &KeyMap::same_names("ours"), &BTreeMap::from(metadata)).unwrap();
    let written = std::fs::read(path).unwrap();
    assert!(written == std::fs::read(fixture("tiny_written.safetensors")).unwrap());
}
