//! Exports that are refused, each in its own words and with nothing half-written: files that were changed
//! or moved, places that cannot be written, models that another runtime computes otherwise.
//!
//! What runs a graph needs ONNX Runtime (`ORT_DYLIB_PATH`); without it those tests say so and pass, unless
//! `HEARTH_REQUIRE` names `ort`.

use std::{fs, path::Path, process::Output};

use hearth_deploy::onnx::{self, DimensionValue, ModelProto, TypeValue};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    export::{CHECKPOINT, done, export, names, no_runtime, trained},
    session::run,
    shapes::root,
};

/// A folder with a trained model and its graph `m.onnx`.
fn exported() -> TempDir {
    let folder = trained();
    done(export(folder.path(), &["export.onnx_file=m.onnx"]));
    folder
}

#[track_caller]
fn refused(output: &Output, code: i32, expected: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(expected), "{stderr}");
}

/// Evaluation and inference both refuse `model`, and write nothing but their status.
#[track_caller]
fn not_run(folder: &Path, model: &str, code: i32, expected: &str) {
    for action in ["evaluate", "inference"] {
        let model = format!("{action}.checkpoint={model}");
        let common = ["results_dir=refused", "hearth.model.tokenizer=null"];
        let output =
            run(folder, &[&["clip", action, "-e", "spec.yaml", &model], &common[..]].concat());
        refused(&output, code, expected);
        assert_eq!(names(&folder.join("refused").join(action)), ["status.json"]);
    }
}

/// `m.onnx`, changed, under another name, with a tokenizer beside it.
fn changed(folder: &Path, name: &str, change: impl FnOnce(&mut ModelProto)) {
    let mut model = onnx::read(&folder.join("m.onnx")).unwrap();
    change(&mut model);
    onnx::write(&model, &folder.join(format!("{name}.onnx"))).unwrap();
    copy_tokenizer(folder, name);
}

fn copy_tokenizer(folder: &Path, name: &str) {
    let beside = folder.join(format!("{name}_tokenizer"));
    fs::create_dir(&beside).unwrap();
    fs::copy(folder.join("m_tokenizer/tokenizer.json"), beside.join("tokenizer.json")).unwrap();
}

#[test]
fn values_outside_the_file_are_missed() {
    let folder = exported();
    let folder = folder.path();
    let model = onnx::read(&folder.join("m.onnx")).unwrap();
    let path = folder.join("large.onnx");
    onnx::write_embedding(&model, &path, 0).unwrap();
    copy_tokenizer(folder, "large");
    let values = onnx::external_file(&path);
    assert!(values.is_file());
    if no_runtime().is_none() {
        let arguments = ["clip", "evaluate", "-e", "spec.yaml", "evaluate.checkpoint=large.onnx"];
        done(run(folder, &arguments));
    }
    let whole = fs::read(&values).unwrap();
    fs::write(&values, &whole[..whole.len() / 2]).unwrap();
    not_run(folder, "large.onnx", 4, "has its values in `large_weights.bin`, which has");
    fs::rename(&values, folder.join("moved.bin")).unwrap();
    not_run(folder, "large.onnx", 4, "has its values in `large_weights.bin`, which is not there");
    let output =
        run(folder, &["clip", "evaluate", "-e", "spec.yaml", "evaluate.checkpoint=large.onnx"]);
    refused(&output, 4, "hint: a large ONNX model is two files that stay together");
}

#[test]
fn texts_of_another_length_and_pictures_of_another_size_are_told() {
    let folder = exported();
    let folder = folder.path();
    let set = |model: &mut ModelProto, input: &str, side: usize, size: i64| {
        let graph = model.graph.as_mut().unwrap();
        let input = graph.input.iter_mut().find(|one| one.name == input).unwrap();
        let Some(TypeValue::Tensor(tensor)) = &mut input.r#type.as_mut().unwrap().value else {
            panic!("an input that is no tensor");
        };
        let side = &mut tensor.shape.as_mut().unwrap().dim[side];
        side.value = Some(DimensionValue::Fixed(size));
    };
    changed(folder, "long", |model| set(model, "input_ids", 1, 77));
    let expected = "input `input_ids` takes [77] of a sample, its recipe makes [16]";
    not_run(folder, "long.onnx", 4, expected);
    changed(folder, "wide", |model| set(model, "image", 3, 96));
    let expected = "input `image` takes [3, 64, 96] of a sample, its recipe makes [3, 64, 64]";
    not_run(folder, "wide.onnx", 4, expected);
}

