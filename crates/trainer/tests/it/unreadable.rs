//! Pictures that cannot be read, and pictures that lie on their side: what each action makes of them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    session::run,
    shapes::{root, workspace},
};

const FINAL: &str = "train/model_epoch_002_step_00018.safetensors";
/// One of 24 pictures, none of the 10 of validation.
const ONE: &str = "hearth.dataset.max_unreadable=0.05";

/// The exit code and the lines of stderr.
fn outcome(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(folder, arguments);
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let (code, stderr) = outcome(folder, arguments);
    assert_eq!(code, 0, "{stderr}");
    stderr
}

#[track_caller]
fn fail(folder: &Path, arguments: &[&str]) -> String {
    let (code, stderr) = outcome(folder, arguments);
    assert_eq!(code, 3, "{stderr}");
    stderr
}

/// Puts half a JPEG in the place of a picture; the name keeps its `.png`, the content decides.
fn tear(folder: &Path, split: &str, number: usize) -> PathBuf {
    let jpeg = fs::read(root().join("tests/golden/data/pictures/decode/420.jpg")).unwrap();
    let path = Path::new(split).join(format!("images/{number:04}.png"));
    fs::write(folder.join(&path), &jpeg[..jpeg.len() / 2]).unwrap();
    path
}

#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} {}", a.display(), b.display());
}

