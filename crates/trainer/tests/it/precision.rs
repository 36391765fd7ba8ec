//! Training in 16 bits: on the CPU where a key asks for it, as a device with the type does by itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_weights::{Dtype, WeightsFile};
use serde_json::Value;

use super::{
    session::run,
    shapes::workspace,
    training::{FINAL, assert_same, succeed},
};

const HALF: &str = "hearth.train.half_on_cpu=true";

/// Trains in `results` and returns what the run said.
fn train(folder: &Path, results: &str, more: &[&str]) -> String {
    let results = format!("results_dir={results}");
    let output = run(folder, &[&["-e", "spec.yaml", &results][..], more].concat());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// The mean loss of each epoch.
fn losses(results: &Path) -> Vec<f64> {
    let status = fs::read_to_string(results.join("train/status.json")).unwrap();
    let lines = status.lines().filter(|line| line.contains("Train metrics generated"));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line["kpi"]["train_loss"].as_f64()).collect()
}

fn state(folder: &Path, results: &str, checkpoint: &str) -> PathBuf {
    folder.join(results).join(checkpoint).with_extension("state")
}

fn progress(folder: &Path, results: &str, checkpoint: &str) -> Value {
    let text = fs::read(state(folder, results, checkpoint).join("progress.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// From a checkpoint on: the first steps of fp16 look for a scale and are skipped.
#[test]
fn twenty_four_steps_have_the_losses_of_fp32_and_leave_weights_in_fp32() {
    let folder = workspace();
    let folder = folder.path();
    for family in [
        &[][..],
        &["train.loss_type=clip", "hearth.train.micro_batches=2"],
        &["model.type=hearth-tiny-naflex", "train.grad_checkpointing=true"],
    ] {
        let train_in = |results: &str, precision: &str, keys: &[&str]| {
            let precision = format!("train.precision={precision}");
            train(folder, results, &[family, &[HALF, &precision], keys].concat());
            losses(&folder.join(results))
        };
        train_in("start", "fp16", &["train.num_epochs=2"]);
        let start = "train.resume_training_checkpoint_path=start/train/clip_latest.safetensors";
        let go_on =
            |precision: &str| train_in(precision, precision, &["train.num_epochs=6", start]);
        let expected = go_on("fp32");
        assert_eq!(expected.len(), 4);
        for precision in ["fp16", "bf16"] {
            for (full, half) in expected.iter().zip(go_on(precision)) {
                let error = (full - half).abs() / full;
                assert!(error > 0.0, "{family:?} {precision} computed in fp32");
                assert!(error < 0.005, "{family:?} {precision}: {full} {half}");
            }
            let model = folder.join(precision).join("train/clip_latest.safetensors");
            let weights = WeightsFile::open(&model).unwrap();
            assert!(weights.names().all(|name| weights.entry(name).unwrap().dtype == Dtype::F32));
        }
        for results in ["start", "fp32", "fp16", "bf16"] {
            fs::remove_dir_all(folder.join(results)).unwrap();
        }
    }
}

#[test]
fn a_run_in_fp16_goes_on_to_the_same_bytes_with_the_scale_of_its_loss() {
    let folder = workspace();
    let folder = folder.path();
    let half = ["train.precision=fp16", HALF];
    train(folder, "whole", &half);
    let middle = "train/model_epoch_001_step_00008.safetensors";
    let from = format!("train.resume_training_checkpoint_path=whole/{middle}");
    train(folder, "resumed", &[&half[..], &[&from]].concat());
    assert_same(&folder.join("whole").join(FINAL), &folder.join("resumed").join(FINAL));
    let optimizer = |results| state(folder, results, FINAL).join("optimizer.safetensors");
    assert_same(&optimizer("whole"), &optimizer("resumed"));

    let scaler = |results| progress(folder, results, FINAL)["loss_scaler"].clone();
    assert_eq!(scaler("whole"), scaler("resumed"));
    let good_steps = scaler("whole")["good_steps"].as_u64().unwrap();
    let skipped = scaler("whole")["skipped"].as_u64().unwrap();
    assert!(good_steps + skipped <= 18 && good_steps > 0, "{}", scaler("whole"));
    let updates = progress(folder, "whole", FINAL)["optimizer_updates"].as_u64().unwrap();
    assert_eq!(updates + skipped, 18);

    // Other types have none, and a run may go on in another one.
    train(folder, "resumed", &["train.num_epochs=4", "train.precision=bf16", HALF]);
    let last = "train/model_epoch_003_step_00024.safetensors";
    assert!(progress(folder, "resumed", last)["loss_scaler"].is_null());
}

#[test]
fn the_cpu_computes_in_fp32_unless_it_is_asked_and_says_so() {
    let folder = workspace();
    let folder = folder.path();
    let said = "`train.precision: bf16` computes in fp32 on this device";
    let bf16 = ["train.num_epochs=1", "train.precision=bf16"];
    let stderr = train(folder, "full", &bf16);
    assert_eq!(stderr.matches(said).count(), 1, "{stderr}");
    let stderr = train(folder, "half", &[&bf16[..], &[HALF]].concat());
    assert!(!stderr.contains(said), "{stderr}");

    let precision = |more: &[&str]| -> Value {
        let command = ["clip", "benchmark", "-e", "spec.yaml", "--json", "--steps", "1"];
        let stdout = succeed(folder, &[&command[..], more].concat());
        serde_json::from_str::<Value>(&stdout).unwrap()["precision"].clone()
    };
    assert_eq!(precision(&["train.precision=fp16"]), "fp32");
    assert_eq!(precision(&["train.precision=fp16", HALF]), "fp16");
}
