//! `clip gen_trt_engine`: TensorRT engines of exported towers.

mod files;
mod samples;

use std::path::PathBuf;

use hearth_deploy::{
    Follower,
    trt::{Batches, Job, JobKeys},
};
use hearth_engine::{EngineError, Run, Summary, experiment};
use hearth_spec::{Document, common::EnginePrecision};

use crate::{
    error::ClipError,
    spec::{Action, ClipSpec, GenTrtEngineSpec},
};

/// Builds the engines that the spec names.
pub fn gen_trt_engine(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::GenTrtEngine, run)?;
    let follower = Follower {
        notice: &|line| run.notice(line),
        warn: &|line| run.warn(line),
        is_stopped: &|| run.stop.requested().is_some(),
    };
    let job = Job::new(document, keys(&spec.gen_trt_engine), &follower)?;
    let files = files::of(&spec)?;
    experiment::write(&spec, run)?;
    job.announce();
    let mut written = Vec::new();
    for (graph, engine) in &files {
        let samples = |model: &_| samples::of(document, &spec, (model, graph), run);
        let built = job.build(graph, engine, samples);
        written.push(built.map_err(|error| match run.stop.requested() {
            Some(_) => EngineError::interrupted(run).into(),
            None => error,
        })?);
    }
    let (graph, engine) = &files[0];
    files::copy_sides(graph, engine)?;
    Ok(written.join("\n").into())
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
