//! What the check of fp16 runs on: pairs of `dataset.val`, where the spec has some, else noise and
//! sentences.

use std::path::Path;

use burn::tensor::TensorData;
use hearth_data::random::Key;
use hearth_deploy::{
    Named,
    onnx::{DataType, DimensionValue, ModelProto},
};
use hearth_engine::{Batches, EngineError, Run};
use hearth_spec::Document;

use crate::{
    error::ClipError,
    export::{CAPTIONS, names},
    setup::Setup,
    source::validation_data,
    spec::ClipSpec,
    task::Batch,
};

/// As many as show what pictures do to the numbers.
const SAMPLES: usize = 8;

/// Inputs of the graph, as many samples at a time as it takes.
pub(super) fn of(
    document: &Document,
    spec: &ClipSpec,
    (model, graph): (&ModelProto, &Path),
    run: &Run,
) -> Result<Vec<Vec<Named>>, ClipError> {
    let setup = match Setup::new(document, spec, Some(graph), run) {
        Ok(setup) => Some(setup),
        // Someone else's graph, or without its tokenizer.
        Err(ClipError::Graph { .. }) => None,
        Err(error) => return Err(error),
    };
    let batch = setup.as_ref().map(|setup| pairs(spec, setup, run)).transpose()?.flatten();
    let kind = if batch.is_some() { "pairs of `dataset.val`" } else { "noise and sentences" };
    run.notice(&format!("fp16 is checked on {kind}"));
    let Some(graph) = &model.graph else { return Ok(Vec::new()) };
    let weights = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let mut inputs = Vec::new();
    for input in graph.input.iter().filter(|input| !weights(&input.name)) {
        let sides = input.sides().unwrap_or_default().into_iter();
        let shape: Vec<usize> = sides
            .map(|side| match side {
                Some(DimensionValue::Fixed(size)) => usize::try_from(size).unwrap_or(1),
                _ => SAMPLES,
            })
            .collect();
        let ints = input.tensor_type().is_some_and(|t| t.elem_type == i32::from(DataType::Int64));
        let values = match &batch {
            Some(batch) => of_batch(&input.name, &shape, batch),
            None => None,
        };
        let values = match values {
            Some(values) => values,
            None => made_up(&input.name, shape, ints, setup.as_ref())?,
        };
        inputs.push((input.name.clone(), values));
    }
    Ok(vec![inputs])
}

/// The first pairs of `dataset.val`.
fn pairs(spec: &ClipSpec, setup: &Setup, run: &Run) -> Result<Option<Batch>, ClipError> {
    let mut few = spec.clone();
    few.dataset.val.batch_size = SAMPLES;
    let Some(data) = validation_data(&few, setup, run)? else { return Ok(None) };
    let first = data.epoch(0, 0).next().transpose().map_err(EngineError::from)?;
    Ok(first.and_then(|parts| parts.into_iter().next()))
}

/// The pairs as an input, over and over where it wants more.
fn of_batch(name: &str, shape: &[usize], batch: &Batch) -> Option<TensorData> {
    let count: usize = shape.iter().product();
    match name {
        names::IMAGE => {
            let pixels = batch.pictures.pixels.iter().copied().cycle().take(count);
            Some(TensorData::new(pixels.collect::<Vec<f32>>(), shape.to_vec()))
        }
        names::INPUT_IDS => {
            let ids = batch.ids.iter().map(|&id| i64::from(id)).cycle().take(count);
            Some(TensorData::new(ids.collect::<Vec<i64>>(), shape.to_vec()))
        }
        _ => None,
    }
}

fn made_up(
    name: &str,
    shape: Vec<usize>,
    ints: bool,
    setup: Option<&Setup>,
) -> Result<TensorData, ClipError> {
    let count: usize = shape.iter().product();
    let mut random = Key::new(0).of("fp16").of(name).rng();
    if !ints {
        let noise: Vec<f32> = (0..count).map(|_| random.normal() as f32).collect();
        return Ok(TensorData::new(noise, shape));
    }
    if let (names::INPUT_IDS, Some(setup)) = (name, setup) {
        let mut ids: Vec<i64> = Vec::new();
        for caption in CAPTIONS {
            ids.extend(setup.tokenizer.encode(caption)?.into_iter().map(i64::from));
        }
        let ids: Vec<i64> = ids.into_iter().cycle().take(count).collect();
        return Ok(TensorData::new(ids, shape));
    }
    Ok(TensorData::new(vec![1_i64; count], shape))
}
