//! The spec of CLIP: every key of TAO 7.3 with its default, and our own under `hearth`.
//!
//! A key stands here once; reading, checks, schema, default spec and `docs/specs/clip.md` are made from it.

mod check;
mod data;
mod deployment;
mod graphs;
mod hearth;
mod partial;
mod regularization;
mod run;
mod train;
mod zero_shot;

use std::path::{Path, PathBuf};

use hearth_engine::{EngineError, Precision, Replicas, Run, experiment};
use hearth_spec::{Diagnostics, Document, block, common::WandbSpec};

use crate::registry;

pub use check::{check, unknown_model_type};
pub use data::{
    AugmentationSpec, DatasetSpec, MetadataMatch, PathBlock, TrainDataSpec, TrainSource,
    ValidationDataSpec, WdsSpec,
};
pub use deployment::{EncoderType, ExportSpec, GenTrtEngineSpec, TensorRtSpec};
pub use hearth::{
    CaptionChoice, HearthDatasetSpec, HearthEvaluateSpec, HearthModelSpec, HearthSpec,
    HearthTrainDataSpec, HearthTrainSpec,
};
pub use regularization::{
    PeftMethod, PeftSpec, RegularizationSpec, TowerAdaptation, TowerPeftSpec,
};
pub use run::{EvaluateSpec, GroundTruth, InferenceSpec};
pub use train::{
    LossType, OptimSpec, OptimizerType, PositiveNormalization, Scheduler, SiglipExchange,
    SiglipMask, TrainSpec,
};
pub use zero_shot::ZeroShotSpec;

block! {
    /// Contrastive image and text towers: `clip train`, `evaluate`, `inference`.
    ///
    /// All keys of TAO Toolkit 7.3 are accepted with TAO's defaults. Keys of our own stand under `hearth`.
    pub struct ClipSpec {
        /// Name of the network; a spec with it runs without naming the network on the command line.
        model_name: Option<String> = Some("clip".into()),
        /// Passphrase for checkpoints.
        encryption_key: Option<String> =>
            notice("checkpoints are written without encryption, as TAO's CLIP does too"),
        /// Root folder of all results. An action writes to a folder of its own name in it, and `${results_dir}` in
        /// any value is this root.
        results_dir: Option<String> => empty_when_unset(), known_as(&["output_dir", "out_dir"]),
        /// Weights & Biases.
        wandb: WandbSpec =>
            notice_while("enable", "nothing is uploaded: TensorBoard events and status.json hold the numbers"),
        /// The two towers and the text rules.
        model: ModelSpec,
        /// Pictures and captions.
        dataset: DatasetSpec,
        /// Action `train`.
        train: TrainSpec,
        /// Action `evaluate`: retrieval metrics on `dataset.val`, and zero-shot classification.
        evaluate: EvaluateSpec,
        /// Action `inference`: embeddings of pictures and prompts.
        inference: InferenceSpec,
        /// Training of a few added weights instead of whole towers. Nothing in this block has an effect while
        /// `enabled` is false.
        peft: PeftSpec,
        /// Losses that hold the model near its start. Nothing in this block has an effect while `enabled` is false.
        regularization: RegularizationSpec,
        /// Action `export`: the towers as ONNX.
        export: ExportSpec,
        /// Action `gen_trt_engine`: TensorRT engines of exported towers.
        gen_trt_engine: GenTrtEngineSpec,
        /// Keys that TAO does not have.
        hearth: HearthSpec,
    }
}

block! {
    /// The two towers and the text rules.
    pub struct ModelSpec {
        /// Name of the architecture: `siglip2-*`, `ViT-*-SigLIP-CLIPA-*` (NV-CLIP), `c-radio_v3-*`, an OpenAI
        /// `ViT-*` or a built-in `hearth-*`. It decides
        /// tokenizer, text length, picture size and normalisation. Evaluation and inference with a checkpoint of
        /// ours take it from there.
        kind as "type": String = "siglip2-so400m-patch16-256".into() =>
            template("ViT-L-14-SigLIP-CLIPA-224"), known_as(&["model_type", "name", "arch", "backbone"]),
        /// Text head of a C-RADIO model, `siglip` or `clip`; other models have one text tower and ignore it.
        adaptor_name: Option<String> => known_as(&["adaptor", "adapter_name"]),
        /// Keeps the weights of the vision tower as they are.
        freeze_vision_encoder: bool => known_as(&["freeze_vision", "lock_image"]),
        /// Keeps the weights of the text tower as they are.
        freeze_text_encoder: bool => known_as(&["freeze_text", "lock_text"]),
        /// Side of the input picture in pixels, a multiple of the patch size. OpenCLIP and C-RADIO types only: a
        /// SigLIP2 name contains its size. Not written, the size of the type's name is used.
        image_size: usize = 256 =>
            min(1), template(224), known_as(&["input_size", "img_size"]),
            differs("TAO's default counts for every type, also where the weights have another size"),
        /// Logit scale to start from, as a logarithm. Not set keeps that of pretrained weights; fresh weights start
        /// at 2.3026 with the `siglip` loss and 2.6592 with `clip`.
        init_logit_scale: Option<f64>,
        /// Logit bias to start from. Not set keeps that of pretrained weights; fresh weights start at -10 with the
        /// `siglip` loss and 0 with `clip`.
        init_logit_bias: Option<f64>,
        /// Lower-cases captions and prompts and removes punctuation before they become tokens. SigLIP models were
        /// trained on such text: zero-shot classification gains from it, retrieval may want the punctuation.
        canonicalize_text: bool => known_as(&["canonicalize"]),
    }
}

