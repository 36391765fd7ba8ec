//! Training from a spec to checkpoints: resuming, stopping, failing, evaluating.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use hearth_weights::WeightsFile;

use super::{
    session::{CACHE, run},
    shapes::{root, workspace},
};

pub(crate) const FINAL: &str = "train/model_epoch_002_step_00018.safetensors";

#[track_caller]
pub(crate) fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn fail(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    start_in(command.current_dir(folder).args(arguments).env("HEARTH_CACHE", folder.join(CACHE)))
}

/// `command`, which nobody listens to.
pub(crate) fn start_in(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until `ready` says so, at most a minute.
#[track_caller]
pub(crate) fn wait_for(child: &mut Child, ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited a minute");
        assert!(child.try_wait().unwrap().is_none(), "ended before it was stopped");
        sleep(Duration::from_millis(2));
    }
}

#[track_caller]
pub(crate) fn assert_same(a: &Path, b: &Path) {
    assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{} {}", a.display(), b.display());
}

#[test]
fn a_killed_run_continues_to_the_same_bytes_in_another_folder() {
    let folder = workspace();
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml"]);

    let arguments = ["-e", "spec.yaml", "results_dir=killed"];
    let mut child = start(folder, &arguments);
    let link = folder.join("killed/train/clip_latest.safetensors");
    wait_for(&mut child, || link.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.join("killed").join(FINAL).exists(), "the kill came too late");

    succeed(folder, &arguments);
    assert_same(&folder.join("out").join(FINAL), &folder.join("killed").join(FINAL));
    let state = "train/model_epoch_002_step_00018.state/optimizer.safetensors";
    assert_same(&folder.join("out").join(state), &folder.join("killed").join(state));
    let status = fs::read_to_string(folder.join("killed/train/status.json")).unwrap();
    assert!(status.contains("Resuming training from checkpoint"), "{status}");
}

#[test]
fn threads_change_nothing() {
    let folder = workspace();
    for threads in ["0", "1", "4"] {
        let results = format!("results_dir=threads{threads}");
        let workers = format!("dataset.train.num_workers={threads}");
        succeed(folder.path(), &["-e", "spec.yaml", &results, &workers]);
    }
    let model = |threads: &str| folder.path().join(format!("threads{threads}")).join(FINAL);
    assert_same(&model("1"), &model("4"));
    assert_same(&model("0"), &model("4"));
}

#[test]
fn sigterm_finishes_the_step_writes_a_checkpoint_and_the_run_goes_on() {
    let folder = workspace();
    let folder = folder.path();
    let arguments =
        ["-e", "spec.yaml", "train.num_epochs=200", "train.checkpoint_interval=1000000"];
    let mut child = start(folder, &arguments);
    let status = folder.join("out/train/status.json");
    let trained =
        || fs::read_to_string(&status).is_ok_and(|s| s.contains("Train metrics generated"));
    wait_for(&mut child, trained);
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));

    let link = fs::read_link(folder.join("out/train/clip_latest.safetensors")).unwrap();
    let step: usize = link.to_str().unwrap().rsplit_once('_').unwrap().1[..5].parse().unwrap();
    let epochs = format!("train.num_epochs={}", step / 6 + 1);
    succeed(folder, &["-e", "spec.yaml", &epochs]);
    let last = fs::read_link(folder.join("out/train/clip_latest.safetensors")).unwrap();
    assert!(last.to_str().unwrap().ends_with(&format!("{:05}.safetensors", (step / 6 + 1) * 6)));
}

#[test]
fn a_diverged_run_names_step_and_samples_and_exits_with_6() {
    let folder = workspace();
    let arguments = ["-e", "spec.yaml", "train.optim.vision_lr=1e38", "train.optim.warmup_steps=0"];
    let stderr = fail(folder.path(), 6, &arguments);
    assert!(stderr.contains("error: step "), "{stderr}");
    assert!(stderr.contains("train/images/00"), "{stderr}");
    assert!(stderr.contains("Execution status: FAIL"), "{stderr}");
    let status = fs::read_to_string(folder.path().join("out/train/status.json")).unwrap();
    assert!(status.lines().last().unwrap().contains("FAILURE"), "{status}");
}