#[test]
fn files_of_others_and_moved_ones_are_told_apart() {
    let folder = exported();
    let folder = folder.path();
    let foreign = root().join("tests/golden/engine/block.onnx");
    fs::copy(foreign, folder.join("foreign.onnx")).unwrap();
    not_run(
        folder,
        "foreign.onnx",
        4,
        "foreign.onnx: this model cannot be used: `hearth.recipe` is not in",
    );

    changed(folder, "other", |model| {
        let digest = |entry: &&mut onnx::StringStringEntryProto| entry.key.ends_with("sha256");
        model.metadata_props.iter_mut().find(digest).unwrap().value = "0".repeat(64);
    });
    not_run(folder, "other.onnx", 4, "other_tokenizer is another model's tokenizer");
    fs::rename(folder.join("m_tokenizer"), folder.join("tokenizer")).unwrap();
    not_run(folder, "m.onnx", 4, "its tokenizer is not at m_tokenizer");
    // The spec may say where it is; the configuration is for other programs.
    fs::remove_file(folder.join("m_config.yaml")).unwrap();
    if no_runtime().is_none() {
        let named = ["evaluate.checkpoint=m.onnx", "hearth.model.tokenizer=tokenizer"];
        done(run(folder, &[&["clip", "evaluate", "-e", "spec.yaml"], &named[..]].concat()));
    }
    let whole = fs::read(folder.join("m.onnx")).unwrap();
    for (name, content) in [("cut", &whole[..whole.len() - 1]), ("empty", b""), ("text", b"model:")]
    {
        fs::write(folder.join(format!("{name}.onnx")), content).unwrap();
        not_run(folder, &format!("{name}.onnx"), 4, &format!("{name}.onnx: "));
    }
}

