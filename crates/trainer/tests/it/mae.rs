//! `mae`: from pictures to an autoencoder, its sheets, a classifier and what that says.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    shapes::root,
    training::{assert_same, fail, start, succeed, wait_for},
};

/// An architecture of each family.
pub(crate) const SMALL: [&str; 3] =
    ["hearth-vit-small-patch8", "hearth-convnextv2-small-patch2", "hearth-hiera-small"];

/// A folder with class folders `train` and `val` and a spec that pre-trains two epochs of four steps.
pub(crate) fn workspace(arch: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, count) in [("train", 32), ("val", 12)] {
        let shapes = root().join("assets/shapes").join(split);
        let classes = fs::read_to_string(shapes.join("shapes.tsv")).unwrap();
        // Every seventh: all shapes come early.
        for line in classes.lines().step_by(7).take(count) {
            let (picture, class) = line.split_once('\t').unwrap();
            let target = folder.path().join(split).join(class);
            fs::create_dir_all(&target).unwrap();
            let name = Path::new(picture).file_name().unwrap();
            fs::copy(shapes.join(picture), target.join(name)).unwrap();
        }
    }
    fs::write(folder.path().join("spec.yaml"), spec(arch)).unwrap();
    folder
}

fn spec(arch: &str) -> String {
    format!(
        "\
model_name: mae
results_dir: out
model:
  arch: {arch}
  num_classes: 6
  decoder_depth: 1
  decoder_embed_dim: 64
dataset:
  batch_size: 8
  train_data_sources: train
  val_data_sources: val
  test_data_sources: val
  num_workers_per_gpu: 1
  augmentation: {{input_size: 64}}
train:
  num_epochs: 2
  checkpoint_interval: 3
  checkpoint_interval_unit: step
  norm_pix_loss: false
  optim: {{lr: 0.001, lr_scheduler: cosine, warmup_epochs: 0.5}}
"
    )
}

/// The newest model of a training in `results`.
pub(crate) fn newest(folder: &Path, results: &str, arch: &str) -> PathBuf {
    let folder = folder.join(results).join("train");
    folder.join(fs::read_link(folder.join(format!("{arch}_latest.safetensors"))).unwrap())
}

pub(crate) fn checkpoint(action: &str, path: &Path) -> String {
    format!("{action}.checkpoint={}", path.display())
}

