//! Checkpoints for PyTorch: written beside our own, and taken wherever a spec names weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_weights::WeightsFile;

use super::{
    session::run,
    shapes::{root, workspace},
};

const PTH: &str = "hearth.train.checkpoint_format=pth";

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// Names of the files in `out/train` that end so, without their ending.
fn stems(folder: &Path, ending: &str) -> Vec<String> {
    let names = fs::read_dir(folder.join("out/train")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut stems: Vec<String> =
        names.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    stems.sort();
    stems
}

fn assert_same_tensors(left: &Path, right: &Path) {
    let [left, right] = [left, right].map(|path| WeightsFile::open(path).unwrap());
    assert_eq!(left.names().collect::<Vec<_>>(), right.names().collect::<Vec<_>>());
    for key in ["hearth.recipe", "hearth.tokenizer", "hearth.spec"] {
        assert!(left.metadata()[key] == right.metadata()[key], "{key}");
    }
    for name in left.names() {
        assert_eq!(left.entry(name).unwrap().shape, right.entry(name).unwrap().shape, "{name}");
        let bits = |file: &WeightsFile| -> Vec<u32> {
            file.read_f32(name).unwrap().iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&left), bits(&right), "{name}");
    }
}

#[test]
fn every_checkpoint_has_a_twin_for_pytorch() {
    let folder = workspace();
    let folder = folder.path();
    let best = ["train.checkpointer.enable_topk=true", "train.checkpointer.filename=best-{step}"];
    succeed(folder, &[&["-e", "spec.yaml", PTH], &best[..]].concat());
    let models = stems(folder, ".safetensors");
    // Six periodic ones, one at the end, the best, the link.
    assert!(models.len() > 5, "{models:?}");
    assert_eq!(models.iter().filter(|name| name.starts_with("best-")).count(), 1, "{models:?}");
    assert_eq!(models, stems(folder, ".pth"));
    for name in &models {
        let path = |ending: &str| folder.join("out/train").join(format!("{name}.{ending}"));
        assert_same_tensors(&path("pth"), &path("safetensors"));
    }
    let link = fs::read_link(folder.join("out/train/clip_latest.pth")).unwrap();
    assert_eq!(link, PathBuf::from("model_epoch_002_step_00018.pth"));

    // Periodic checkpoints that the newest replaces go with their twins.
    let replaced = ["results_dir=out", "train.checkpointer.replace_periodic=true"];
    fs::remove_dir_all(folder.join("out")).unwrap();
    succeed(folder, &[&["-e", "spec.yaml", PTH], &best[..], &replaced[..]].concat());
    let models = stems(folder, ".safetensors");
    assert!(models.len() <= 3, "{models:?}");
    assert_eq!(models, stems(folder, ".pth"));
}

#[test]
fn a_pth_file_is_taken_wherever_weights_are_named() {
    let folder = workspace();
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", PTH]);
    // The file carries its tokenizer and its recipe.
    let spec = fs::read_to_string(folder.join("spec.yaml")).unwrap();
    fs::write(folder.join("bare.yaml"), spec.split("hearth:").next().unwrap()).unwrap();
    let evaluate = |ending: &str| {
        let checkpoint = format!("evaluate.checkpoint=out/train/clip_latest.{ending}");
        succeed(folder, &["clip", "evaluate", "-e", "bare.yaml", &checkpoint]);
        fs::read(folder.join("out/evaluate/results.json")).unwrap()
    };
    assert!(evaluate("safetensors") == evaluate("pth"));
    let infer = |ending: &str| {
        let checkpoint = format!("inference.checkpoint=out/train/clip_latest.{ending}");
        let results = format!("results_dir={ending}");
        succeed(folder, &["clip", "inference", "-e", "bare.yaml", &checkpoint, &results]);
        fs::metadata(folder.join(ending).join("inference/image_embeddings.h5")).unwrap().len()
    };
    assert_eq!(infer("safetensors"), infer("pth"));

    // Continued behind the link, and in one go.
    let more = "train.num_epochs=4";
    let resume = "train.resume_training_checkpoint_path=out/train/clip_latest.pth";
    succeed(folder, &["-e", "spec.yaml", more, resume, "results_dir=resumed"]);
    let resume = "train.resume_training_checkpoint_path=out/train/clip_latest.safetensors";
    succeed(folder, &["-e", "spec.yaml", more, resume, "results_dir=again"]);
    let last = "train/model_epoch_003_step_00024.safetensors";
    assert_same_tensors(&folder.join("resumed").join(last), &folder.join("again").join(last));
    let pretrained = "train.pretrained_model_path=out/train/clip_latest.pth";
    succeed(folder, &["-e", "spec.yaml", pretrained, "train.num_epochs=1", "results_dir=tuned"]);
}

#[test]
fn a_pickle_that_runs_code_is_refused() {
    let folder = workspace();
    let folder = folder.path();
    let good = fs::read(root().join("tests/golden/pytorch/lightning.ckpt")).unwrap();
    // The name of a class that the pickle calls, in as many letters.
    let name = b"absent.callbacks\nCallback";
    let harm = b"os\nsystem";
    let at = good.windows(name.len()).position(|window| window == name).unwrap();
    let mut bad = good.clone();
    bad[at..at + harm.len()].copy_from_slice(harm);
    // Zeros say that the entry has no checksum.
    let table = bad.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bad[table + 16..table + 20].fill(0);
    fs::write(folder.join("bad.ckpt"), bad).unwrap();
    let checkpoint = "evaluate.checkpoint=bad.ckpt";
    let output = run(folder, &["clip", "evaluate", "-e", "spec.yaml", checkpoint]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("its pickle asks for `os.system"), "{stderr}");
}
