//! Constants: what a recorded pass computes from parameters alone, computed once.

use std::collections::{HashMap, HashSet};

use burn::{
    backend::ir::{OperationIr, TensorIr},
    module::{Module, ParamId},
    tensor::{TensorData, TensorId},
};

use crate::{capture, capture::Recording, replay::Replay};

/// Elements that a computed constant may have, if it has more than the parameters it is made of.
const GROWN_AT_MOST: usize = 16 << 10;

/// A value that does not depend on the inputs.
#[derive(Debug)]
pub(crate) struct Constant {
    /// The parameter it is, or is made of; empty if there is none.
    pub(crate) name: String,
    pub(crate) values: TensorData,
}

/// Constants that the steps which are left use.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) constants: HashMap<TensorId, Constant>,
    /// Which steps are left to be computed from the inputs.
    pub(crate) is_left: Vec<bool>,
}

/// Where a constant comes from.
#[derive(Debug, Clone, Default)]
struct Origin {
    /// Parameters, in order.
    parameters: Vec<TensorId>,
    /// The step that computes it.
    step: Option<usize>,
    /// Elements of the parameters.
    elements: usize,
}

/// Computes what depends on the parameters of `model` alone.
pub(crate) fn fold<M: Module>(recording: &Recording, model: &M) -> Folded {
    let origins = origins(recording);
    let is_left = recording.steps.iter().map(|step| {
        let is_constant = |out: &TensorIr| origins.contains_key(&out.id);
        !recording.is_source(&step.first) && !step.first.outputs().all(is_constant)
    });
    let is_left: Vec<bool> = is_left.collect();
    let left = recording.steps.iter().zip(&is_left).filter(|(_, left)| **left);
    let mut wanted: HashMap<TensorId, TensorIr> = HashMap::new();
    for input in left.flat_map(|(step, _)| step.first.inputs()) {
        wanted.insert(input.id, input.clone());
    }
    for (_, _, output) in &recording.outputs {
        let nodes = recording.steps.iter().flat_map(|step| step.first.outputs());
        let found = nodes.filter(|tensor| tensor.id == *output).cloned();
        wanted.extend(found.map(|tensor| (tensor.id, tensor)));
    }
    wanted.retain(|id, _| origins.contains_key(id));
    let constants = compute(recording, model, &origins, &wanted);
    Folded { constants, is_left }
}

/// Every tensor that does not depend on the inputs.
fn origins(recording: &Recording) -> HashMap<TensorId, Origin> {
    let inputs: HashSet<TensorId> = recording.inputs.iter().map(|(_, id)| *id).collect();
    let mut origins: HashMap<TensorId, Origin> = HashMap::new();
    let held = recording.constants.keys().filter(|id| !inputs.contains(id));
    origins.extend(held.map(|id| (*id, Origin::default())));
    for (index, step) in recording.steps.iter().enumerate() {
        if matches!(step.first, OperationIr::Init(_)) {
            continue;
        }
        for out in step.first.outputs() {
            let elements = out.shape.num_elements();
            if recording.parameters.contains_key(&out.id) {
                let origin = Origin { parameters: vec![out.id], step: None, elements };
                origins.insert(out.id, origin);
                continue;
            }
            let from = step.first.inputs().map(|input| origins.get(&input.id));
            let Some(from) = from.collect::<Option<Vec<&Origin>>>() else { continue };
            let parameters = from.iter().flat_map(|from| from.parameters.iter().copied());
            let mut seen = HashSet::new();
            let parameters = parameters.filter(|id| seen.insert(*id)).collect();
            let made_of = from.iter().map(|from| from.elements).sum();
            let is_fixed = recording.extents[&out.id].iter().all(|side| side.fixed().is_some());
            if is_fixed && Replay::can_run(&step.first) {
                let origin = Origin { parameters, step: Some(index), elements: made_of };
                origins.insert(out.id, origin);
            }
        }
    }
    unfold_grown(recording, &mut origins);
    origins
}

/// Leaves to the file what is larger than what it is made of and is not used up by other constants.
fn unfold_grown(recording: &Recording, origins: &mut HashMap<TensorId, Origin>) {
    for step in recording.steps.iter().rev() {
        let is_constant = |id: &TensorId| origins.contains_key(id);
        let mut outputs = step.first.outputs();
        let grown = outputs.any(|out| {
            let origin = origins.get(&out.id).filter(|origin| origin.step.is_some());
            let limit = origin.map(|origin| origin.elements.max(GROWN_AT_MOST));
            limit.is_some_and(|limit| out.shape.num_elements() > limit)
        });
        if !grown {
            continue;
        }
        let outputs: Vec<TensorId> = step.first.outputs().map(|out| out.id).collect();
        let is_used = recording.steps.iter().any(|user| {
            let uses = user.first.inputs().any(|input| outputs.contains(&input.id));
            uses && !user.first.outputs().all(|out| is_constant(&out.id))
        });
        if is_used || recording.outputs.iter().any(|(_, _, id)| outputs.contains(id)) {
            outputs.iter().for_each(|id| {
                origins.remove(id);
            });
        }
    }
}

fn compute<M: Module>(
    recording: &Recording,
    model: &M,
    origins: &HashMap<TensorId, Origin>,
    wanted: &HashMap<TensorId, TensorIr>,
) -> HashMap<TensorId, Constant> {
    let sources = wanted.keys().flat_map(|id| &origins[id].parameters);
    let sources: HashSet<ParamId> = sources.map(|id| recording.parameters[id].1).collect();
    let mut parameters = capture::values(model, &sources);

    let mut replay = Replay::new();
    let mut steps: Vec<usize> = Vec::new();
    let mut open: Vec<TensorId> =
        wanted.keys().copied().filter(|id| origins[id].step.is_some()).collect();
    let mut seen = HashSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        match origins[&id].step {
            Some(step) => {
                steps.push(step);
                open.extend(recording.steps[step].first.inputs().map(|input| input.id));
            }
            None => match recording.parameters.get(&id) {
                Some((_, parameter)) => replay.give(id, parameters[parameter].clone()),
                None => replay.give(id, recording.constants[&id].clone()),
            },
        }
    }
    steps.sort_unstable();
    steps.dedup();
    steps.iter().for_each(|&step| replay.run(&recording.steps[step].first));

    let constants = wanted.iter().map(|(id, tensor)| {
        let origin = &origins[id];
        let first = origin.parameters.first().map(|id| &recording.parameters[id]);
        let name = first.map(|(name, _)| name.clone()).unwrap_or_default();
        let values = match (origin.step, first) {
            (Some(_), _) => replay.values(tensor),
            (None, Some((_, parameter))) => match parameters.remove(parameter) {
                Some(values) => values,
                // Two tensors stand for one parameter.
                None => capture::values(model, &HashSet::from([*parameter]))
                    .remove(parameter)
                    .expect("it was there before"),
            },
            (None, None) => recording.constants[id].clone(),
        };
        (*id, Constant { name, values: values.convert_dtype(tensor.dtype) })
    });
    constants.collect()
}
