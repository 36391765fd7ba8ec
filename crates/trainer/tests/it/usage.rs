//! Commands that are wrong before any spec is read.

use insta::assert_snapshot;

use super::session::{folder_with, session};

fn shown(arguments: &[&str]) -> String {
    session(&folder_with(&[]), arguments)
}

#[test]
fn no_spec() {
    assert_snapshot!(shown(&["clip", "train"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: the subtask `train` requires the following argument: -e/--experiment_spec_file

    hint: the command is `trainer clip train -e SPEC.yaml`
    hint: `trainer clip default_specs results_dir=DIR` writes a spec to start from
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["evaluate"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: the subtask `evaluate` requires the following argument: -e/--experiment_spec_file

    hint: the command is `trainer NETWORK evaluate -e SPEC.yaml`
    hint: `trainer NETWORK default_specs results_dir=DIR` writes a spec to start from
    Execution status: FAIL
    ");
}

#[test]
fn a_spec_that_is_not_there() {
    assert_snapshot!(shown(&["clip", "train", "-e", "nope.yaml"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: the indicated experiment spec file `nope.yaml` doesn't exist

    hint: `trainer clip default_specs results_dir=DIR` writes a spec to start from
    Execution status: FAIL
    ");
}

#[test]
fn names_that_nobody_knows() {
    assert_snapshot!(shown(&["clp", "train", "-e", "a.yaml"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `clp`: no such network or action

    hint: did you mean `clip`?
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["clip", "evalute", "-e", "a.yaml"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `evalute`: `clip` has no such action

    hint: did you mean `evaluate`?
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["mask2former", "train", "-e", "a.yaml"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `mask2former`: not in this release

    hint: this release has `clip`, `mae`
    Execution status: FAIL
    ");
}

#[test]
fn a_word_too_many() {
    assert_snapshot!(shown(&["clip", "train", "train.num_epochs", "3"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `train.num_epochs`: one word too many

    hint: the order is `trainer [NETWORK] [ACTION] -e SPEC [key=value ...]`
    hint: to set a key of the spec, give its value: `train.num_epochs=VALUE`
    Execution status: FAIL
    ");
}

#[test]
fn flags_that_are_wrong() {
    assert_snapshot!(shown(&["clip", "train", "--devise", "cpu"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `--devise`: no such flag

    hint: did you mean `--device`?
    hint: `trainer --help` lists the flags
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["--log-level", "loud"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'loud' for '--log-level <LEVEL>'
      [possible values: error, warning, info, debug]
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["-e"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: a value is required for '--experiment_spec_file <SPEC>' but none was supplied
    Execution status: FAIL
    ");
    assert_snapshot!(shown(&["clip", "train", "--gpus", "2"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `--gpus`: no such flag

    hint: keys of the spec are set by words without dashes: `results_dir=DIR`, `train.num_gpus=2`
    hint: `trainer --help` lists the flags
    Execution status: FAIL
    ");
}

#[test]
fn default_specs_takes_one_key() {
    assert_snapshot!(shown(&["clip", "default_specs", "reslts_dir=d"]), @r"
    exit code: 1
    ----- stdout -----
    ----- stderr -----
    error: `reslts_dir=d`: `default_specs` writes the defaults as they are

    hint: the folder for them is `results_dir=DIR`
    Execution status: FAIL
    ");
}
