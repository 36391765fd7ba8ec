//! From the spec file to the first line of the action: network, folder, errors of all kinds.

use std::fs;

use insta::assert_snapshot;

use super::session::{folder_with, session, status_lines};

#[test]
fn the_network_is_told_by_its_name() {
    let folder = folder_with(&[("a.yaml", "model_name: clip\n")]);
    assert_snapshot!(session(&folder, &["-e", "a.yaml"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    clip train: the network by `model_name` of a.yaml, the action by default
    error: a.yaml: `results_dir`: you need to set at least one of following fields: `results_dir`, `train.results_dir`
      = hint: add `results_dir=DIR` to the command
    Execution status: FAIL
    ");
}

#[test]
fn the_network_is_told_by_its_keys() {
    let folder = folder_with(&[("a.yaml", "train:\n  loss_type: siglip\n")]);
    assert_snapshot!(session(&folder, &["evaluate", "-e", "a.yaml"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    clip evaluate: the network by the key `train.loss_type` of a.yaml
    error: a.yaml: `results_dir`: you need to set at least one of following fields: `results_dir`, `evaluate.results_dir`
      = hint: add `results_dir=DIR` to the command
    Execution status: FAIL
    ");
}

#[test]
fn the_network_cannot_be_told() {
    let folder = folder_with(&[("a.yaml", "train:\n  num_epochs: 3\n")]);
    assert_snapshot!(session(&folder, &["-e", "a.yaml"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: a.yaml: `model_name`: not set, and no key tells which network this is
      = hint: name the network in the command: `trainer clip ...`
      = hint: name the network in the command: `trainer mae ...`
    Execution status: FAIL
    ");
    assert_snapshot!(session(&folder, &["-e", "a.yaml", "model_name=resnet"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: override `model_name=resnet`: found `resnet`, which is no network of this release
      = hint: name the network in the command: `trainer clip ...`
      = hint: name the network in the command: `trainer mae ...`
    Execution status: FAIL
    ");
}

#[test]
fn a_spec_that_is_no_yaml() {
    let folder = folder_with(&[("a.yaml", "train: {\n")]);
    assert_snapshot!(session(&folder, &["clip", "train", "-e", "a.yaml"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: a.yaml:2:1: not YAML: while parsing a node, did not find expected node content
      |
    2 | 
      | ^
    Execution status: FAIL
    ");
}

#[test]
fn a_device_of_another_build() {
    let folder = folder_with(&[("a.yaml", "results_dir: out\n")]);
    let cuda = ["clip", "train", "-e", "a.yaml", "--device", "cuda"];
    assert_snapshot!(session(&folder, &cuda), @r"
    exit code: 5
    ----- stdout -----
    ----- stderr -----
    error: device `cuda`: not in this build, which runs on `cpu`

    hint: `cargo build --release -p trainer --features cuda` makes one with it
    Execution status: FAIL
    ");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn mistakes_in_the_spec_end_in_the_status_file() {
    let folder = folder_with(&[("a.yaml", "results_dir: out\ntrain:\n  num_epoch: 3\n")]);
    let command = ["clip", "train", "-e", "a.yaml", "train.optim.vision_lr=fast"];
    assert_snapshot!(session(&folder, &command), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    Train results will be saved at: out/train
    error: a.yaml:3:3: `train.num_epoch`: unknown key
      |
    3 |   num_epoch: 3
      |   ^^^^^^^^^
      = hint: did you mean `train.num_epochs`?

    error: override `train.optim.vision_lr=fast`: found `fast`, needed a number of at least 0
    Execution status: FAIL
    ");
    assert_snapshot!(
        status_lines(&folder.path().join("out/train/status.json")).join("\n"), @r"
        STARTED Starting CLIP train.
        FAILURE Configuration error: a.yaml:3:3: `train.num_epoch`: unknown key; override `train.optim.vision_lr=fast`: found `fast`, needed a number of at least 0
        ");
}

#[test]
fn check_leaves_nothing_behind() {
    let folder = folder_with(&[("a.yaml", "results_dir: out\ntrain:\n  num_epoch: 3\n")]);
    let shown = session(&folder, &["clip", "check", "-e", "a.yaml"]);
    assert!(shown.starts_with("exit code: 2\n"), "{shown}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn the_folder_of_the_action_wins_and_is_used_as_it_is() {
    let spec = "results_dir: out\ntrain:\n  results_dir: mine\n  num_epoch: 3\n";
    let folder = folder_with(&[("a.yaml", spec)]);
    let shown = session(&folder, &["clip", "train", "-e", "a.yaml"]);
    assert!(shown.contains("Train results will be saved at: mine\n"), "{shown}");
    assert!(folder.path().join("mine/status.json").exists());
    assert!(!folder.path().join("out").exists());
}

#[test]
fn quiet_keeps_errors_and_the_last_word() {
    let folder = folder_with(&[("a.yaml", "results_dir: out\ntrain:\n  num_epoch: 3\n")]);
    assert_snapshot!(session(&folder, &["-q", "clip", "train", "-e", "a.yaml"]), @r"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: a.yaml:3:3: `train.num_epoch`: unknown key
      |
    3 |   num_epoch: 3
      |   ^^^^^^^^^
      = hint: did you mean `train.num_epochs`?
    Execution status: FAIL
    ");
}

#[test]
fn default_specs_are_printed_or_written() {
    let folder = folder_with(&[]);
    let printed = session(&folder, &["clip", "default_specs"]);
    let yaml = printed.split("----- stdout -----\n").nth(1).unwrap();
    let yaml = yaml.split("----- stderr -----\n").next().unwrap();
    assert!(yaml.contains("num_epochs: 10\n"), "{printed}");

    let command = ["clip", "default_specs", "results_dir=d"];
    assert_snapshot!(session(&folder, &command), @r"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    default spec written to d/experiment.yaml
    Execution status: PASS
    ");
    let written = fs::read_to_string(folder.path().join("d/experiment.yaml")).unwrap();
    assert_eq!(written, yaml);
    assert_snapshot!(session(&folder, &command), @r"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    warning: d/experiment.yaml: overwritten
    default spec written to d/experiment.yaml
    Execution status: PASS
    ");
}

#[test]
fn a_results_folder_that_cannot_be_made() {
    let folder = folder_with(&[("a.yaml", "results_dir: out\n"), ("out", "in the way")]);
    assert_snapshot!(session(&folder, &["clip", "train", "-e", "a.yaml"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: out/train: cannot create this folder
      caused by: Not a directory (os error 20)
    Execution status: FAIL
    ");
}
