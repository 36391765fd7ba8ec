//! A data set for end-to-end tests: a part of the generated shapes that lie in the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// A folder with `train` and `val` pairs and a spec `spec.yaml` that trains three epochs of six steps.
pub(crate) fn workspace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_pairs("train", 24, folder.path());
    copy_pairs("val", 10, folder.path());
    fs::write(folder.path().join("prompts.txt"), "a red circle\n\n a blue square \n").unwrap();
    fs::write(folder.path().join("spec.yaml"), spec()).unwrap();
    folder
}

fn spec() -> String {
    let tokenizer = root().join("assets/tokenizer/tokenizer.json");
    format!(
        "\
model_name: clip
results_dir: out
model:
  type: hearth-tiny
dataset:
  train:
    datasets:
      - {{image_dir: train/images, caption_dir: train/captions}}
    batch_size: 4
    num_workers: 1
  val:
    datasets:
      - {{image_dir: val/images, caption_dir: val/captions}}
    batch_size: 4
    num_workers: 1
train:
  num_epochs: 3
  precision: fp32
  checkpoint_interval: 4
  checkpoint_interval_unit: step
  optim: {{vision_lr: 0.001, text_lr: 0.001, warmup_steps: 2}}
inference:
  datasets:
    - {{image_dir: val/images}}
  text_file: prompts.txt
  batch_size: 4
hearth:
  model: {{tokenizer: {}}}
",
        tokenizer.display()
    )
}

fn copy_pairs(split: &str, count: usize, folder: &Path) {
    for (kind, extension) in [("images", "png"), ("captions", "txt")] {
        let target = folder.join(split).join(kind);
        fs::create_dir_all(&target).unwrap();
        for i in 0..count {
            let name = format!("{i:04}.{extension}");
            let source = root().join("assets/shapes").join(split).join(kind).join(&name);
            fs::copy(source, target.join(name)).unwrap();
        }
    }
}
