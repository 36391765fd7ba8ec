//! Pre-training helps: with labels for every eleventh picture only, what was pre-trained on all pictures
//! beats what was not, after the same steps.

use std::{fs, path::Path};

use serde_json::Value;

use super::{mae::newest, shapes::root, training::succeed};

const ARCH: &str = "hearth-vit-small-patch8";
/// Accuracy that pre-training adds at least, as the mean over the seeds.
const GAIN: f64 = 0.05;

fn spec() -> String {
    let shapes = root().join("assets/shapes");
    let shapes = shapes.display();
    format!(
        "\
model_name: mae
results_dir: out
model: {{arch: {ARCH}, num_classes: 10, decoder_depth: 1, decoder_embed_dim: 64, drop_path_rate: 0.0}}
dataset:
  batch_size: 32
  train_data_sources: {shapes}/train/colours.tsv
  val_data_sources: {shapes}/val/colours.tsv
  num_workers_per_gpu: 1
  augmentation:
    {{input_size: 32, min_scale: 0.8, max_scale: 1.0, auto_aug: null, mixup: 0.0, cutmix: 0.0}}
train:
  num_epochs: 20
  checkpoint_interval: 1000
  checkpoint_interval_unit: step
  validation_interval: 10
  mask_ratio: 0.5
  norm_pix_loss: false
  optim: {{lr: 1.5e-3, lr_scheduler: cosine, warmup_epochs: 2, layer_decay: 1.0, weight_decay: 0.01}}
"
    )
}

/// Class folders with every eleventh picture.
fn label_some(folder: &Path) {
    let train = root().join("assets/shapes/train");
    let classes = fs::read_to_string(train.join("colours.tsv")).unwrap();
    for line in classes.lines().step_by(11) {
        let (picture, class) = line.split_once('\t').unwrap();
        let target = folder.join("labelled").join(class);
        fs::create_dir_all(&target).unwrap();
        let name = Path::new(picture).file_name().unwrap();
        fs::copy(train.join(picture), target.join(name)).unwrap();
    }
}

fn accuracy(folder: &Path, name: &str, more: &[&str]) -> f64 {
    let results = format!("results_dir={name}");
    let arguments = [
        "-e",
        "spec.yaml",
        "train.stage=finetune",
        "train.num_epochs=30",
        "train.optim.lr=1e-3",
        "train.optim.backbone_multiplier=1.0",
        "dataset.batch_size=24",
        "dataset.train_data_sources=labelled",
        &results,
    ];
    succeed(folder, &[&arguments[..], more].concat());
    let status = fs::read_to_string(folder.join(name).join("train/status.json")).unwrap();
    let last = status.lines().rev().find_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["kpi"]["ACC_all"].as_str()?.parse().ok()
    });
    last.unwrap()
}

#[test]
fn few_labels_go_further_behind_a_pre_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("spec.yaml"), spec()).unwrap();
    label_some(folder);
    succeed(folder, &["-e", "spec.yaml"]);
    let origin = format!("train.pretrained_model_path={}", newest(folder, "out", ARCH).display());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for seed in 1..=3 {
        let seeded = format!("train.seed={seed}");
        with.push(accuracy(folder, &format!("with{seed}"), &[&seeded, &origin]));
        without.push(accuracy(folder, &format!("without{seed}"), &[&seeded]));
    }
    let mean = |found: &[f64]| found.iter().sum::<f64>() / found.len() as f64;
    assert!(mean(&with) > mean(&without) + GAIN, "{with:?} {without:?}");
}