/// Fine-tunes from what `out` holds; the folder of the results is `tuned`.
pub(crate) fn finetune(folder: &Path, arch: &str, more: &[&str]) -> PathBuf {
    let origin = format!("train.pretrained_model_path={}", newest(folder, "out", arch).display());
    let arguments = ["-e", "spec.yaml", "train.stage=finetune", "results_dir=tuned", &origin];
    succeed(folder, &[&arguments[..], more].concat());
    newest(folder, "tuned", arch)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_model_of_each_family_learns_shows_and_classifies() {
    for arch in SMALL {
        let folder = workspace(arch);
        let folder = folder.path();
        let stdout = succeed(folder, &["-e", "spec.yaml"]);
        assert!(stdout.contains("val_loss"), "{arch}: {stdout}");
        let model = newest(folder, "out", arch);

        let evaluated = checkpoint("evaluate", &model);
        succeed(folder, &["evaluate", "-e", "spec.yaml", &evaluated]);
        let loss = json(&folder.join("out/evaluate/results.json"))["val_loss"].as_f64().unwrap();
        assert!(loss.is_finite() && loss > 0.0, "{arch}: {loss}");

        let shown = checkpoint("inference", &model);
        let wishes = ["hearth.inference.features=true", "hearth.inference.arrays=true"];
        succeed(folder, &[&["inference", "-e", "spec.yaml", &shown][..], &wishes].concat());
        let sheet = image::open(folder.join("out/inference/reconstructions_000.png")).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (3 * 64 + 4, 8 * 66 - 2), "{arch}");
        assert!(folder.join("out/inference/reconstructions_001.png").exists());
        let features = rust_hdf5::H5File::open(folder.join("out/inference/features.h5")).unwrap();
        assert_eq!(features.dataset("embeddings").unwrap().shape()[0], 12, "{arch}");
        let arrays = rust_hdf5::H5File::open(folder.join("out/inference/reconstructions.h5"));
        let arrays = arrays.unwrap();
        let masks = arrays.dataset("masks").unwrap();
        assert_eq!(masks.shape(), [12, 3, 64, 64], "{arch}");

        let tuned = finetune(folder, arch, &[]);
        let evaluated = checkpoint("evaluate", &tuned);
        succeed(folder, &["evaluate", "-e", "spec.yaml", "results_dir=tuned", &evaluated]);
        let results = json(&folder.join("tuned/evaluate/results.json"));
        let accuracy = results["ACC_all"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{arch}: {results}");
        let per_class = fs::read_to_string(folder.join("tuned/evaluate/per_class.csv")).unwrap();
        assert!(per_class.contains("\ncircle,circle,"), "{arch}: {per_class}");
        assert!(folder.join("tuned/evaluate/confusion.svg").exists());

        let shown = checkpoint("inference", &tuned);
        succeed(folder, &["inference", "-e", "spec.yaml", "results_dir=tuned", &shown]);
        let rows = fs::read_to_string(folder.join("tuned/inference/results.csv")).unwrap();
        let rows: Vec<(&str, usize)> = rows
            .lines()
            .map(|line| line.rsplit_once(',').unwrap())
            .map(|(path, class)| (path, class.parse().unwrap()))
            .collect();
        assert_eq!(rows.len(), 12, "{arch}");
        assert!(rows.iter().all(|(path, class)| path.ends_with(".png") && *class < 6), "{arch}");
        // What the table of classes says of all pictures, the list says picture by picture.
        let sorted = ["circle", "cross", "moon", "square", "star", "triangle"];
        let right = rows.iter().filter(|(path, class)| path.contains(sorted[*class])).count();
        assert!((right as f64 / 12.0 - accuracy).abs() < 1e-9, "{arch}: {right} {accuracy}");
    }
}

#[test]
fn a_killed_run_continues_to_the_same_bytes() {
    for (arch, more) in [
        (SMALL[0], &["hearth.train.ema_decay=0.9", "train.accum_grad_batches=2"][..]),
        (SMALL[1], &["train.freeze=[encoder.stages.0]"]),
        (SMALL[2], &[]),
    ] {
        let folder = workspace(arch);
        let folder = folder.path();
        let arguments = [&["-e", "spec.yaml", "train.num_epochs=12"][..], more].concat();
        succeed(folder, &arguments);
        let killed = [&arguments[..], &["results_dir=killed"]].concat();
        let mut child = start(folder, &killed);
        let link = folder.join(format!("killed/train/{arch}_latest.safetensors"));
        wait_for(&mut child, || link.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        let (whole, before) = (newest(folder, "out", arch), newest(folder, "killed", arch));
        assert_ne!(whole.file_name(), before.file_name(), "{arch}: the kill came too late");
        succeed(folder, &killed);
        let again = newest(folder, "killed", arch);
        assert_eq!(whole.file_name(), again.file_name(), "{arch}");
        assert_same(&whole, &again);
        let state = |model: &Path| model.with_extension("state").join("optimizer.safetensors");
        assert_same(&state(&whole), &state(&again));
    }
}

#[test]
fn fine_tuning_continues_to_the_same_bytes() {
    let (folder, arch) = (workspace(SMALL[0]), SMALL[0]);
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
    let whole = finetune(folder, arch, &["train.num_epochs=3"]);
    let origin = format!("train.pretrained_model_path={}", newest(folder, "out", arch).display());
    let common = ["-e", "spec.yaml", "train.stage=finetune", "results_dir=again", &origin];
    // The middle of the run, as a crash there would leave it.
    let middle = "model_epoch_001_step_00006";
    for name in [format!("{middle}.safetensors"), format!("{middle}.state")] {
        copy(&folder.join("tuned/train").join(&name), &folder.join("again/train").join(&name));
    }
    let resumed = format!(
        "train.resume_training_checkpoint_path={}",
        folder.join("again/train").join(format!("{middle}.safetensors")).display()
    );
    succeed(folder, &[&common[..], &["train.num_epochs=3", &resumed]].concat());
    assert_same(&whole, &newest(folder, "again", arch));
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

#[test]
fn what_does_not_fit_is_said_before_the_first_step() {
    let folder = workspace(SMALL[0]);
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
    let model = newest(folder, "out", SMALL[0]);
    let evaluated = checkpoint("evaluate", &model);
    let origin = format!("train.pretrained_model_path={}", model.display());
    for (code, arguments, expected) in [
        (2, &["train.stage=finetune", "model.num_classes=5"][..], "set `model.num_classes=6`"),
        (2, &["train.freeze=[blocks.9]"], "`blocks.9`, needed a module of the model"),
        (2, &["train.stage=finetune", "model.arch=vit_base_patch16", &origin], SMALL[0]),
        (2, &["dataset.batch_size=100"], "not enough data"),
        (3, &["dataset.train_data_sources=nowhere"], "nowhere"),
        (2, &["dataset.augmentation.auto_aug=augmix-m3", "train.stage=finetune"], "augmix"),
    ] {
        let more = ["results_dir=other"];
        let stderr = fail(folder, code, &[&["-e", "spec.yaml"][..], &more, arguments].concat());
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
    let command = ["evaluate", "-e", "spec.yaml", "train.stage=finetune", &evaluated];
    let stderr = fail(folder, 2, &command);
    assert!(stderr.contains("needed `pretrain`, as in the checkpoint"), "{stderr}");
    fs::create_dir(folder.join("val/unknown")).unwrap();
    fs::rename(folder.join("val/circle"), folder.join("val/unknown/circle")).unwrap();
    let tuned = finetune_fails(folder, &origin);
    assert!(tuned.contains("unknown"), "{tuned}");
}

fn finetune_fails(folder: &Path, origin: &str) -> String {
    let arguments = ["-e", "spec.yaml", "train.stage=finetune", "results_dir=tuned", origin];
    fail(folder, 3, &arguments)
}

#[test]
fn check_and_benchmark_leave_nothing() {
    let folder = workspace(SMALL[0]);
    let folder = folder.path();
    let stdout = succeed(folder, &["check", "-e", "spec.yaml"]);
    assert!(stdout.contains("training pictures    32"), "{stdout}");
    let steps = ["benchmark", "-e", "spec.yaml", "--json", "--steps", "2"];
    for more in [&[][..], &["train.stage=finetune", "dataset.train_data_sources="]] {
        let report: Value =
            serde_json::from_str(&succeed(folder, &[&steps[..], more].concat())).unwrap();
        assert!(report["training_step"]["median_ms"].as_f64().unwrap() > 0.0, "{report}");
        assert!(report["forward"]["gflops"].as_f64().unwrap() > 0.0, "{report}");
        let says_why = report["no_onnx_runtime"].is_string();
        assert!(says_why || report["onnx_runtime"]["min_ms"].is_f64(), "{report}");
    }
    assert!(!folder.join("out").exists());
}