#[test]
fn a_checkpoint_is_enough_to_evaluate_and_embed() {
    let folder = workspace();
    let folder = folder.path();
    let stdout =
        succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1", "hearth.train.baselines=true"]);
    assert!(stdout.contains("untrained weights"), "{stdout}");
    let next: Vec<&str> = stdout.lines().skip_while(|line| *line != "next:").skip(1).collect();
    assert_eq!(next.len(), 2, "{stdout}");
    for command in next {
        let mut words = command.split_whitespace();
        assert!(words.next().unwrap().ends_with("trainer"));
        succeed(folder, &words.collect::<Vec<_>>());
    }
    let results = fs::read_to_string(folder.join("out/evaluate/results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["num_images"], 10);
    assert!(results["t2i_R@10"] == 1.0, "{results}");
    assert!(folder.join("out/inference/image_embeddings.h5").exists());

    // TAO's name for the same checkpoint, and a spec without tokenizer.
    let spec = fs::read_to_string(folder.join("spec.yaml")).unwrap();
    fs::write(folder.join("bare.yaml"), spec.split("hearth:").next().unwrap()).unwrap();
    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.pth";
    let output = run(folder, &["clip", "evaluate", "-e", "bare.yaml", checkpoint]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("clip_latest.pth does not exist; reading"), "{stderr}");
}

#[test]
fn a_built_in_model_takes_any_vocabulary_and_its_checkpoint_carries_it() {
    let folder = workspace();
    let folder = folder.path();
    let spec = fs::read_to_string(folder.join("spec.yaml")).unwrap();
    fs::write(folder.join("bare.yaml"), spec.split("hearth:").next().unwrap()).unwrap();
    for (name, rules) in [("bert", "bert_strip_sep"), ("bpe_simple_vocab_16e6.txt.gz", "clip_bpe")]
    {
        let tokenizer = root().join("tests/golden/data/texts/small").join(name);
        let tokenizer = format!("hearth.model.tokenizer={}", tokenizer.display());
        let results = format!("results_dir={name}");
        let short = "train.num_epochs=1";
        let stdout = succeed(folder, &["-e", "spec.yaml", &tokenizer, &results, short]);
        assert!(stdout.contains("checkpoint:"), "{stdout}");

        let checkpoint = folder.join(name).join("train/clip_latest.safetensors");
        let file = WeightsFile::open(&checkpoint).unwrap();
        assert!(file.metadata()["hearth.recipe"].contains(rules), "{name}");
        let checkpoint = format!("evaluate.checkpoint={}", checkpoint.display());
        succeed(folder, &["clip", "evaluate", "-e", "bare.yaml", &checkpoint, &results]);
    }
}

#[test]
fn a_spec_that_contradicts_the_checkpoint_is_refused() {
    let folder = workspace();
    let folder = folder.path();
    succeed(folder, &["-e", "spec.yaml", "train.num_epochs=1"]);
    let checkpoint = "evaluate.checkpoint=out/train/clip_latest.safetensors";
    for (key, found) in [
        ("model.canonicalize_text=true", "found true, needed false, as in the checkpoint"),
        ("model.type=ViT-B-32", "found `ViT-B-32`, needed `hearth-tiny`, as in the checkpoint"),
    ] {
        let stderr = fail(folder, 2, &["clip", "evaluate", "-e", "spec.yaml", checkpoint, key]);
        assert!(stderr.contains(found), "{stderr}");
    }
    let stderr =
        fail(folder, 4, &["-e", "spec.yaml", "train.loss_type=clip", "train.num_epochs=4"]);
    assert!(
        stderr.contains("`train.loss_type` was siglip when this checkpoint was written"),
        "{stderr}"
    );
}

#[test]
fn broken_pictures_are_named_before_the_first_step_by_check() {
    let folder = workspace();
    let folder = folder.path();
    for name in ["0003.png", "0007.png"] {
        let path = folder.join("train/images").join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let stderr = fail(folder, 3, &["clip", "check", "-e", "spec.yaml"]);
    assert!(stderr.contains("0003.png") && stderr.contains("0007.png"), "{stderr}");
    assert!(!folder.join("out").exists());
    let stderr = fail(folder, 3, &["-e", "spec.yaml"]);
    assert!(stderr.contains(".png"), "{stderr}");
}

#[test]
fn a_batch_larger_than_the_data_is_refused_in_taos_words() {
    let folder = workspace();
    let stderr = fail(folder.path(), 2, &["-e", "spec.yaml", "dataset.train.batch_size=25"]);
    let message = "dataset size (24) is smaller than the total batch size (25)";
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn several_gpus_become_micro_batches_of_one_global_batch() {
    let folder = workspace();
    let folder = folder.path();
    let two = ["train.num_gpus=2", "train.gpu_ids=[0,1]", "dataset.train.batch_size=4"];
    succeed(folder, &[&["-e", "spec.yaml", "results_dir=two"], &two[..]].concat());
    succeed(folder, &["-e", "spec.yaml", "results_dir=one", "dataset.train.batch_size=8"]);
    let loss = |results: &str| -> f64 {
        let status = fs::read_to_string(folder.join(results).join("train/status.json")).unwrap();
        let line = status.lines().rfind(|line| line.contains("train_loss")).unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["kpi"]["train_loss"].as_f64().unwrap_or_else(|| panic!("{line}"))
    };
    let (one, two) = (loss("one"), loss("two"));
    assert!((one - two).abs() < 1e-4 * one, "{one} {two}");
}

#[test]
fn a_frozen_tower_stays_as_it_is() {
    let folder = workspace();
    let folder = folder.path();
    let frozen = "model.freeze_vision_encoder=true";
    succeed(folder, &["-e", "spec.yaml", frozen, "train.checkpoint_interval=1"]);
    let open = |name: &str| WeightsFile::open(folder.join("out/train").join(name)).unwrap();
    let first = open("model_epoch_000_step_00001.safetensors");
    let last = open("model_epoch_002_step_00018.safetensors");
    for name in first.names() {
        let same = first.read_f32(name).unwrap() == last.read_f32(name).unwrap();
        assert_eq!(same, name.starts_with("visual."), "{name}");
    }
}

#[test]
fn the_best_checkpoint_is_kept_besides_the_periodic_ones() {
    let folder = workspace();
    let folder = folder.path();
    let best =
        ["train.checkpointer.enable_topk=true", "train.checkpointer.filename=best-{epoch:02d}"];
    succeed(folder, &[&["-e", "spec.yaml"], &best[..]].concat());
    let kept: Vec<PathBuf> = fs::read_dir(folder.join("out/train"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("best-"))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(folder.join("out").join(FINAL).exists());
}

#[test]
fn a_run_that_starts_elsewhere_leaves_the_checkpoint_it_came_from() {
    let folder = workspace();
    let folder = folder.path();
    let keep = [
        "-e",
        "spec.yaml",
        "train.checkpointer.enable_topk=true",
        "train.checkpointer.replace_periodic=true",
    ];
    succeed(folder, &[&keep[..], &["train.num_epochs=1"]].concat());
    let link = folder.join("out/train/clip_latest.safetensors");
    let first = folder.join("out/train").join(fs::read_link(link).unwrap());
    let resume = format!("train.resume_training_checkpoint_path={}", first.display());
    succeed(folder, &[&keep[..], &["results_dir=elsewhere", &resume]].concat());
    assert!(first.exists(), "{}", first.display());
}
