//! Replicas change the time of an action, and of its numbers no more than roundings.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use hearth_weights::WeightsFile;

use super::{
    embedding::read,
    session::CACHE,
    shapes::workspace,
    training::{FINAL, assert_same, start_in, wait_for},
};

/// The program as on a machine with so many cores.
fn run_on(cores: usize, folder: &Path, arguments: &[&str]) -> Output {
    command_on(cores, folder, arguments).output().unwrap()
}

fn command_on(cores: usize, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(folder).args(arguments).env("HEARTH_CACHE", folder.join(CACHE));
    command.env("RAYON_NUM_THREADS", cores.to_string());
    command
}

#[track_caller]
fn succeed_on(cores: usize, folder: &Path, arguments: &[&str]) -> String {
    let output = run_on(cores, folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[track_caller]
fn fail_on(cores: usize, folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = run_on(cores, folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

/// All values of a file of tensors, by name.
pub(crate) fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let file = WeightsFile::open(path).unwrap();
    file.names().map(|name| (name.to_owned(), file.read_f32(name).unwrap())).collect()
}

pub(crate) fn norm(values: impl Iterator<Item = f32>) -> f32 {
    values.map(|value| value * value).sum::<f32>().sqrt()
}

pub(crate) fn train_loss(results: &Path) -> f64 {
    let status = fs::read_to_string(results.join("status.json")).unwrap();
    let line = status.lines().rfind(|line| line.contains("train_loss")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["kpi"]["train_loss"].as_f64().unwrap()
}

pub(crate) const STATE: &str = "train/model_epoch_000_step_00001.state";

/// The first moments of the optimizer after one step are its gradients times a constant.
#[test]
fn one_step_has_the_loss_and_the_gradients_of_one_replica() {
    let folder = workspace();
    let folder = folder.path();
    let one_step = ["-e", "spec.yaml", "dataset.train.batch_size=20", "train.num_epochs=1"];
    let step = |results: &str, more: &[&str]| -> PathBuf {
        let results_dir = format!("results_dir={results}");
        succeed_on(4, folder, &[&one_step[..], &[&results_dir], more].concat());
        folder.join(results)
    };
    for family in [&[][..], &["train.loss_type=clip"], &["model.type=hearth-tiny-naflex"]] {
        let whole = step("one", &[family, &["hearth.train.replicas=1"]].concat());
        for parts in [
            &["hearth.train.replicas=2"][..],
            &["hearth.train.replicas=3"],
            &["hearth.train.replicas=2", "hearth.train.micro_batches=2"],
        ] {
            let split = step("several", &[family, parts].concat());
            let (a, b) = (train_loss(&whole.join("train")), train_loss(&split.join("train")));
            assert!((a - b).abs() < 1e-5 * a, "{family:?} {parts:?}: loss {a} {b}");
            let file = |results: &Path| tensors(&results.join(STATE).join("optimizer.safetensors"));
            let (whole, split) = (file(&whole), file(&split));
            let size = norm(whole.iter().flat_map(|(_, values)| values.iter().copied()));
            for ((name, a), (_, b)) in whole.iter().zip(&split) {
                let difference = norm(a.iter().zip(b).map(|(a, b)| a - b));
                assert!(difference < 1e-5 * size, "{family:?} {parts:?}: {name} by {difference}");
            }
            fs::remove_dir_all(folder.join("several")).unwrap();
        }
        fs::remove_dir_all(folder.join("one")).unwrap();
    }
}

#[test]
fn a_killed_run_of_two_replicas_continues_to_the_same_bytes_on_another_machine() {
    let folder = workspace();
    let folder = folder.path();
    succeed_on(2, folder, &["-e", "spec.yaml"]);

    let arguments = ["-e", "spec.yaml", "results_dir=killed"];
    let mut child = start_in(&mut command_on(2, folder, &arguments));
    let link = folder.join("killed/train/clip_latest.safetensors");
    wait_for(&mut child, || link.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("killed").join(FINAL).exists(), "the kill came too late");

    // Three cores would take three replicas; each of two has one thread, as before.
    let said = succeed_on(3, folder, &arguments);
    assert!(said.contains("2 replicas as in the checkpoint"), "{said}");
    assert!(said.contains("`hearth.train.replicas=3` suits this machine better"), "{said}");
    assert_same(&folder.join("out").join(FINAL), &folder.join("killed").join(FINAL));
    let state = "train/model_epoch_002_step_00018.state/optimizer.safetensors";
    assert_same(&folder.join("out").join(state), &folder.join("killed").join(state));

    let more = ["train.num_epochs=4", "hearth.train.replicas=3"];
    let said = succeed_on(3, folder, &[&arguments[..], &more].concat());
    assert!(said.contains("`hearth.train.replicas` is 3, the checkpoint comes from 2"), "{said}");
    let last = "killed/train/model_epoch_003_step_00024.state/progress.json";
    let progress = fs::read_to_string(folder.join(last)).unwrap();
    assert!(progress.contains("\"replicas\": 3"), "{progress}");
}

#[test]
fn evaluation_and_inference_give_the_same_on_any_number_of_cores() {
    let folder = workspace();
    let folder = folder.path();
    succeed_on(2, folder, &["-e", "spec.yaml"]);
    let checkpoint = "checkpoint=out/train/clip_latest.safetensors";
    let mut seen = Vec::new();
    for cores in [1, 2, 3] {
        let results = format!("results_dir=cores{cores}");
        for action in ["evaluate", "inference"] {
            let checkpoint = format!("{action}.{checkpoint}");
            succeed_on(cores, folder, &["clip", action, "-e", "spec.yaml", &checkpoint, &results]);
        }
        let results = folder.join(format!("cores{cores}"));
        let metrics = fs::read_to_string(results.join("evaluate/results.json")).unwrap();
        let inference = results.join("inference");
        let (_, images, names) = read(&inference, "image_embeddings.h5", "image_paths");
        let (_, texts, _) = read(&inference, "text_embeddings.h5", "texts");
        seen.push((metrics, names, [images, texts].concat()));
    }
    let (metrics, names, rows) = &seen[0];
    for (other_metrics, other_names, other_rows) in &seen[1..] {
        assert_eq!((metrics, names), (other_metrics, other_names));
        assert_eq!(rows.len(), other_rows.len());
        for (a, b) in rows.iter().zip(other_rows) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn a_number_that_cannot_be_is_refused_before_the_first_step() {
    let folder = workspace();
    let folder = folder.path();
    for (value, found) in [
        ("0", "found `0`, needed an integer of at least 1 or null"),
        ("3", "found 3, needed at most 2, the cores of this machine"),
        ("5", "found 5, needed at most 4, the pairs that are computed at once"),
        ("many", "found `many`, needed an integer of at least 1 or null"),
    ] {
        for action in ["train", "check"] {
            let key = format!("hearth.train.replicas={value}");
            let said = fail_on(2, folder, 2, &["clip", action, "-e", "spec.yaml", &key]);
            assert!(said.contains(found), "{said}");
        }
    }
    succeed_on(2, folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
    let progress = folder.join("out/train/model_epoch_000_step_00006.state/progress.json");
    let text = fs::read_to_string(&progress).unwrap();
    fs::write(&progress, text.replace("\"replicas\": 2", "\"replicas\": 4000000000")).unwrap();
    let said = fail_on(2, folder, 4, &["-e", "spec.yaml"]);
    assert!(said.contains("found 4000000000 replicas, needed 1 to 1024"), "{said}");

    // As a release without replicas wrote it: it computed with one.
    fs::write(&progress, text.replace("  \"replicas\": 2,\n", "")).unwrap();
    let said = succeed_on(2, folder, &["-e", "spec.yaml"]);
    assert!(said.contains("1 replica as in the checkpoint"), "{said}");
}
