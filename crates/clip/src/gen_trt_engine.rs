//! `clip gen_trt_engine`: TensorRT engines of exported towers.

mod files;
mod samples;

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_deploy::{
    DeployError, OnnxRuntime, get_onnx_runtime,
    half::{self, HalfModel, LayerPrecision},
    onnx::{self, ModelProto},
    trt::{Batches, Builder, EngineCard, Listener, Order, Profile, Source, TensorRtError},
    twin,
};
use hearth_engine::{Run, Summary};
use hearth_spec::Document;

use crate::{
    error::ClipError,
    experiment,
    spec::{Action, ClipSpec, EnginePrecision},
    summary,
};

/// Builds the engines that the spec names.
pub fn gen_trt_engine(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = experiment::read(document, Action::GenTrtEngine, run)?;
    let builder = Builder::find().map_err(DeployError::from)?;
    let files = files::of(&spec)?;
    let layers = layers(&spec)?;
    experiment::write(&spec, run)?;
    run.notice(&format!("engines are built by {} {}", builder.product(), builder.version()));
    let job = Job { document, spec: &spec, run, builder, layers };
    let mut written = Vec::new();
    for (graph, engine) in &files {
        written.push(job.build(graph, engine)?);
    }
    let (graph, engine) = &files[0];
    files::copy_sides(graph, engine)?;
    Ok(written.join("\n").into())
}

fn layers(spec: &ClipSpec) -> Result<Vec<LayerPrecision>, ClipError> {
    let entries = spec.gen_trt_engine.tensorrt.layers_precision.iter().flatten();
    let layers = entries.map(|entry| entry.parse()).collect::<Result<_, TensorRtError>>();
    Ok(layers.map_err(DeployError::from)?)
}

struct Job<'a> {
    document: &'a Document,
    spec: &'a ClipSpec,
    run: &'a Run,
    builder: Builder,
    layers: Vec<LayerPrecision>,
}

/// A graph in f16, which is there while it is built from.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(onnx::external_file(&self.0));
    }
}

impl Job<'_> {
    fn build(&self, graph: &Path, engine: &Path) -> Result<String, ClipError> {
        let block = &self.spec.gen_trt_engine;
        let model = onnx::read(graph)?;
        onnx::check(&model, graph)?;
        let profile = self.profile(&model)?;
        let metadata = model.metadata_props.iter();
        let metadata = metadata.map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        let (mut source, mut passing) = (graph.to_owned(), None);
        if block.tensorrt.data_type == EnginePrecision::Fp16 {
            let half = half::to_half(&model, &self.layers).map_err(DeployError::from)?;
            self.check(&model, &half, (graph, engine))?;
            drop(model);
            source = engine.with_extension("fp16.onnx");
            passing = Some(Passing(source.clone()));
            onnx::write(&half.model, &source)?;
        }
        let order = Order {
            onnx: source,
            profile,
            half: passing.is_some(),
            workspace: block.tensorrt.workspace_size,
            timing_cache: block.timing_cache.as_ref().map(PathBuf::from),
            verbose: block.verbose,
            gpu: block.gpu_id,
            metadata,
        };
        self.builder.leaves_out(&order).iter().for_each(|line| self.run.warn(line));
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
    ) -> Result<EngineCard, ClipError> {
        let verbose = order.verbose;
        let mut say = |line: &str| match verbose {
            true => self.run.notice(line),
            false => tracing::info!("{line}"),
        };
        let stopped = || self.run.stop.requested().is_some();
        let mut listener = Listener { say: &mut say, stopped: &stopped };
        let source = Source::of(graph).map_err(DeployError::from)?;
        let built = self.builder.build(order, source, engine, &mut listener);
        match built {
            Err(TensorRtError::Stopped) => Err(summary::interrupted(self.run)),
            built => Ok(built.map_err(DeployError::from)?),
        }
    }

    /// The shapes: the batch of the spec, where the graph leaves it open.
    fn profile(&self, model: &ModelProto) -> Result<Profile, ClipError> {
        let block = &self.spec.gen_trt_engine;
        let (wanted, own) = (block.batch_size, &block.tensorrt);
        let batches = match usize::try_from(wanted) {
            Ok(fixed) => Batches::fixed(fixed),
            Err(_) => Batches {
                min: own.min_batch_size,
                opt: own.opt_batch_size,
                max: own.max_batch_size,
            },
        };
        let profile = Profile::new(model, batches).map_err(DeployError::from)?;
        if let Some(fixed) = profile.fixed_batch() {
            if wanted > 0 && wanted != fixed {
                let mut checks = self.document.check();
                let needed = format!("-1 or {fixed}, the batch that the graph was exported for");
                checks.error("gen_trt_engine.batch_size", wanted, needed);
                checks.into_result()?;
            }
            self.run.notice(&format!(
                "the graph takes {fixed} samples and no other number; the engine does so too"
            ));
        }
        Ok(profile)
    }

    /// Runs the twin of `half`, if ONNX Runtime is there.
    fn check(
        &self,
        model: &ModelProto,
        half: &HalfModel,
        (graph, engine): (&Path, &Path),
    ) -> Result<(), ClipError> {
        let runtime = match OnnxRuntime::find() {
            Ok(runtime) => runtime,
            Err(problem) => {
                let commands = get_onnx_runtime().join("; ");
                self.run.warn(&format!("{problem}; fp16 is not checked. To check it: {commands}"));
                return Ok(());
            }
        };
        let samples = samples::of(self.document, self.spec, (model, graph), self.run)?;
        let folder = engine.parent().unwrap_or(Path::new(""));
        let judgement = twin::check(model, half, (&runtime, folder), &samples)?;
        let largest = judgement.largest.map_or(String::new(), |(node, value)| {
            format!(", the largest magnitude is {value:.1} in `{node}`")
        });
        let least = judgement.outputs.iter().map(|(_, cosine)| *cosine).fold(1.0, f32::min);
        self.run.notice(&format!(
            "fp16 is checked: {} results{largest}, the smallest cosine of an output is {least:.6}",
            judgement.measured
        ));
        Ok(())
    }
}