#[test]
fn a_torn_picture_is_left_out_the_same_way_for_all_threads_and_after_a_kill() {
    let folder = workspace();
    let folder = folder.path();
    let torn = tear(folder, "train", 7);
    let said = format!(
        "warning: {}: truncated: the file ends before the JPEG picture does; left out",
        torn.display()
    );
    for threads in ["1", "2", "4"] {
        let results = format!("results_dir=threads{threads}");
        let workers = format!("dataset.train.num_workers={threads}");
        let stderr = succeed(folder, &["-e", "spec.yaml", ONE, &results, &workers]);
        assert_eq!(stderr.matches(&said).count(), 1, "{stderr}");
        assert_same(&folder.join("threads1").join(FINAL), &folder.join(&results[12..]).join(FINAL));
    }

    let arguments = ["-e", "spec.yaml", ONE, "results_dir=killed"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .current_dir(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !folder.join("killed/train/clip_latest.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("killed").join(FINAL).exists(), "the kill came too late");
    succeed(folder, &arguments);
    assert_same(&folder.join("threads1").join(FINAL), &folder.join("killed").join(FINAL));

    // In micro-batches of one pair, of which one has none: the loss is that of the same batch.
    let micro = ["results_dir=micro", "hearth.train.micro_batches=4", "train.num_epochs=1"];
    succeed(folder, &[&["-e", "spec.yaml", ONE], &micro[..]].concat());
}

#[test]
fn a_share_that_is_exceeded_ends_the_run_also_after_a_pause() {
    let folder = workspace();
    let folder = folder.path();
    let first = tear(folder, "train", 7);
    succeed(folder, &["-e", "spec.yaml", ONE, "train.num_epochs=1"]);
    let second = tear(folder, "train", 9);
    let stderr = fail(folder, &["-e", "spec.yaml", ONE]);
    let found = "error: 2 of 24 samples cannot be read, at most 1 may be left out: ";
    assert!(stderr.contains(found), "{stderr}");
    for path in [first, second] {
        assert!(stderr.contains(path.to_str().unwrap()), "{stderr}");
    }
    let hint =
        "hint: repair or remove these files, or set `hearth.dataset.max_unreadable` to 0.084";
    assert!(stderr.contains(hint), "{stderr}");

    // Without the key the first one ends the run, as ever.
    let stderr = fail(folder, &["-e", "spec.yaml", "results_dir=strict"]);
    assert!(stderr.contains("error: train/images/000"), "{stderr}");
    let alone = ["results_dir=alone", "dataset.train.batch_size=1", "train.num_epochs=1"];
    let half = "hearth.dataset.max_unreadable=0.5";
    let stderr = fail(folder, &[&["-e", "spec.yaml", half], &alone[..]].concat());
    assert!(stderr.contains("error: no sample of a batch can be read: train/images"), "{stderr}");
}

#[test]
fn metrics_count_the_pairs_that_were_there() {
    let folder = workspace();
    let folder = folder.path();
    tear(folder, "val", 3);
    fs::write(folder.join("val/captions/0005.txt"), b"torn \xFF").unwrap();
    let some = "hearth.dataset.max_unreadable=0.2";
    let stderr = succeed(folder, &["-e", "spec.yaml", some, "train.num_epochs=2"]);
    assert_eq!(stderr.matches("val/images/0003.png: truncated").count(), 1, "{stderr}");
    assert_eq!(stderr.matches("val/captions/0005.txt: found bytes").count(), 1, "{stderr}");
    let said = "2 unreadable samples are left out of these metrics";
    assert_eq!(stderr.matches(said).count(), 2, "once for each validation: {stderr}");

    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
    let arguments = ["clip", "evaluate", "-e", "spec.yaml", checkpoint];
    let stderr = succeed(folder, &[&arguments[..], &[some]].concat());
    assert!(stderr.contains(said), "{stderr}");
    let results = fs::read_to_string(folder.join("out/evaluate/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!((&results["num_images"], &results["num_texts"]), (&8.into(), &8.into()));
    let stderr = fail(folder, &arguments);
    assert!(stderr.contains("error: val/images: 1 captions cannot be read"), "{stderr}");

    // Inference leaves out what it cannot read without being asked, in the same words.
    let checkpoint = "inference.checkpoint=out/train/clip_latest.safetensors";
    let stderr = succeed(folder, &["clip", "inference", "-e", "spec.yaml", checkpoint]);
    let said = "warning: val/images/0003.png: truncated: the file ends before the JPEG picture \
                does; left out";
    assert!(stderr.contains(said), "{stderr}");
}

#[test]
fn check_lists_every_unreadable_sample_and_every_turned_picture() {
    let folder = workspace();
    let folder = folder.path();
    let numbers = [2, 3, 5, 7, 11, 13, 17, 19];
    let torn = numbers.map(|number| tear(folder, "train", number));
    let check = ["clip", "check", "-e", "spec.yaml"];
    for share in ["0", "0.2", "0.5"] {
        let key = format!("hearth.dataset.max_unreadable={share}");
        let (code, stderr) = outcome(folder, &[&check[..], &[&key]].concat());
        assert_eq!(code, if share == "0.5" { 0 } else { 3 }, "{stderr}");
        assert!(torn.iter().all(|path| stderr.contains(path.to_str().unwrap())), "{stderr}");
        let exceeded = stderr.contains("samples cannot be read, at most 4 may be left out");
        assert_eq!(exceeded, share == "0.2", "{stderr}");
    }

    let turned = root().join("tests/golden/pictures/exif_6.jpg");
    for path in &torn {
        fs::copy(&turned, folder.join(path)).unwrap();
    }
    let said = "8 of 24 pictures carry an EXIF orientation, which is ignored as in TAO: \
                `hearth.dataset.exif_orientation: apply` turns them upright";
    assert!(succeed(folder, &check).contains(said));
    let apply = "hearth.dataset.exif_orientation=apply";
    assert!(!succeed(folder, &[&check[..], &[apply]].concat()).contains("EXIF"));

    let stderr = succeed(folder, &["-e", "spec.yaml", "train.num_epochs=2"]);
    assert_eq!(stderr.matches("pictures carry an EXIF orientation").count(), 1, "{stderr}");
    let stderr = succeed(folder, &["-e", "spec.yaml", "results_dir=upright", apply]);
    assert!(!stderr.contains("EXIF"), "{stderr}");
    let model = |results: &str| {
        let name = "train/model_epoch_001_step_00012.safetensors";
        fs::read(folder.join(results).join(name)).unwrap()
    };
    assert!(model("out") != model("upright"), "the same pictures were read");
    let output = run(folder, &["-e", "spec.yaml", apply]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(stderr.contains("`hearth.dataset.exif_orientation` was nothing"), "{stderr}");
}
