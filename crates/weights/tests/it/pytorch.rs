//! Files of `torch.save` and `torch.jit.save`. Made by tests/golden/pytorch.py.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use hearth_weights::{KeyMap, LoadOptions, Rule, WeightsFile, load, save, save_pth};
use serde_json::{Value, json};

use super::{bytes::put, model::Tiny};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/pytorch").join(name)
}

#[test]
fn every_file_of_python_gives_its_values() {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    // Python writes numbers that JSON does not know.
    let expected: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), 7);
    for (name, expected) in expected {
        let file = WeightsFile::open(fixture(&name)).unwrap_or_else(|err| panic!("{err}"));
        let tensors = expected["tensors"].as_object().unwrap();
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(file.names().collect::<Vec<_>>(), names, "{name}");
        for (tensor, expected) in tensors {
            let entry = file.entry(tensor).unwrap();
            assert_eq!(entry.dtype.name(), expected["dtype"], "{name}: {tensor}");
            assert_eq!(json!(entry.shape), expected["shape"], "{name}: {tensor}");
            match file.read_f32(tensor) {
                Ok(found) => {
                    let values: Vec<f64> =
                        serde_json::from_value(expected["values"].clone()).unwrap();
                    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
                    assert_eq!(found, values, "{name}: {tensor}");
                }
                Err(_) => {
                    let found = file.read_i64(tensor).unwrap();
                    assert_eq!(json!(found), expected["values"], "{name}: {tensor}");
                }
            }
        }
        assert_eq!(json!(file.extra()), expected["extra"], "{name}");
    }
}

#[test]
fn an_archive_of_torchscript_has_the_names_of_its_state_dict() {
    same_tensors(&fixture("openai.pt"), &fixture("openai.safetensors"));
    let file = WeightsFile::open(fixture("openai.pt")).unwrap();
    assert_eq!(file.read_i64("context_length").unwrap(), [6]);
}

/// Names, types, shapes and values, to the last bit.
fn same_tensors(left: &Path, right: &Path) {
    let [left, right] = [left, right].map(|path| WeightsFile::open(path).unwrap());
    assert_eq!(left.names().collect::<Vec<_>>(), right.names().collect::<Vec<_>>());
    for name in left.names() {
        let [l, r] = [&left, &right].map(|file| file.entry(name).unwrap());
        assert_eq!((l.dtype, &l.shape), (r.dtype, &r.shape), "{name}");
        let values = |file: &WeightsFile| match file.read_f32(name) {
            Ok(values) => values.iter().map(|value| i64::from(value.to_bits())).collect(),
            Err(_) => file.read_i64(name).unwrap(),
        };
        assert_eq!(values(&left), values(&right), "{name}");
    }
}

/// The published layout of C-RADIO.
#[test]
fn c_radio_files_are_read_with_their_arguments() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/radio");
    for variant in ["bl", "hg"] {
        let folder = golden.join(variant);
        let file = WeightsFile::open(folder.join("radio.pth.tar")).unwrap();
        let args = std::fs::read(folder.join("args.json")).unwrap();
        let args: Value = serde_json::from_slice(&args).unwrap();
        assert_eq!(file.extra().unwrap()["args"], args, "{variant}");
        same_tensors(&folder.join("radio.pth.tar"), &folder.join("weights.safetensors"));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let model = Tiny::new(&Device::flex());
    // Transposed, and in parts of one tensor, the last part first.
    let mut map = KeyMap::same_names("torch");
    map.rules = vec![
        Rule::merged(&[("blocks.1.fc.weight", 1), ("blocks.0.fc.weight", 1)], "joined"),
        Rule::transposed("head.weight", "head"),
        Rule::same("logit_scale", "logit_scale").rank(0),
        Rule::same("blocks.{}.norm.{}", "norms.{}.{}"),
        Rule::same("blocks.{}.fc.bias", "biases.{}"),
        Rule::same("embed.{..}", "embed.{..}"),
        Rule::same("patch.{..}", "patch.{..}"),
        Rule::same("pos", "pos"),
    ];
    let metadata = [("note", "größe \"1\"\n"), ("format", "pt")];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let metadata = BTreeMap::from(metadata);
    let [pth, twin, again] =
        ["a.pth", "a.safetensors", "b.pth"].map(|name| folder.path().join(name));
    save_pth(&model, &pth, &map, &metadata).unwrap();
    save(&model, &twin, &map, &metadata).unwrap();
    save_pth(&model, &again, &map, &metadata).unwrap();
    same_tensors(&pth, &twin);
    assert!(std::fs::read(&pth).unwrap() == std::fs::read(&again).unwrap());

    let file = WeightsFile::open(&pth).unwrap();
    assert_eq!(file.metadata(), &metadata);
    assert_eq!(file.extra(), None);
    let (_, report) =
        load(Tiny::new(&Device::flex()), &file, &map, &LoadOptions::default()).unwrap();
    assert_eq!(report.matched.len() + report.renamed.len(), Tiny::STATE_DICT.len());
}

#[test]
fn content_tells_a_format_whatever_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, of: &str| {
        let path = put(folder.path(), name, std::fs::read(fixture(of)).unwrap());
        WeightsFile::open(path).unwrap_or_else(|err| panic!("{name}: {err}"));
    };
    check("a.safetensors", "checkpoint.pth");
    check("a.pth", "openai.safetensors");
    check("a", "legacy.pth.tar");
    check("a.onnx", "lightning.ckpt");
}

#[test]
fn folders_hold_files_of_pytorch() {
    for name in ["pytorch_model.bin", "open_clip_pytorch_model.bin", "model_epoch_003.pth"] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), name, std::fs::read(fixture("untyped.pt")).unwrap());
        put(folder.path(), "training_args.bin", "x");
        let file = WeightsFile::open(folder.path()).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["u16"], "{name}");
    }
}
