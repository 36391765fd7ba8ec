//! The spec of MAE: every key of TAO 7.3 with its default, and our own under `hearth`.
//!
//! A key stands here once; reading, checks, schema, default spec and `docs/specs/mae.md` are made from it.

mod check;
mod data;
mod deployment;
mod hearth;
mod train;

use std::path::{Path, PathBuf};

use hearth_engine::{EngineError, Precision, Replicas, Run, experiment};
use hearth_spec::{Diagnostics, Document, block, common::WandbSpec};

pub use check::check;
pub use data::{AugmentationSpec, DatasetSpec, Interpolation, MixupMode};
pub use deployment::{
    EvaluateSpec, ExportFormat, ExportSpec, GenTrtEngineSpec, InferenceSpec, TensorRtSpec,
};
pub use hearth::{
    HearthExportSpec, HearthInferenceSpec, HearthSpec, HearthTrainSpec, MaskModeName,
};
pub use train::{OptimSpec, Scheduler, Stage, TrainSpec};

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
    /// Writes ONNX.
    Export,
    /// Builds TensorRT engines.
    GenTrtEngine,
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
            Action::Export => "export",
            Action::GenTrtEngine => "gen_trt_engine",
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
            Action::Export => &["model", "export", "train.stage", "hearth.export"],
            Action::GenTrtEngine => &["dataset", "gen_trt_engine", "train.stage"],
        }
    }
}

impl MaeSpec {
    /// The spec for `action`, or everything that speaks against it; its warnings go to the run.
    pub(crate) fn read(
        document: &Document,
        action: Action,
        run: &Run,
    ) -> Result<Self, Diagnostics> {
        experiment::read(document, run, |spec| check(document, spec, action))
    }

    /// The folder an action writes to: its own `results_dir`, or its name inside the root's. A benchmark
    /// keeps nothing.
    pub fn results_dir(&self, action: Action) -> Option<PathBuf> {
        let own = match action {
            Action::Train => &self.train.common.results_dir,
            Action::Evaluate => &self.evaluate.results_dir,
            Action::Inference => &self.inference.results_dir,
            Action::Export => &self.export.results_dir,
            Action::GenTrtEngine => &self.gen_trt_engine.results_dir,
            Action::Benchmark => return None,
        };
        let root = self.results_dir.as_deref().map(Path::new);
        own.as_ref().map(PathBuf::from).or_else(|| root.map(|root| root.join(action.name())))
    }

    /// Who computes a training.
    pub(crate) fn replicas(
        &self,
        document: &Document,
        resumed: Option<&Path>,
        run: &Run,
    ) -> Result<Replicas, EngineError> {
        let common = &self.hearth.train.common;
        let micro_batch = self.dataset.batch_size.div_ceil(common.micro_batches);
        Replicas::of_training(document, common.replicas, micro_batch, resumed, run)
    }

    /// What passes compute in.
    pub(crate) fn precision(&self, run: &Run) -> Precision {
        Precision::in_force(self.train.precision, self.hearth.train.common.half_on_cpu, run)
    }

    /// Modules that are not trained.
    pub(crate) fn frozen(&self) -> &[String] {
        self.train.freeze.as_deref().unwrap_or_default()
    }

    /// The spec as YAML without paths, secrets and threads: what a checkpoint says about its training.
    pub(crate) fn portable(&self) -> String {
        let mut spec = Self {
            results_dir: None,
            encryption_key: None,
            evaluate: EvaluateSpec::default(),
            inference: InferenceSpec::default(),
            export: ExportSpec::default(),
            gen_trt_engine: GenTrtEngineSpec::default(),
            ..self.clone()
        };
        let defaults = DatasetSpec::default();
        spec.dataset.train_data_sources = defaults.train_data_sources;
        spec.dataset.val_data_sources = defaults.val_data_sources;
        spec.dataset.test_data_sources = defaults.test_data_sources;
        spec.dataset.num_workers_per_gpu = defaults.num_workers_per_gpu;
        spec.train.common.results_dir = None;
        spec.train.common.resume_training_checkpoint_path = None;
        spec.train.common.checkpointer.dirpath = None;
        spec.train.pretrained_model_path = None;
        spec.hearth.train.common.replicas = None;
        hearth_spec::to_yaml(&spec)
    }
}
