//! `mae gen_trt_engine`: a TensorRT engine of an exported graph.

use std::path::{Path, PathBuf};

use burn::tensor::TensorData;
use hearth_data::random::Key;
use hearth_deploy::{
    DeployError, Follower, Named,
    onnx::{DimensionValue, ModelProto},
    trt::{Batches, Job, JobKeys},
};
use hearth_engine::{Batches as _, EngineError, FileError, Run, Summary, experiment};
use hearth_spec::{Document, common::EnginePrecision};

use crate::{
    error::MaeError,
    export::INPUT,
    recipe,
    source::validation_data,
    spec::{Action, GenTrtEngineSpec, MaeSpec},
};

/// As many pictures as show what they do to the numbers.
const SAMPLES: usize = 8;

/// Builds the engine that the spec names.
pub fn gen_trt_engine(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::GenTrtEngine, run)?;
    let follower = Follower {
        notice: &|line| run.notice(line),
        warn: &|line| run.warn(line),
        is_stopped: &|| run.stop.requested().is_some(),
    };
    let block = &spec.gen_trt_engine;
    let job = Job::new(document, keys(block), &follower)?;
    let graph = PathBuf::from(&block.onnx_file);
    let engine = PathBuf::from(block.trt_engine.as_deref().unwrap_or_default());
    if !graph.exists() {
        return Err(DeployError::Missing { path: graph }.into());
    }
    if let Some(folder) = engine.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
    }
    experiment::write(&spec, run)?;
    job.announce();
    let samples = |model: &ModelProto| samples(&spec, model, run);
    let built: Result<String, MaeError> = job.build(&graph, &engine, samples);
    let line = built.map_err(|error| match run.stop.requested() {
        Some(_) => EngineError::interrupted(run).into(),
        None => error,
    })?;
    Ok(line.into())
}

fn keys(block: &GenTrtEngineSpec) -> JobKeys {
    let own = &block.tensorrt;
    JobKeys {
        batch_size: block.batch_size,
        batches: Batches {
            min: own.min_batch_size,
            opt: own.opt_batch_size,
            max: own.max_batch_size,
        },
        half: own.data_type == EnginePrecision::Fp16,
        layers: own.layers_precision.clone().unwrap_or_default(),
        workspace: own.workspace_size,
        timing_cache: block.timing_cache.as_ref().map(PathBuf::from),
        verbose: block.verbose,
        gpu: block.gpu_id,
    }
}

/// What fp16 is checked on: pictures of `dataset.val_data_sources` where the graph says how it takes
/// them and the spec has some, else noise.
fn samples(spec: &MaeSpec, model: &ModelProto, run: &Run) -> Result<Vec<Vec<Named>>, MaeError> {
    let recipe = recipe::of_graph(model).filter(|_| !spec.dataset.val_data_sources.is_empty());
    let pixels = match recipe {
        Some(recipe) => {
            let data = validation_data(spec, &recipe, SAMPLES, run)?;
            let first = data.and_then(|data| data.epoch(0, 0).next());
            let first = first.transpose().map_err(EngineError::from)?;
            first.and_then(|parts| parts.into_iter().next()).map(|batch| batch.pixels)
        }
        None => None,
    };
    let kind = if pixels.is_some() { "pictures of `dataset.val_data_sources`" } else { "noise" };
    run.notice(&format!("fp16 is checked on {kind}"));
    let inputs = model.graph.iter().flat_map(|graph| &graph.input);
    let Some(input) = inputs.into_iter().find(|input| input.name == INPUT) else {
        return Ok(Vec::new());
    };
    let sides = input.sides().unwrap_or_default().into_iter();
    let shape: Vec<usize> = sides
        .map(|side| match side {
            Some(DimensionValue::Fixed(size)) => usize::try_from(size).unwrap_or(1),
            _ => SAMPLES,
        })
        .collect();
    let count = shape.iter().product();
    let mut random = Key::new(0).of("fp16").rng();
    let values: Vec<f32> = match pixels {
        Some(pixels) => pixels.into_iter().cycle().take(count).collect(),
        None => (0..count).map(|_| random.normal() as f32).collect(),
    };
    Ok(vec![vec![(INPUT.to_owned(), TensorData::new(values, shape))]])
}
