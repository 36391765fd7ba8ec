//! ONNX files, with values inside and in a file beside them, up to the graph that TensorRT would get.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::Result;
use hearth_deploy::{
    half,
    onnx::{
        self, AttributeProto, DataType, DimensionValue, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, StringStringEntryProto, TensorProto, ValueInfoProto,
    },
    trt::{Batches, Profile},
    twin::Twin,
};

use super::{scratch, targets};

pub(super) const WORDS: &[&str] = &[
    "MatMul",
    "Reshape",
    "Transpose",
    "Softmax",
    "LayerNormalization",
    "Constant",
    "ai.onnx",
    "perm",
    "axis",
    "location",
    "offset",
    "length",
    "model_weights.bin",
    "../model_weights.bin",
    "18446744073709551615",
    "-1",
    // Fields with their length: a node, an attribute, a graph in it, a tensor, an input, a side.
    "\x0a\x00",
    "\x2a\x00",
    "\x32\x00",
    "\x3a\x00",
    "\x5a\x00",
    "\x0a\x02\x08\x7f",
];

pub(super) fn seeds() -> Result<Vec<Vec<u8>>> {
    let mut seeds = targets::files(&crate::root().join("tests/golden/engine"), &[".onnx"])?;
    let folder = scratch::folder("graphs-seeds");
    let path = folder.join("model.onnx");
    onnx::write(&model(), &path)?;
    seeds.push(fs::read(&path)?);
    onnx::write_embedding(&model(), &path, 0)?;
    seeds.push(fs::read(&path)?);
    fs::remove_dir_all(folder)?;
    Ok(seeds)
}

/// Attention of a kind: everything that shapes are followed through.
fn model() -> ModelProto {
    let open = |sides: &[i64]| {
        let mut open = vec![DimensionValue::Named("batch_size".to_owned())];
        open.extend(sides.iter().map(|&side| DimensionValue::Fixed(side)));
        open
    };
    let node = |op: &str, inputs: &[&str], output: &str| {
        let node = NodeProto::new(op, inputs.iter().copied(), [output]);
        NodeProto { name: format!("block.{output}"), ..node }
    };
    let graph = GraphProto {
        name: "seed".to_owned(),
        node: vec![
            node("MatMul", &["x", "w"], "keys"),
            node("Reshape", &["keys", "shape"], "heads"),
            node("Transpose", &["heads"], "turned")
                .with(AttributeProto::ints("perm", [0, 2, 1, 3])),
            node("Softmax", &["turned"], "weights").with(AttributeProto::int("axis", -1)),
            node("Constant", &[], "two")
                .with(AttributeProto::tensor("value", TensorProto::floats("", &[1], &[2.0]))),
            node("Mul", &["weights", "two"], "y"),
        ],
        initializer: vec![
            TensorProto::floats("w", &[16, 24], &[0.5; 384]),
            TensorProto::ints("shape", &[4], &[0, -1, 3, 2]),
        ],
        input: vec![ValueInfoProto::tensor("x", DataType::Float, open(&[4, 16]))],
        output: vec![ValueInfoProto::tensor("y", DataType::Float, open(&[3, 16, 2]))],
        value_info: Vec::new(),
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        metadata_props: vec![StringStringEntryProto::new("hearth.recipe", "{}")],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// What is read can be checked, listed, written again and made ready for an engine.
pub(super) fn read(input: &[u8]) {
    let path = path();
    fs::write(path, input).expect("a scratch folder can be written");
    let structure = onnx::read_structure(path);
    let model = match onnx::read(path) {
        Err(problem) => {
            assert!(!problem.to_string().is_empty());
            return;
        }
        Ok(model) => model,
    };
    assert!(structure.is_ok(), "a whole model has a structure");
    let _ = onnx::listing(&model);
    let _ = Profile::new(&model, Batches { min: 1, opt: 2, max: 4 });
    if onnx::check(&model, path).is_err() {
        return;
    }
    if let Ok(half) = half::to_half(&model, &[]) {
        let twin = Twin::new(&model, &half);
        assert!(twin.model.graph.is_some());
    }
    let again = path.with_file_name("again.onnx");
    onnx::write(&model, &again).expect("a scratch folder can be written");
    let read = onnx::read(&again).expect("what was written is a model");
    // Numbers that are none are not equal to themselves.
    assert!(format!("{read:?}") == format!("{model:?}"), "a model is the same behind a file");
}

/// Where the inputs are written, beside a file with values.
fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let folder = scratch::folder("graphs");
        fs::write(folder.join("model_weights.bin"), [0x3f; 2048])
            .expect("a scratch folder can be written");
        folder.join("model.onnx")
    })
}
