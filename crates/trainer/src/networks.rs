//! The networks of this program and their actions: the one table that names families.

use hearth_clip::{ClipError, spec::ClipSpec};
use hearth_engine::{Failure, Run, Summary, benchmark::BenchmarkOptions};
use hearth_mae::{MaeError, spec::MaeSpec};
use hearth_spec::{Block, Document, Key};

use crate::failure::{Failed, exit};

/// A family as the command line sees it.
#[derive(Debug)]
pub(crate) struct Network {
    /// As typed.
    pub(crate) name: &'static str,
    /// As displayed, and as `status.json` has it.
    pub(crate) display: &'static str,
    pub(crate) about: &'static str,
    pub(crate) actions: &'static [Action],
    /// Actions of TAO that come with a later release.
    pub(crate) actions_not_yet: &'static [&'static str],
    /// Keys that no other network has: a spec with one of them needs no name.
    pub(crate) recognised_by: &'static [&'static str],
    /// The definition of its spec.
    pub(crate) keys: fn() -> &'static [Key],
    /// A spec to start from, as YAML.
    pub(crate) default_specs: fn() -> String,
}

/// Something a network can do.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Blocks of the spec that it reads.
    pub(crate) blocks: &'static [&'static str],
    pub(crate) does: Does,
}

/// What happens when an action is called.
#[derive(Debug)]
pub(crate) enum Does {
    /// Results, `status.json` and the rest go to the results folder.
    Work(Work),
    /// Nothing is left behind.
    DryWork(Work),
    /// Nothing is left behind either; flags say what is measured.
    Benchmark(fn(&Document, &Run, &BenchmarkOptions) -> Result<Summary, Failed>),
    /// The defaults of the network are shown or written; needs no spec.
    DefaultSpecs,
}

/// An action of a family.
pub(crate) type Work = fn(&Document, &Run) -> Result<Summary, Failed>;

/// What a command without an action does.
pub(crate) const DEFAULT_ACTION: &str = "train";

/// Networks of TAO that come with a later release.
pub(crate) const NOT_YET: &[&str] = &["mask2former", "oneformer"];

/// All networks.
pub(crate) const NETWORKS: &[Network] = &[
    Network {
        name: "clip",
        display: "CLIP",
        about: "Image and text towers that share one embedding space",
        actions: CLIP_ACTIONS,
        actions_not_yet: &[],
        recognised_by: &[
            "train.optim.vision_lr",
            "train.optim.text_lr",
            "train.loss_type",
            "model.adaptor_name",
            "model.canonicalize_text",
            "model.freeze_text_encoder",
            "model.init_logit_scale",
            "inference.text_file",
            "dataset.augmentation.grayscale",
        ],
        keys: ClipSpec::keys,
        default_specs: hearth_clip::default_specs,
    },
    Network {
        name: "mae",
        display: "MAE",
        about: "Masked autoencoders of ConvNeXt V2, Hiera and ViT, and the classifiers made of them",
        actions: MAE_ACTIONS,
        actions_not_yet: &[],
        recognised_by: &[
            "train.stage",
            "train.mask_ratio",
            "train.norm_pix_loss",
            "train.optim.layer_decay",
            "model.decoder_embed_dim",
            "model.arch",
            "dataset.train_data_sources",
            "dataset.val_data_sources",
            "dataset.test_data_sources",
        ],
        keys: MaeSpec::keys,
        default_specs: hearth_mae::default_specs,
    },
];

const CLIP_ACTIONS: &[Action] = &[
    Action {
        name: "train",
        about: "Trains on image/caption folders; the same command again continues a stopped run",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_clip::train(document, run)?)),
    },
    Action {
        name: "evaluate",
        about: "Measures retrieval between pictures and captions, and zero-shot classification",
        blocks: &["model", "dataset", "evaluate", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_clip::evaluate(document, run)?)),
    },
    Action {
        name: "inference",
        about: "Writes the embeddings of pictures and prompts to HDF5 files",
        blocks: &["model", "inference", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_clip::inference(document, run)?)),
    },
    Action {
        name: "export",
        about: "Writes the towers as ONNX and compares the files with the model",
        blocks: &["model", "export", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_clip::export(document, run)?)),
    },
    Action {
        name: "gen_trt_engine",
        about: "Builds TensorRT engines of exported towers; fp16 is checked first",
        blocks: &["gen_trt_engine", "dataset", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_clip::gen_trt_engine(document, run)?)),
    },
    Action {
        name: "default_specs",
        about: "Prints a spec with all defaults, or writes it to DIR/experiment.yaml with results_dir=DIR",
        blocks: &[],
        does: Does::DefaultSpecs,
    },
    Action {
        name: "check",
        about: "Does everything short of a step - spec, files, weights, memory - and writes nothing",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::DryWork(|document, run| Ok(hearth_clip::check(document, run)?)),
    },
    Action {
        name: "benchmark",
        about: "Measures loader, forward pass and training step, on generated data if the spec has none",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::Benchmark(|document, run, options| {
            Ok(hearth_clip::benchmark(document, run, options)?)
        }),
    },
];

