//! Training a part of a model, and holding it near its start: what is learned, kept, resumed.

use std::{fs, path::Path};

use hearth_weights::WeightsFile;
use tempfile::TempDir;

use super::{
    embedding,
    shapes::workspace,
    training::{assert_same, fail, start, succeed, wait_for},
};

const PRETRAINED: &str = "train.pretrained_model_path=out/train/clip_latest.safetensors";
const FINAL: &str = "train/model_epoch_005_step_00036.safetensors";
const STATE: &str = "train/model_epoch_005_step_00036.state";
/// Adapters in all blocks of both towers, with dropout.
const LORA: &[&str] = &[
    "-e",
    "spec.yaml",
    PRETRAINED,
    "train.num_epochs=6",
    "train.optim.vision_lr=0.01",
    "train.optim.text_lr=0.01",
    "peft.enabled=true",
    "peft.vision.mode=lora",
    "peft.vision.num_last_blocks=0",
    "peft.vision.dropout=0.1",
    "peft.text.mode=lora",
    "peft.text.num_last_blocks=2",
    "peft.text.target_modules=[qkv, fc1]",
];

/// A workspace with a trained tiny model in `out`.
fn pretrained() -> TempDir {
    let folder = workspace();
    succeed(folder.path(), &["-e", "spec.yaml"]);
    folder
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

/// `train_loss` of every epoch.
fn losses(folder: &Path, results: &str) -> Vec<f64> {
    let status = fs::read_to_string(folder.join(results).join("train/status.json")).unwrap();
    let lines = status.lines().filter(|line| line.contains("Train metrics generated"));
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["kpi"]["train_loss"].as_f64().unwrap()
        })
        .collect()
}

fn open(folder: &Path, file: &str) -> WeightsFile {
    WeightsFile::open(folder.join(file)).unwrap()
}

/// Kills a training at its first checkpoint and lets it go on.
fn kill_and_continue(folder: &Path, results: &str, arguments: &[&str]) {
    let mut child = start(folder, arguments);
    let link = folder.join(results).join("train/clip_latest.safetensors");
    wait_for(&mut child, || link.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join(results).join(FINAL).exists(), "the kill came too late");
    succeed(folder, arguments);
}

