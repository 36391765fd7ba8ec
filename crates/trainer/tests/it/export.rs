//! `clip export`, and evaluation and inference with what it wrote.
//!
//! What runs a graph needs ONNX Runtime (`ORT_DYLIB_PATH`); without it those tests say so and pass, unless
//! `HEARTH_REQUIRE` names `ort`.

use std::{fs, path::Path, process::Output};

use serde_json::Value;

use super::{embedding::read, session::run, shapes::workspace};

pub(crate) const CHECKPOINT: &str = "export.checkpoint=out/train/clip_latest.safetensors";

/// A small trained model.
pub(crate) fn trained() -> tempfile::TempDir {
    let folder = workspace();
    done(run(folder.path(), &["-e", "spec.yaml", "train.num_epochs=1"]));
    folder
}

#[track_caller]
pub(crate) fn done(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn export(folder: &Path, more: &[&str]) -> Output {
    run(folder, &[&["clip", "export", "-e", "spec.yaml", CHECKPOINT], more].concat())
}

/// Why there is no ONNX Runtime to run graphs with, if there is none.
pub(crate) fn no_runtime() -> Option<&'static str> {
    if std::env::var_os("ORT_DYLIB_PATH").is_some() {
        return None;
    }
    let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("ort"));
    assert!(!required, "HEARTH_REQUIRE asks for ort: ORT_DYLIB_PATH is not set");
    Some("ORT_DYLIB_PATH is not set")
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

pub(crate) fn metrics(folder: &Path) -> Vec<(String, f64)> {
    let text = fs::read_to_string(folder.join("evaluate/results.json")).unwrap();
    let found: Value = serde_json::from_str(&text).unwrap();
    let found = found.as_object().unwrap().iter();
    found.map(|(name, value)| (name.clone(), value.as_f64().unwrap())).collect()
}

#[test]
fn a_graph_is_verified_evaluated_and_embeds_as_the_model() {
    if let Some(reason) = no_runtime() {
        println!("skipped: {reason}");
        return;
    }
    let folder = trained();
    let folder = folder.path();
    let shown = done(export(folder, &[]));
    assert!(shown.contains("verified: ONNX Runtime computes what the model does"), "{shown}");
    assert_eq!(
        names(&folder.join("out/export")),
        [
            "clip_model.onnx",
            "clip_model_config.yaml",
            "clip_model_parity.json",
            "clip_model_tokenizer",
            "experiment.yaml",
            "status.json",
        ]
    );
    done(export(folder, &["export.encoder_type=separate", "export.onnx_file=pair/m.onnx"]));
    assert_eq!(
        names(&folder.join("pair")),
        [
            "m_config.yaml",
            "m_text.onnx",
            "m_text_parity.json",
            "m_tokenizer",
            "m_vision.onnx",
            "m_vision_parity.json",
        ]
    );

    let act = |action: &str, results: &str, model: &str| {
        let (results, model) =
            (format!("results_dir={results}"), format!("{action}.checkpoint={model}"));
        // The tokenizer is that of the model, or the one beside its graphs.
        let tokenizer = "hearth.model.tokenizer=null";
        done(run(folder, &["clip", action, "-e", "spec.yaml", &results, &model, tokenizer]));
    };
    let models = [
        ("native", "out/train/clip_latest.safetensors"),
        ("combined", "out/export/clip_model.onnx"),
        ("vision", "pair/m_vision.onnx"),
        ("pair", "pair/m.onnx"),
    ];
    for (results, model) in models {
        act("evaluate", results, model);
        act("inference", results, model);
    }
    for (results, _) in &models[1..] {
        let pairs = metrics(&folder.join("native")).into_iter().zip(metrics(&folder.join(results)));
        for ((name, expected), (_, found)) in pairs {
            assert!((expected - found).abs() < 1e-4, "{results} {name}: {expected}, {found}");
        }
        for (file, column) in
            [("image_embeddings.h5", "image_paths"), ("text_embeddings.h5", "texts")]
        {
            let rows = |results: &str| read(&folder.join(results).join("inference"), file, column);
            let (expected, found) = (rows("native"), rows(results));
            assert_eq!((&expected.0, &expected.2), (&found.0, &found.2));
            let apart = expected.1.iter().zip(&found.1).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-4, "{results} {file}");
        }
    }
}

#[test]
fn what_cannot_be_exported_is_said() {
    let folder = trained();
    let folder = folder.path();
    let refused = |more: &[&str], code: i32, expected: &str| {
        let output = export(folder, more);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused(&["export.batch_size=0"], 2, "needed a number of samples, or -1 for any");
    refused(&["export.onnx_file=m.etlt"], 2, "needed a name that ends in `.onnx`");
    refused(&["export.opset_version=23"], 2, "export.opset_version");
    refused(&["export.input_height=96"], 2, "needed 64, the side of the model's pictures");
    fs::write(folder.join("there.onnx"), "").unwrap();
    refused(&["export.onnx_file=there.onnx"], 1, "there.onnx: this file exists already");
    let flexible = ["model.type=hearth-tiny-naflex", "results_dir=flexible"];
    let train = [&["-e", "spec.yaml", "train.num_epochs=1"], &flexible[..]].concat();
    done(run(folder, &train));
    let checkpoint = "export.checkpoint=flexible/train/clip_latest.safetensors";
    let expected = "cannot be exported: it takes pictures of any aspect ratio";
    refused(&[&flexible[..], &[checkpoint]].concat(), 2, expected);
}

#[test]
fn graphs_that_cannot_be_used_are_told_apart() {
    let folder = trained();
    let folder = folder.path();
    done(export(folder, &["export.onnx_file=m.onnx"]));
    let refused = |model: &str, expected: &str| {
        let model = format!("evaluate.checkpoint={model}");
        let tokenizer = "hearth.model.tokenizer=null";
        let output = run(folder, &["clip", "evaluate", "-e", "spec.yaml", &model, tokenizer]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    };
    refused("none.onnx", "none.onnx: not found");
    let whole = fs::read(folder.join("m.onnx")).unwrap();
    fs::write(folder.join("half.onnx"), &whole[..whole.len() / 2]).unwrap();
    refused("half.onnx", "half.onnx: not a whole ONNX file");
    fs::copy(folder.join("m.onnx"), folder.join("other.onnx")).unwrap();
    refused("other.onnx", "its tokenizer is not at other_tokenizer");
}

#[test]
fn without_onnx_runtime_the_file_is_written_and_the_way_to_it_is_told() {
    let folder = trained();
    let folder = folder.path();
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
    let arguments = ["clip", "export", "-e", "spec.yaml", CHECKPOINT, "export.onnx_file=m.onnx"];
    let output = command
        .current_dir(folder)
        .args(arguments)
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("ONNX Runtime is not found: /nowhere/libonnxruntime.so"), "{stderr}");
    let shown = done(output);
    assert!(shown.contains("pip download onnxruntime") && shown.contains("export ORT_DYLIB_PATH"));
    assert!(folder.join("m.onnx").exists() && !folder.join("m_parity.json").exists());

    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_trainer"));
    let output = command
        .current_dir(folder)
        .args(["clip", "evaluate", "-e", "spec.yaml", "evaluate.checkpoint=m.onnx"])
        .env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(8));
}
