//! What the program says about itself.

use std::time::{Duration, Instant};

use insta::assert_snapshot;

use super::session::{folder_with, run, session};

fn shown(arguments: &[&str]) -> String {
    session(&folder_with(&[]), arguments)
}

#[test]
fn the_program() {
    assert_snapshot!(shown(&["--help"]), @r"
    exit code: 0
    ----- stdout -----
    Trains, evaluates and runs vision models from the specs of NVIDIA TAO Toolkit.

    Usage: trainer [NETWORK] [ACTION] -e SPEC [key=value ...]
           trainer doctor

    Options:
      -e, --experiment_spec_file <SPEC>  The spec: a YAML file with the keys of TAO [alias: --spec]
          --device <DEVICE>              Where to compute: `cpu`, `cuda:0` or `wgpu` [default: auto]
      -q, --quiet                        Say only what needs attention
          --log-level <LEVEL>            How much to say; otherwise TAO_LOGGING_LEVEL decides, otherwise
                                         `info` [possible values: error, warning, info, debug]
          --steps <N>                    Of `benchmark`: steps that are measured
          --json                         Of `benchmark`: the result as JSON
          --tune                         Of `benchmark`: also look for the best number of replicas
      -h, --help                         What is said here, or about a network or an action named before
      -V, --version                      Print version

    Networks:
      clip           Image and text towers that share one embedding space
      mae            Masked autoencoders of ConvNeXt V2, Hiera and ViT, and the classifiers made of them

    Without NETWORK, `model_name` of the spec tells it, or the keys do; without ACTION it is train.
    `trainer NETWORK --help` lists the actions, `trainer NETWORK ACTION --help` the keys they read.
    `trainer doctor` shows what this machine offers and what this program makes of it.

    Overrides:
      key=value      Sets a key of the spec: train.optim.vision_lr=1e-4
      +key=value     The same; TAO's spelling for a key that the file lacks
      ~key           Takes a key out of the file, so that its default counts

    Exit codes:
      0 done  1 other  2 spec  3 data  4 weights  5 device or memory  6 diverged  130/143 stopped
    ----- stderr -----
    ");
    assert_eq!(shown(&["-h"]), shown(&["--help"]));
    assert_eq!(shown(&[]), shown(&["--help"]));
}

#[test]
fn the_version() {
    assert_snapshot!(shown(&["--version"]), @r"
    exit code: 0
    ----- stdout -----
    trainer [VERSION]
    ----- stderr -----
    ");
}

#[test]
fn a_network() {
    assert_snapshot!(shown(&["clip", "--help"]), @r"
    exit code: 0
    ----- stdout -----
    Image and text towers that share one embedding space.

    Usage: trainer clip [ACTION] -e SPEC [key=value ...]

    Actions:
      train          Trains on image/caption folders; the same command again continues a stopped run
      evaluate       Measures retrieval between pictures and captions, and zero-shot classification
      inference      Writes the embeddings of pictures and prompts to HDF5 files
      export         Writes the towers as ONNX and compares the files with the model
      gen_trt_engine Builds TensorRT engines of exported towers; fp16 is checked first
      default_specs  Prints a spec with all defaults, or writes it to DIR/experiment.yaml with results_dir=DIR
      check          Does everything short of a step - spec, files, weights, memory - and writes nothing
      benchmark      Measures loader, forward pass and training step, on generated data if the spec has none

    Keys of the spec: docs/specs/clip.md, or `trainer clip ACTION --help`
    ----- stderr -----
    ");
}

#[test]
fn an_action_without_a_spec() {
    assert_snapshot!(shown(&["clip", "default_specs", "--help"]), @r"
    exit code: 0
    ----- stdout -----
    Prints a spec with all defaults, or writes it to DIR/experiment.yaml with results_dir=DIR.

    Usage: trainer clip default_specs [results_dir=DIR]
    ----- stderr -----
    ");
}

/// The keys themselves are under test where they are defined.
#[test]
fn an_action_lists_the_keys_it_reads() {
    let train = shown(&["clip", "train", "--help"]);
    assert!(train.contains("Usage: trainer clip train -e SPEC [key=value ...]"), "{train}");
    assert!(train.contains("docs/specs/clip.md"), "{train}");
    let default_of = |key: &str| {
        let line = train.lines().find(|line| line.trim_start().starts_with(&format!("{key} ")));
        let line = line.unwrap_or_else(|| panic!("no line for {key} in\n{train}"));
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(default_of("train.num_epochs"), "10");
    assert_eq!(default_of("train.optim.vision_lr"), "0.0001");
    assert_eq!(default_of("dataset.train.datasets[].image_dir"), "???");
    assert!(!train.contains("inference."), "{train}");
}

#[test]
fn the_doctor_names_what_matters() {
    let report = shown(&["doctor"]);
    let names: Vec<_> = report
        .lines()
        .skip(2)
        .map_while(|line| line.get(..12).map(str::trim_end))
        .filter(|name| !["avx2", "fma", "avx512f"].contains(name))
        .collect();
    let expected =
        ["version", "devices", "processor", "cores", "memory", "disk", "hub cache", "data cache"];
    assert_eq!(names[..8], expected, "{report}");
}

/// The best of many: a busy machine may delay some.
#[test]
fn help_comes_at_once() {
    let folder = folder_with(&[]);
    let measured = |arguments: &[&str]| {
        let start = Instant::now();
        run(folder.path(), arguments);
        start.elapsed()
    };
    for arguments in [&["--help"][..], &["clip", "train", "--help"]] {
        let best = (0..30).map(|_| measured(arguments)).min().unwrap();
        assert!(best < Duration::from_millis(20), "{arguments:?}: {best:?}");
    }
}
