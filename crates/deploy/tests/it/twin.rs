//! The twin of an f16 model: what it computes, and what it rejects.
//!
//! Most give the measures by hand; ONNX Runtime runs the last, where it is found.

use std::collections::HashSet;

use burn::tensor::{TensorData, f16};
use hearth_deploy::{
    half::to_half,
    onnx::{self, DataType, GraphProto, ModelProto, TensorProto},
    trt::TensorRtError,
    twin::{self, Run, Twin},
};

use super::{
    half::{block, floats, model, node},
    runtime::runtime,
};

fn twin_of(model: &ModelProto) -> Twin {
    Twin::new(model, &to_half(model, &[]).unwrap())
}

fn graph(twin: &Twin) -> &GraphProto {
    twin.model.graph.as_ref().unwrap()
}

/// A run in which every measure is that of a result of `largest`, alike in both graphs.
fn run(twin: &Twin, largest: &[f32]) -> Run {
    let many = |value: f32| (vec![largest.len()], vec![value; largest.len()]);
    let mut run = Run::new();
    run.insert("twin/largest".to_owned(), (vec![largest.len()], largest.to_vec()));
    run.insert("twin/sum".to_owned(), (vec![largest.len()], largest.to_vec()));
    for name in ["twin/product", "twin/square", "twin/original_square"] {
        run.insert(name.to_owned(), many(4.0));
    }
    for output in &graph(twin).output {
        run.entry(output.name.clone()).or_insert((vec![2, 2], vec![0.6, 0.8, 0.0, -1.0]));
    }
    run
}

#[test]
fn every_result_of_an_f16_node_passes_through_f16() {
    let twin = twin_of(&block());
    let graph = graph(&twin);
    let found = |name: &str| graph.node.iter().find(|node| node.output == [name]).unwrap();
    for value in ["q", "k", "v", "mixed", "residual", "hidden", "y__fp16"] {
        let back = found(value);
        assert_eq!((back.op_type.as_str(), back.attribute("to").unwrap().i), ("Cast", Some(1)));
        let there = found(&back.input[0]);
        assert_eq!((there.op_type.as_str(), there.attribute("to").unwrap().i), ("Cast", Some(10)));
        assert_eq!(there.input[0], format!("{value}/exact"));
        found(&there.input[0]);
    }
    // What is moved only, and what is f32, is not rounded.
    assert_eq!(found("kt").op_type, "Transpose");
    assert_eq!(found("logits").op_type, "MatMul");
    // Where it is written, weights are f32 with the values of f16.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twin.onnx");
    twin.write(&path).unwrap();
    let written = onnx::read(&path).unwrap().graph.unwrap();
    let halves = written.initializer.iter().filter(|one| one.data_type() == DataType::Float16);
    assert_eq!(halves.count(), 0);
    let held = graph.initializer.iter().filter(|one| one.data_type() == DataType::Float16);
    let mut compared = 0;
    for weight in held {
        let same = written.initializer.iter().find(|one| one.name == weight.name).unwrap();
        let expected = weight.raw_data.as_ref().unwrap().as_chunks().0.iter();
        let expected: Vec<f32> = expected.map(|&one| f16::from_le_bytes(one).to_f32()).collect();
        assert_eq!(same.to_floats().unwrap(), expected, "{}", weight.name);
        compared += 1;
    }
    assert!(compared > 0);
    let original = graph.node.iter().filter(|node| node.name.starts_with("original/")).count();
    assert_eq!(original, block().graph.unwrap().node.len());
}

#[test]
fn the_graph_is_whole() {
    let shared = model(
        vec![
            node("embed", "Gather", &["table", "ids"], "e"),
            node("norm", "LayerNormalization", &["e", "scale"], "n"),
            node("proj", "MatMul", &["n", "table"], "y"),
        ],
        vec![floats("table", &[4, 4]), floats("scale", &[4])],
        &["y", "table"],
    );
    for model in [block(), shared] {
        let twin = twin_of(&model);
        let graph = graph(&twin);
        let mut known: HashSet<&str> = graph.input.iter().map(|one| one.name.as_str()).collect();
        for tensor in &graph.initializer {
            assert!(known.insert(&tensor.name), "twice: {}", tensor.name);
        }
        for node in &graph.node {
            for input in node.input.iter().filter(|name| !name.is_empty()) {
                assert!(known.contains(input.as_str()), "{} takes {input}", node.name);
            }
            for output in &node.output {
                assert!(known.insert(output), "twice: {output}");
            }
        }
        for output in &graph.output {
            assert!(known.contains(output.name.as_str()), "{}", output.name);
        }
    }
}