const MAE_ACTIONS: &[Action] = &[
    Action {
        name: "train",
        about: "Pre-trains on pictures without labels, or fine-tunes on class folders; the same command \
                again continues a stopped run",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_mae::train(document, run)?)),
    },
    Action {
        name: "evaluate",
        about: "Measures accuracy, or the loss of an autoencoder",
        blocks: &["model", "dataset", "evaluate", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_mae::evaluate(document, run)?)),
    },
    Action {
        name: "inference",
        about: "Writes the classes of pictures, or sheets of reconstructions; features on request",
        blocks: &["model", "dataset", "inference", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_mae::inference(document, run)?)),
    },
    Action {
        name: "export",
        about: "Writes a classifier or an encoder as ONNX and compares the file with the model",
        blocks: &["model", "export", "hearth"],
        does: Does::Work(|document, run| Ok(hearth_mae::export(document, run)?)),
    },
    Action {
        name: "gen_trt_engine",
        about: "Builds a TensorRT engine of an exported graph; fp16 is checked first",
        blocks: &["gen_trt_engine", "dataset"],
        does: Does::Work(|document, run| Ok(hearth_mae::gen_trt_engine(document, run)?)),
    },
    Action {
        name: "default_specs",
        about: "Prints a spec with all defaults, or writes it to DIR/experiment.yaml with results_dir=DIR",
        blocks: &[],
        does: Does::DefaultSpecs,
    },
    Action {
        name: "check",
        about: "Does everything short of a step - spec, files, weights - and writes nothing",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::DryWork(|document, run| Ok(hearth_mae::check(document, run)?)),
    },
    Action {
        name: "benchmark",
        about: "Measures loader, forward pass and training step, on generated data if the spec has none",
        blocks: &["model", "dataset", "train", "hearth"],
        does: Does::Benchmark(|document, run, options| {
            Ok(hearth_mae::benchmark(document, run, options)?)
        }),
    },
];

/// The network called `name`.
pub(crate) fn network(name: &str) -> Option<&'static Network> {
    NETWORKS.iter().find(|network| network.name == name)
}

impl From<ClipError> for Failed {
    fn from(error: ClipError) -> Failed {
        let hints = error.hints();
        match error {
            ClipError::Spec(found) => found.into(),
            ClipError::Data(error) => error.into(),
            ClipError::Weights(error) => error.into(),
            ClipError::Engine(error) => error.into(),
            ClipError::File(error) => error.into(),
            ClipError::Deploy(error) => error.into(),
            ClipError::Recipe { .. }
            | ClipError::Graph { .. }
            | ClipError::NoTower { .. }
            | ClipError::Radio { .. }
            | ClipError::Vocabulary { .. }
            | ClipError::NotFinite { .. } => {
                Failed::new(exit::WEIGHTS, Failure::Validation, &error, &hints)
            }
            ClipError::NoEngine { .. } => {
                Failed::new(exit::WEIGHTS, Failure::FileSystem, &error, &hints)
            }
            ClipError::NoExport { .. } => {
                Failed::new(exit::SPEC, Failure::Configuration, &error, &hints)
            }
        }
    }
}

impl From<MaeError> for Failed {
    fn from(error: MaeError) -> Failed {
        let hints = error.hints();
        match error {
            MaeError::Spec(found) => found.into(),
            MaeError::Data(error) => error.into(),
            MaeError::Weights(error) => error.into(),
            MaeError::Engine(error) => error.into(),
            MaeError::File(error) => error.into(),
            MaeError::Deploy(error) => error.into(),
            MaeError::Recipe { .. } | MaeError::NotFinite { .. } => {
                Failed::new(exit::WEIGHTS, Failure::Validation, &error, &hints)
            }
        }
    }
}