#[test]
fn a_batch_that_is_larger_than_the_graph_takes_is_cut() {
    if let Some(reason) = no_runtime() {
        println!("skipped: {reason}");
        return;
    }
    let folder = exported();
    let folder = folder.path();
    done(export(folder, &["export.onnx_file=three.onnx", "export.batch_size=3"]));
    let evaluate = |model: &str| {
        let checkpoint = format!("evaluate.checkpoint={model}");
        let output = run(folder, &["clip", "evaluate", "-e", "spec.yaml", &checkpoint]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        done(output);
        (fs::read_to_string(folder.join("out/evaluate/results.json")).unwrap(), said)
    };
    let (expected, _) = evaluate("m.onnx");
    let (found, said) = evaluate("three.onnx");
    assert_eq!(found, expected);
    assert!(said.contains("three.onnx: takes 3 samples at a time, batches of 4 are cut"), "{said}");
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let folder = trained();
    let folder = folder.path();
    let before = names(folder);
    // Below a file, and where nobody may make files, root included.
    let output = export(folder, &["export.onnx_file=spec.yaml/m.onnx"]);
    refused(&output, 1, "spec.yaml: cannot be written");
    if Path::new("/proc/self").exists() {
        let output = export(folder, &["export.onnx_file=/proc/m.onnx"]);
        refused(&output, 1, "/proc/m.onnx: cannot be written\n  caused by: ");
    }
    fs::create_dir(folder.join("folder.onnx")).unwrap();
    refused(&export(folder, &["export.onnx_file=folder.onnx"]), 1, "folder.onnx: this file exists");
    fs::remove_dir(folder.join("folder.onnx")).unwrap();
    assert_eq!(names(folder), before);
    assert_eq!(names(&folder.join("out/export")), ["status.json"]);
}

#[test]
fn an_old_operator_set_is_written_as_the_first_with_norms() {
    let folder = trained();
    let folder = folder.path();
    let output = export(folder, &["export.onnx_file=old.onnx", "export.opset_version=11"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    done(output);
    assert!(said.contains("export.opset_version"), "{said}");
    assert!(said.contains("11 is written as 17, the first with norms"), "{said}");
    assert_eq!(onnx::read_structure(&folder.join("old.onnx")).unwrap().opset(), 17);
}

/// Sets every value of a tensor of a checkpoint.
pub(crate) fn fill(checkpoint: &Path, tensor: &str, value: f32) {
    let mut file = fs::read(checkpoint).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    assert_eq!(header[tensor]["dtype"], "F32", "{tensor}");
    let place = header[tensor]["data_offsets"].as_array().unwrap();
    let [start, end] = [0, 1].map(|at| 8 + length + place[at].as_u64().unwrap() as usize);
    file[start..end].as_chunks_mut::<4>().0.iter_mut().for_each(|one| *one = value.to_le_bytes());
    fs::write(checkpoint, file).unwrap();
}

/// Sums of large numbers are not the same in two programs; here they decide everything.
#[test]
fn a_graph_that_computes_otherwise_does_not_keep_its_name() {
    if let Some(reason) = no_runtime() {
        println!("skipped: {reason}");
        return;
    }
    let folder = trained();
    let folder = folder.path();
    let checkpoint = fs::canonicalize(folder.join("out/train/clip_latest.safetensors")).unwrap();
    fill(&checkpoint, "visual.positional_embedding", 3e6);
    let output = export(folder, &["export.onnx_file=graphs/m.onnx"]);
    refused(&output, 7, "graphs/m.onnx.rejected: output `image_embedding` is off by ");
    refused(&output, 7, "allowed are 1e-4; the first module that differs is `visual.");
    assert_eq!(names(&folder.join("graphs")), ["m.onnx.rejected", "m_parity.json"]);
    let report = fs::read_to_string(folder.join("graphs/m_parity.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["accepted"], false);
    assert!(report["first_module_that_differs"].as_str().unwrap().starts_with("visual."));
    let status = fs::read_to_string(folder.join("out/export/status.json")).unwrap();
    assert!(status.lines().last().unwrap().contains("FAILURE"), "{status}");
    not_run(folder, "graphs/m.onnx", 4, "graphs/m.onnx: not found");

    let more = ["export.onnx_file=pair/m.onnx", "export.encoder_type=separate"];
    refused(&export(folder, &more), 7, "m_vision.onnx.rejected: output `image_embedding`");
    assert_eq!(names(&folder.join("pair")), ["m_vision.onnx.rejected", "m_vision_parity.json"]);
}

#[test]
fn adapters_are_exported_merged() {
    if let Some(reason) = no_runtime() {
        println!("skipped: {reason}");
        return;
    }
    let folder = trained();
    let folder = folder.path();
    let lora = [
        "-e",
        "spec.yaml",
        "results_dir=lora",
        "train.pretrained_model_path=out/train/clip_latest.safetensors",
        "train.num_epochs=1",
        "train.optim.vision_lr=0.01",
        "train.optim.text_lr=0.01",
        "peft.enabled=true",
        "peft.vision.mode=lora",
        "peft.vision.num_last_blocks=0",
        "peft.text.mode=lora",
        "peft.text.num_last_blocks=0",
    ];
    done(run(folder, &lora));
    let checkpoint = "export.checkpoint=lora/train/clip_latest.safetensors";
    let export = |onnx: &str, checkpoint: &str| {
        let file = format!("export.onnx_file={onnx}");
        done(run(folder, &["clip", "export", "-e", "spec.yaml", checkpoint, &file]))
    };
    assert!(export("lora.onnx", checkpoint).contains("verified: ONNX Runtime computes what"));
    export("plain.onnx", CHECKPOINT);
    let values = |name: &str| {
        let graph = onnx::read(&folder.join(name)).unwrap().graph.unwrap();
        let values = graph.initializer.into_iter().map(|one| (one.name, one.raw_data));
        values.collect::<Vec<_>>()
    };
    let (adapted, plain) = (values("lora.onnx"), values("plain.onnx"));
    let named = |all: &[(String, _)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(named(&adapted), named(&plain), "the graph is that of a model without adapters");
    let differs = |name: &str| {
        let of = |all: &[(String, _)]| all.iter().find(|(found, _)| found == name).cloned();
        of(&adapted).unwrap() != of(&plain).unwrap()
    };
    assert!(differs("visual.blocks.0.attn.qkv.weight"), "{:?}", named(&adapted));
    let metrics = |results: &str, checkpoint: &str| {
        let common = ["clip", "evaluate", "-e", "spec.yaml", "hearth.model.tokenizer=null"];
        let own = [format!("results_dir={results}"), format!("evaluate.checkpoint={checkpoint}")];
        done(run(folder, &[&common[..], &own.each_ref().map(String::as_str)].concat()));
        super::export::metrics(&folder.join(results))
    };
    let native = metrics("native", "lora/train/clip_latest.safetensors");
    for ((name, expected), (_, found)) in native.into_iter().zip(metrics("graph", "lora.onnx")) {
        assert!((expected - found).abs() < 1e-4, "{name}: {expected}, {found}");
    }
}