#[test]
fn what_f16_cannot_hold_is_rejected_by_the_name_of_the_node() {
    let twin = twin_of(&block());
    let count = run_length(&twin);
    let judgement = twin.judge(&run(&twin, &vec![3.0; count])).unwrap();
    assert_eq!((judgement.measured, judgement.outputs[0].clone()), (count, ("y".to_owned(), 1.0)));

    let mut values = vec![3.0; count];
    values[1] = 40_000.0;
    let error = twin.judge(&run(&twin, &values)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f16 rejected: `attn.q` (MatMul) reaches 40000, at most 32768 is safe: f16 ends at 65504"
    );
    assert!(error.hints()[0].contains(r#"["attn.q:fp32"]"#), "{:?}", error.hints());
    for broken in [f32::NAN, f32::INFINITY] {
        values[1] = broken;
        let error = twin.judge(&run(&twin, &values)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "f16 rejected: `attn.q` (MatMul) gives results that are not finite"
        );
    }
}

#[test]
fn outputs_that_leave_the_original_are_rejected() {
    let twin = twin_of(&block());
    let mut values = run(&twin, &vec![3.0; run_length(&twin)]);
    // The second row turns away; the third node is the first to differ.
    values.get_mut("y").unwrap().1 = vec![0.6, 0.8, 0.1, -1.0];
    values.get_mut("twin/product").unwrap().1[2] = 3.9;
    let error = twin.judge(&values).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f16 rejected: output `y` has cosine 0.99504 to that in f32, needed 0.999; \
         `attn.k` is the first to differ, with 0.97500"
    );
    values.get_mut("y").unwrap().1 = vec![f32::NAN; 4];
    assert!(matches!(twin.judge(&values), Err(TensorRtError::Apart { .. })));
    values.remove("y");
    assert_eq!(
        twin.judge(&values).unwrap_err().to_string(),
        "the run of the f16 check gave no `y`"
    );
}

/// As many rows as the table of measures has.
fn run_length(twin: &Twin) -> usize {
    let table = graph(twin).initializer.iter().find(|one| one.name == "twin/table").unwrap();
    table.to_ints().unwrap()[0] as usize
}

/// The block under a graph whose inputs and outputs are as ONNX Runtime wants them.
fn runnable(large: bool) -> ModelProto {
    let mut model = block();
    let graph = model.graph.as_mut().unwrap();
    graph.input.truncate(1);
    if large {
        // The first column of what a norm makes, which is between -2 and 2, sixty thousandfold.
        let rows: Vec<f32> = (0..16).map(|at| if at < 4 { 60_000.0 } else { 0.0 }).collect();
        graph.initializer[0] = TensorProto::floats("wq", &[4, 4], &rows);
    }
    model
}

#[test]
fn onnx_runtime_runs_the_twin_and_a_deliberate_overflow_is_rejected() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..12).map(|at| (at as f32 * 1.7).sin()).collect();
    let sample = vec![("x".to_owned(), TensorData::new(values, [3, 4]))];
    let check = |model: &ModelProto, layers: &[&str]| {
        let layers: Vec<_> = layers.iter().map(|entry| entry.parse().unwrap()).collect();
        let half = to_half(model, &layers).unwrap();
        twin::check(model, &half, (&runtime, folder.path()), &[sample.clone(), sample.clone()])
    };
    let judgement = check(&runnable(false), &[]).unwrap();
    assert_eq!(judgement.measured, run_length(&twin_of(&runnable(false))));
    let (_, cosine) = &judgement.outputs[0];
    assert!(*cosine > 0.99999 && *cosine < 1.0, "f16 is not quite f32: {cosine}");
    let (_, largest) = judgement.largest.unwrap();
    assert!(largest > 0.1 && largest < 10.0, "{largest}");

    let error = check(&runnable(true), &[]).unwrap_err();
    assert!(error.to_string().starts_with("f16 rejected: `attn.q` (MatMul) reaches "), "{error}");
    check(&runnable(true), &["attn.q:fp32"]).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the twin is gone");
}
