//! `gen_trt_engine`: engines of exported graphs; in 16 bits they are checked first.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_spec::{Diagnostics, Document};

use super::{Batches, Builder, EngineCard, Listener, Order, Profile, Source, TensorRtError};
use crate::{
    error::{DeployError, get_onnx_runtime},
    follower::Follower,
    half::{self, HalfModel, LayerPrecision},
    onnx::{self, ModelProto},
    onnx_runtime::OnnxRuntime,
    runner::Named,
    twin,
};

/// Keys of `gen_trt_engine`.
#[derive(Debug, Clone)]
pub struct JobKeys {
    /// `batch_size`.
    pub batch_size: i64,
    /// `tensorrt.min_batch_size` and so on.
    pub batches: Batches,
    /// Whether `tensorrt.data_type` is fp16.
    pub half: bool,
    /// `tensorrt.layers_precision`.
    pub layers: Vec<String>,
    /// `tensorrt.workspace_size`, MiB.
    pub workspace: usize,
    /// `timing_cache`.
    pub timing_cache: Option<PathBuf>,
    /// `verbose`.
    pub verbose: bool,
    /// `gpu_id`.
    pub gpu: usize,
}

/// Builds engines.
pub struct Job<'a> {
    document: &'a Document,
    keys: JobKeys,
    layers: Vec<LayerPrecision>,
    builder: Builder,
    follower: &'a Follower<'a>,
}

/// A graph in f16, which is there while it is built from.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(onnx::external_file(&self.0));
    }
}

impl<'a> Job<'a> {
    /// With the builder of this machine.
    pub fn new(
        document: &'a Document,
        keys: JobKeys,
        follower: &'a Follower<'a>,
    ) -> Result<Self, DeployError> {
        let builder = Builder::find()?;
        let layers = keys.layers.iter().map(|entry| entry.parse());
        let layers = layers.collect::<Result<_, TensorRtError>>()?;
        Ok(Self { document, keys, layers, builder, follower })
    }

    /// What builds, for the user.
    pub fn announce(&self) {
        let (product, version) = (self.builder.product(), self.builder.version());
        (self.follower.notice)(&format!("engines are built by {product} {version}"));
    }

    /// Builds `engine` from `graph`. In 16 bits it is checked on what `samples` makes of the graph.
    /// Returns a line about the file.
    pub fn build<E: From<DeployError> + From<Diagnostics>>(
        &self,
        graph: &Path,
        engine: &Path,
        samples: impl FnOnce(&ModelProto) -> Result<Vec<Vec<Named>>, E>,
    ) -> Result<String, E> {
        let model = onnx::read(graph)?;
        onnx::check(&model, graph)?;
        let profile = self.profile::<E>(&model)?;
        let metadata = model.metadata_props.iter();
        let metadata = metadata.map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        let (mut source, mut passing) = (graph.to_owned(), None);
        if self.keys.half {
            let half = half::to_half(&model, &self.layers).map_err(DeployError::from)?;
            self.check(&model, &half, engine, samples)?;
            drop(model);
            source = engine.with_extension("fp16.onnx");
            passing = Some(Passing(source.clone()));
            onnx::write(&half.model, &source)?;
        }
        let order = Order {
            onnx: source,
            profile,
            half: passing.is_some(),
            workspace: self.keys.workspace,
            timing_cache: self.keys.timing_cache.clone(),
            verbose: self.keys.verbose,
            gpu: self.keys.gpu,
            metadata,
        };
        self.builder.leaves_out(&order).iter().for_each(|line| (self.follower.warn)(line));
        let card = self.run_builder(&order, graph, engine)?;
        let size = fs::metadata(engine).map_or(0, |found| found.len()) as f64 / 1e6;
        let (product, version, precision) = (card.product, &card.version, &card.precision);
        Ok(format!("{}: {size:.1} MB, {precision}, for {product} {version}", engine.display()))
    }

    fn run_builder(
        &self,
        order: &Order,
        graph: &Path,
        engine: &Path,
    ) -> Result<EngineCard, DeployError> {
        let verbose = order.verbose;
        let mut say = |line: &str| match verbose {
            true => (self.follower.notice)(line),
            false => tracing::info!("{line}"),
        };
        let mut listener = Listener { say: &mut say, stopped: self.follower.is_stopped };
        let source = Source::of(graph)?;
        Ok(self.builder.build(order, source, engine, &mut listener)?)
    }

    /// The shapes: the batch of the spec, where the graph leaves it open.
    fn profile<E: From<DeployError> + From<Diagnostics>>(
        &self,
        model: &ModelProto,
    ) -> Result<Profile, E> {
        let wanted = self.keys.batch_size;
        let batches = match usize::try_from(wanted) {
            Ok(fixed) => Batches::fixed(fixed),
            Err(_) => self.keys.batches,
        };
        let profile = Profile::new(model, batches).map_err(DeployError::from)?;
        if let Some(fixed) = profile.fixed_batch() {
            if wanted > 0 && wanted != fixed {
                let mut checks = self.document.check();
                let needed = format!("-1 or {fixed}, the batch that the graph was exported for");
                checks.error("gen_trt_engine.batch_size", wanted, needed);
                checks.into_result()?;
            }
            (self.follower.notice)(&format!(
                "the graph takes {fixed} samples and no other number; the engine does so too"
            ));
        }
        Ok(profile)
    }

    /// Runs the twin of `half`, if ONNX Runtime is there.
    fn check<E: From<DeployError>>(
        &self,
        model: &ModelProto,
        half: &HalfModel,
        engine: &Path,
        samples: impl FnOnce(&ModelProto) -> Result<Vec<Vec<Named>>, E>,
    ) -> Result<(), E> {
        let runtime = match OnnxRuntime::find() {
            Ok(runtime) => runtime,
            Err(problem) => {
                let commands = get_onnx_runtime().join("; ");
                (self.follower.warn)(&format!(
                    "{problem}; fp16 is not checked. To check it: {commands}"
                ));
                return Ok(());
            }
        };
        let samples = samples(model)?;
        let folder = engine.parent().unwrap_or(Path::new(""));
        let judgement = twin::check(model, half, (&runtime, folder), &samples)?;
        let largest = judgement.largest.map_or(String::new(), |(node, value)| {
            format!(", the largest magnitude is {value:.1} in `{node}`")
        });
        let least = judgement.outputs.iter().map(|(_, cosine)| *cosine).fold(1.0, f32::min);
        (self.follower.notice)(&format!(
            "fp16 is checked: {} results{largest}, the smallest cosine of an output is {least:.6}",
            judgement.measured
        ));
        Ok(())
    }
}
