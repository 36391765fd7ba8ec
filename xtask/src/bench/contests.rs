//! What is measured on both sides, and with which commands.

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use super::{Options, peers::Peers};
use crate::process;

const PICTURES: &str = "target/bench/pictures";
const CLIP: &str = "target/bench/clip";
/// The training step that benches/peers/clip.py makes too.
pub(super) const CLIP_SPEC: &str = "benches/peers/clip.yaml";
/// Hearth's side of benches/kernels.json.
const KERNELS: &str = "crates/backbones/examples/peers.rs";

/// Cases that are measured by the same programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Group {
    /// JPEG files to batches.
    Loader,
    /// Both towers of CLIP ViT-B/16.
    Clip,
    /// Pre-training of a ViT-B/16.
    MaeVit,
    /// Pre-training of a ConvNeXt V2 tiny.
    MaeConvnext,
    /// Pre-training of a Hiera tiny.
    MaeHiera,
    /// Single operations and blocks: benches/kernels.json.
    Kernels,
}

/// The command lines of both sides.
pub(super) struct Contest {
    pub(super) hearth: Vec<Vec<String>>,
    pub(super) peer: Vec<Vec<String>>,
}

impl Group {
    /// Those that were asked for, or all.
    pub(super) fn chosen(only: &[Group]) -> Vec<Group> {
        let all = Group::value_variants().iter().copied();
        all.filter(|group| only.is_empty() || only.contains(group)).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Group::Loader => "loader",
            Group::Clip => "clip",
            Group::MaeVit => "mae-vit",
            Group::MaeConvnext => "mae-convnext",
            Group::MaeHiera => "mae-hiera",
            Group::Kernels => "kernels",
        }
    }

    /// What a reader of the results has to know.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Group::Loader => {
                "A batch of 16 JPEG pictures of 640x480 to 224x224: `train` is a random crop of 40 to 100 %, \
                 bicubic, mirrored at random and normalised; `evaluate` the shorter side to 224 and the centre. \
                 PyTorch: Pillow and torchvision in the worker processes of a `DataLoader`; Hearth: as many threads."
            }
            Group::Clip => {
                "CLIP ViT-B/16 at 224 with its text tower, f32, 16 pairs: open_clip with SDPA and foreach AdamW \
                 against `trainer clip benchmark`, from the same weights, pictures and captions. Peak memory is the \
                 growth of the process since before the model."
            }
            Group::MaeVit => {
                "MAE of ViT-B/16 at 224, mask ratio 0.75, f32, 16 pictures: `ViTMAEForPreTraining` of transformers with \
                 SDPA and foreach AdamW against `trainer mae benchmark`, whose step begins with JPEG files."
            }
            Group::MaeConvnext => {
                "FCMAE of ConvNeXt V2 tiny at 224, mask ratio 0.6, f32, 16 pictures: timm's dense encoder with the mask \
                 behind its stem, in the faster of both layouts, against `trainer mae benchmark`, which computes on \
                 visible cells."
            }
            Group::MaeHiera => {
                "MAE of Hiera tiny at 224, mask ratio 0.6, f32, 16 pictures: `HieraForPreTraining` of transformers \
                 against `trainer mae benchmark`."
            }
            Group::Kernels => {
                "Single operations and blocks (`benches/kernels.json`), f32: `forward` without gradients, `both` with \
                 those of the inputs and weights."
            }
        }
    }

    pub(super) fn contest(self, options: &Options, peers: &Peers) -> Contest {
        let program = |name: &str| format!("target/{}/{name}", options.profile);
        let threads = options.threads.to_string();
        let steps = options.steps.to_string();
        let line = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let (hearth, peer): (Vec<Vec<String>>, Vec<Option<Vec<String>>>) = match self {
            Group::Loader => {
                let example = program("examples/loading");
                let cases = ["train", "evaluate"];
                let ours = cases.map(|case| line(&[&example, PICTURES, case, &threads]));
                let theirs = cases.map(|case| {
                    let arguments = [PICTURES, "--transform", case, "--workers", &threads];
                    peers.script("loader", &arguments)
                });
                (ours.into(), theirs.into())
            }
            Group::Clip => {
                let trainer = trainer(options);
                let benchmark = ["clip", "benchmark", "-e", CLIP_SPEC, "--json", "--steps", &steps];
                let ours = line(&[&[trainer.as_str()], &benchmark[..]].concat());
                let theirs = ["training_step", "forward"].map(|case| {
                    let (steps, threads) = (["--steps", &steps], ["--threads", &threads]);
                    let arguments = [&["run", CLIP, "--case", case][..], &steps, &threads].concat();
                    peers.script("clip", &arguments)
                });
                (vec![ours], theirs.into())
            }
            Group::MaeVit | Group::MaeConvnext | Group::MaeHiera => {
                let trainer = trainer(options);
                let spec = format!("benches/peers/{}.yaml", self.name());
                let benchmark = ["mae", "benchmark", "-e", &spec, "--json", "--steps", &steps];
                let ours = line(&[&[trainer.as_str()], &benchmark[..]].concat());
                let theirs = ["training_step", "forward"].map(|case| {
                    let (steps, threads) = (["--steps", &steps], ["--threads", &threads]);
                    let arguments = [&[self.name(), "--case", case][..], &steps, &threads].concat();
                    peers.script("mae", &arguments)
                });
                (vec![ours], theirs.into())
            }
            Group::Kernels => {
                let ours = line(&[&program("examples/peers")]);
                (vec![ours], vec![peers.script("kernels", &["--threads", &threads])])
            }
        };
        Contest { hearth, peer: peer.into_iter().flatten().collect() }
    }
}

/// The program, as it was built.
pub(super) fn trainer(options: &Options) -> String {
    format!("target/{}/trainer", options.profile)
}

/// Builds Hearth's programs, all at once: another selection of packages would build the framework anew.
pub(super) fn build(groups: &[Group], profile: &str) -> Result<()> {
    let mut arguments = vec!["build", "--profile", profile];
    if groups.contains(&Group::Loader) {
        arguments.extend(["-p", "hearth-data", "--example", "loading"]);
    }
    if groups.iter().any(|group| *group != Group::Loader) {
        arguments.extend(["-p", "trainer", "--bin", "trainer"]);
    }
    if groups.contains(&Group::Kernels) {
        anyhow::ensure!(crate::root().join(KERNELS).exists(), "{KERNELS}: not there");
        arguments.extend(["-p", "hearth-backbones", "--example", "peers"]);
    }
    process::run("cargo", &arguments)
}

/// The files that both sides read.
pub(super) fn make_inputs(groups: &[Group], python: &Path) -> Result<()> {
    let script = |words: &[&str]| process::run(python, words);
    if groups.contains(&Group::Loader) {
        script(&["benches/peers/pictures.py", PICTURES, "128"])?;
    }
    if groups.contains(&Group::Clip) {
        script(&["benches/peers/clip.py", "make", CLIP])?;
    }
    Ok(())
}