#[test]
fn adapters_learn_and_leave_the_rest_alone_and_evaluate_merged() {
    let folder = pretrained();
    let folder = folder.path();
    succeed(folder, &with(LORA, &["results_dir=lora"]));
    let losses = losses(folder, "lora");
    assert_eq!(losses.len(), 6);
    assert!(losses[5] < 0.8 * losses[0], "{losses:?}");

    let (before, after) =
        (open(folder, "out/train/clip_latest.safetensors"), open(folder, &format!("lora/{FINAL}")));
    assert!(before.names().eq(after.names()), "a merged checkpoint has the usual names");
    for name in before.names() {
        let same = before.read_f32(name).unwrap() == after.read_f32(name).unwrap();
        let text = !name.starts_with("visual.");
        let adapted = name.ends_with("in_proj_weight")
            || (name.ends_with("attn.out_proj.weight") && !text)
            || (name.ends_with("mlp.c_fc.weight") && text)
            || name.starts_with("logit_");
        assert_eq!(same, !adapted, "{name}");
    }

    let checkpoint = format!("evaluate.checkpoint=lora/{FINAL}");
    succeed(folder, &["clip", "evaluate", "-e", "spec.yaml", "results_dir=lora", &checkpoint]);
    let results = fs::read_to_string(folder.join("lora/evaluate/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    let status = fs::read_to_string(folder.join("lora/train/status.json")).unwrap();
    let line = status.lines().rfind(|line| line.contains("Eval metrics generated")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let (apart, merged) = (&line["kpi"]["val/t2i_mAP"], &results["t2i_mAP"]);
    let (apart, merged): (f64, f64) =
        (apart.as_str().unwrap().parse().unwrap(), merged.as_f64().unwrap());
    assert!((apart - merged).abs() < 1e-6, "{apart} {merged}");
}

#[test]
fn a_killed_training_of_adapters_continues_to_the_same_bytes() {
    let folder = pretrained();
    let folder = folder.path();
    let added = ["regularization.enabled=true", "train.triplet_loss_weight=0.5"];
    let arguments = with(LORA, &added);
    succeed(folder, &with(&arguments, &["results_dir=whole"]));
    kill_and_continue(folder, "killed", &with(&arguments, &["results_dir=killed"]));
    for file in [
        FINAL.to_owned(),
        format!("{STATE}/optimizer.safetensors"),
        format!("{STATE}/adapters.safetensors"),
    ] {
        assert_same(&folder.join("whole").join(&file), &folder.join("killed").join(&file));
    }

    // Another rank is another run, and a lost adapter is told.
    let longer = with(&arguments, &["results_dir=killed", "train.num_epochs=7"]);
    let stderr = fail(folder, 4, &with(&longer, &["peft.vision.rank=4"]));
    assert!(stderr.contains("`peft` was vision lora"), "{stderr}");
    fs::remove_file(folder.join("killed").join(format!("{STATE}/adapters.safetensors"))).unwrap();
    let stderr = fail(folder, 4, &longer);
    assert!(stderr.contains("adapters.safetensors"), "{stderr}");
}

#[test]
fn micro_batches_do_not_change_a_training_of_adapters() {
    let folder = pretrained();
    let folder = folder.path();
    let added = ["regularization.enabled=true", "train.triplet_loss_weight=0.5"];
    let arguments = with(&with(LORA, &added), &["train.num_epochs=1"]);
    let loss = |parts: &str, recompute: &str| {
        let parts = format!("hearth.train.micro_batches={parts}");
        let recompute = format!("train.grad_checkpointing={recompute}");
        let results = format!("results_dir={parts}{recompute}");
        succeed(folder, &with(&arguments, &[&parts, &recompute, &results]));
        losses(folder, results.split_once('=').unwrap().1)[0]
    };
    let whole = loss("1", "false");
    for (parts, recompute) in [("2", "false"), ("4", "true")] {
        let split = loss(parts, recompute);
        assert!((whole - split).abs() < 1e-4 * whole, "{parts} {recompute}: {whole} {split}");
    }
}

/// Whether the TensorBoard events of a training have a curve of this name.
fn has_curve(folder: &Path, results: &str, name: &str) -> bool {
    let logs = folder.join(results).join("train/lightning_logs/version_1");
    let files = fs::read_dir(logs).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(name.len()).any(|part| part == name.as_bytes()))
}

/// Mean distance of the pictures' embeddings of two checkpoints.
fn distance(folder: &Path, a: &str, b: &str) -> f64 {
    let rows = |checkpoint: &str| {
        let results = format!("results_dir=embedded/{checkpoint}");
        let checkpoint = format!("inference.checkpoint={checkpoint}/train/clip_latest.safetensors");
        succeed(folder, &["clip", "inference", "-e", "spec.yaml", &checkpoint, &results]);
        let folder = folder.join(results.split_once('=').unwrap().1).join("inference");
        embedding::read(&folder, "image_embeddings.h5", "image_paths")
    };
    let ((shape, a, _), (_, b, _)) = (rows(a), rows(b));
    let rows = a.chunks(shape[1]).zip(b.chunks(shape[1]));
    let squares = rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum());
    squares.map(|square: f64| square.sqrt()).sum::<f64>() / shape[0] as f64
}

#[test]
fn a_regularized_model_stays_nearer_to_its_start() {
    let folder = pretrained();
    let folder = folder.path();
    let plain = ["-e", "spec.yaml", PRETRAINED, "train.num_epochs=6"];
    let held = with(
        &plain,
        &["regularization.enabled=true", "regularization.cosine_weight=20", "results_dir=held"],
    );
    succeed(folder, &with(&plain, &["results_dir=plain"]));
    succeed(folder, &held);
    let (far, near) = (distance(folder, "out", "plain"), distance(folder, "out", "held"));
    for part in ["train_loss_step", "train/contrastive", "train/embedding_mse", "train/similarity"]
    {
        assert!(has_curve(folder, "held", part), "{part}");
    }
    println!("mean distance to the start: {far:.4} alone, {near:.4} held");
    assert!(near < 0.5 * far, "{near} {far}");

    // Both towers are trained whole, so the start is read again, and has to be the same file.
    kill_and_continue(folder, "killed", &with(&held, &["results_dir=killed"]));
    assert_same(&folder.join("held").join(FINAL), &folder.join("killed").join(FINAL));
    let longer = with(&held, &["results_dir=killed", "train.num_epochs=7"]);
    let other = "train.pretrained_model_path=plain/train/clip_latest.safetensors";
    let stderr = fail(folder, 4, &with(&longer, &[other]));
    assert!(
        stderr.contains("the start that `regularization` holds to was a file of SHA-256"),
        "{stderr}"
    );
    let missing = "train.pretrained_model_path=nowhere.safetensors";
    let stderr = fail(folder, 4, &with(&longer, &[missing]));
    assert!(stderr.contains("nowhere.safetensors"), "{stderr}");
}

#[test]
fn what_a_model_type_cannot_have_is_refused_before_anything_is_written() {
    let folder = workspace();
    let folder = folder.path();
    let on = ["-e", "spec.yaml", "peft.enabled=true", "peft.vision.mode=lora"];
    for (key, message) in [
        (
            "peft.vision.num_last_blocks=4",
            "found 4, needed at most 3, the blocks of the vision tower",
        ),
        ("peft.vision.rank=129", "found 129, needed at most 128, the width of the vision tower"),
        ("peft.vision.rank=1000000000000", "needed at most 128"),
        ("hearth.train.save_adapters=true", "true with `hearth-tiny`"),
    ] {
        for action in [&["clip", "check"][..], &[]] {
            let stderr = fail(folder, 2, &with(action, &with(&on, &[key])));
            assert!(stderr.contains(message), "{stderr}");
        }
    }
    assert!(!folder.join("out").join("train").join("experiment.yaml").exists());
}