/// What a spec is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Trains the towers.
    Train,
    /// Computes retrieval metrics.
    Evaluate,
    /// Writes embeddings.
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
            Action::Train | Action::Benchmark => &[
                "encryption_key",
                "wandb",
                "model",
                "dataset",
                "train",
                "peft",
                "regularization",
                "hearth",
            ],
            Action::Evaluate => &[
                "wandb",
                "model",
                "dataset.val",
                "evaluate",
                "hearth.model",
                "hearth.dataset",
                "hearth.evaluate",
            ],
            Action::Inference => &["model", "inference", "hearth.model", "hearth.dataset"],
            Action::Export => &["model", "export", "hearth.model"],
            Action::GenTrtEngine => {
                &["dataset.val", "gen_trt_engine", "hearth.model", "hearth.dataset"]
            }
        }
    }
}

impl ClipSpec {
    /// The spec for `action`, or everything that speaks against it; its warnings go to the run.
    pub(crate) fn read(
        document: &Document,
        action: Action,
        run: &Run,
    ) -> Result<Self, Diagnostics> {
        experiment::read(document, run, |spec| check(document, spec, action, registry::NAMES))
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

    /// The weights an action starts from: its own checkpoint, or else the pretrained ones.
    pub fn weights(&self, action: Action) -> Option<&Path> {
        let own = match action {
            Action::Train | Action::Benchmark | Action::GenTrtEngine => &None,
            Action::Evaluate => &self.evaluate.checkpoint,
            Action::Inference => &self.inference.checkpoint,
            Action::Export => &self.export.checkpoint,
        };
        own.as_ref().or(self.train.pretrained_model_path.as_ref()).map(Path::new)
    }

    /// The engine that an action runs instead of weights, and the number of its GPU.
    pub fn engine(&self, action: Action) -> Option<(&Path, usize)> {
        let (engine, gpus) = match action {
            Action::Evaluate => (&self.evaluate.trt_engine, &self.evaluate.gpu_ids),
            Action::Inference => (&self.inference.trt_engine, &self.inference.gpu_ids),
            _ => return None,
        };
        Some((Path::new(engine.as_ref()?), gpus.first().copied().unwrap_or(0)))
    }

    /// The file or folder that an action computes with: its engine, or its weights.
    pub fn model_path(&self, action: Action) -> Option<&Path> {
        self.engine(action).map(|(path, _)| path).or_else(|| self.weights(action))
    }

    /// Whether there is training data, wherever it is.
    pub fn names_training_data(&self) -> bool {
        let train = &self.dataset.train;
        match train.kind {
            TrainSource::Custom => !train.datasets.is_empty(),
            TrainSource::Wds => train.wds.root_dir.is_some() || train.wds.shard_list_file.is_some(),
        }
    }

    /// Who computes a training.
    pub(crate) fn replicas(
        &self,
        document: &Document,
        resumed: Option<&Path>,
        run: &Run,
    ) -> Result<Replicas, EngineError> {
        let written = self.hearth.train.common.replicas;
        Replicas::of_training(document, written, self.micro_batch(), resumed, run)
    }

    /// What the towers compute in.
    pub(crate) fn precision(&self, run: &Run) -> Precision {
        Precision::in_force(self.train.precision, self.hearth.train.common.half_on_cpu, run)
    }

    /// Pairs that training has in memory at once.
    pub fn micro_batch(&self) -> usize {
        self.dataset.train.batch_size.div_ceil(self.hearth.train.common.micro_batches)
    }

    /// The spec as YAML without paths, secrets and threads: what a checkpoint says about its training.
    pub fn portable(&self) -> String {
        let mut spec = Self {
            results_dir: None,
            encryption_key: None,
            evaluate: EvaluateSpec::default(),
            inference: InferenceSpec::default(),
            export: ExportSpec::default(),
            gen_trt_engine: GenTrtEngineSpec::default(),
            ..self.clone()
        };
        let defaults = Self::default();
        spec.dataset.train.datasets.clear();
        spec.dataset.train.wds = defaults.dataset.train.wds;
        spec.dataset.train.num_workers = defaults.dataset.train.num_workers;
        spec.dataset.val.datasets.clear();
        spec.dataset.val.num_workers = defaults.dataset.val.num_workers;
        spec.train.common.results_dir = None;
        spec.train.common.resume_training_checkpoint_path = None;
        spec.train.common.checkpointer.dirpath = None;
        spec.train.pretrained_model_path = None;
        spec.hearth.train.common.replicas = None;
        spec.hearth.model.tokenizer = None;
        spec.hearth.model.text_weights = None;
        spec.hearth.evaluate = HearthEvaluateSpec::default();
        hearth_spec::to_yaml(&spec)
    }
}
