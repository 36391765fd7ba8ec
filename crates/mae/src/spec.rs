//! The spec of MAE: every key of TAO 7.3 with its default, and our own under `hearth`.
//!
//! A key stands here once; reading, checks, schema, default spec and `docs/specs/mae.md` are made from it.

mod check;
mod data;
mod deployment;
mod hearth;
mod train;

use std::path::{Path, PathBuf};

use hearth_spec::{block, common::WandbSpec};

pub use check::check;
pub use data::{AugmentationSpec, DatasetSpec, Interpolation, MixupMode};
pub use deployment::{EvaluateSpec, ExportSpec, GenTrtEngineSpec, InferenceSpec};
pub use hearth::{HearthSpec, HearthTrainSpec, MaskModeName};
pub use train::{OptimSpec, Precision, Stage, TrainSpec};

block! {
    /// Masked autoencoders and the classifiers made of them: `mae train`, `evaluate`, `inference`.
    ///
    /// All keys of TAO Toolkit 7.3 are accepted with TAO's defaults. Keys of our own stand under `hearth`.
    pub struct MaeSpec {
        /// Name of the network; a spec with it runs without naming the network on the command line.
        model_name: Option<String>,
        /// Passphrase for checkpoints.
        encryption_key: Option<String> => notice("checkpoints are written without encryption"),
        /// Root folder of all results. An action writes to a folder of its own name in it, and `${results_dir}` in
        /// any value is this root.
        results_dir: Option<String> => empty_when_unset(), known_as(&["output_dir", "out_dir"]),
        /// Weights & Biases.
        wandb: WandbSpec =>
            notice_while("enable", "nothing is uploaded: TensorBoard events and status.json hold the numbers"),
        /// Encoder, decoder and head.
        model: ModelSpec,
        /// Pictures.
        dataset: DatasetSpec,
        /// Action `train`.
        train: TrainSpec,
        /// Action `evaluate`.
        evaluate: EvaluateSpec,
        /// Action `inference`.
        inference: InferenceSpec,
        /// Action `export`: ONNX.
        export: ExportSpec,
        /// Action `gen_trt_engine`: TensorRT.
        gen_trt_engine: GenTrtEngineSpec,
        /// Keys that TAO does not have.
        hearth: HearthSpec,
    }
}

block! {
    /// Encoder, decoder and head.
    pub struct ModelSpec {
        /// Name of the architecture: `convnextv2_*`, `hiera_*`, `vit_*`, or a small one of our own, `hearth-*`.
        arch: String = "convnextv2_base".into() => known_as(&["type", "backbone", "name"]),
        /// Classes of a fine-tuned model.
        num_classes: usize = 1000 => min(1), template(1), known_as(&["classes"]),
        /// Largest probability that a block is left out for a picture, in fine-tuning; it grows with depth.
        drop_path_rate: f64 = 0.1 =>
            min(0.0), below(1.0), known_as(&["drop_path"]),
            differs("TAO reads it and drops nothing; ours drops in fine-tuning only"),
        /// Whether a ViT classifies the mean of its patches; false takes its class token.
        global_pool: bool = true => differs("TAO ignores it"),
        /// Blocks of the decoder. Not written, one for ConvNeXt V2 and eight for ViT and Hiera.
        decoder_depth: usize = 1 => min(1), differs("TAO ignores it"),
        /// Width of the decoder. Not written, 512.
        decoder_embed_dim: usize = 512 => min(16), differs("TAO ignores it"),
    }
}

/// What a spec is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Trains an autoencoder or a classifier.
    Train,
    /// Computes metrics.
    Evaluate,
    /// Writes classes, reconstructions or features.
    Inference,
    /// Measures training; has no block of its own.
    Benchmark,
}

impl Action {
    /// The name on the command line, which is also that of its block and of its results folder.
    pub fn name(self) -> &'static str {
        match self {
            Action::Train => "train",
            Action::Evaluate => "evaluate",
            Action::Inference => "inference",
            Action::Benchmark => "benchmark",
        }
    }

    /// What it reads of a spec; all else may hold anything of the right type.
    pub fn blocks(self) -> &'static [&'static str] {
        match self {
            Action::Train | Action::Benchmark => {
                &["encryption_key", "wandb", "model", "dataset", "train", "hearth"]
            }
            Action::Evaluate => &["wandb", "model", "dataset", "evaluate", "train.stage", "hearth"],
            Action::Inference => &["model", "dataset", "inference", "train.stage", "hearth"],
        }
    }
}

impl MaeSpec {
    /// The folder an action writes to: its own `results_dir`, or its name inside the root's. A benchmark
    /// keeps nothing.
    pub fn results_dir(&self, action: Action) -> Option<PathBuf> {
        let own = match action {
            Action::Train => &self.train.common.results_dir,
            Action::Evaluate => &self.evaluate.results_dir,
            Action::Inference => &self.inference.results_dir,
            Action::Benchmark => return None,
        };
        let root = self.results_dir.as_deref().map(Path::new);
        own.as_ref().map(PathBuf::from).or_else(|| root.map(|root| root.join(action.name())))
    }
}
