//! Finding where a written model begins to differ from its network.
//!
//! The recorded operations are run one by one on the CPU, the model gives every value that stands for
//! one of their results, and the first that differs names its module.

use std::{collections::HashSet, fs, path::Path};

use burn::{backend::ir::TensorIr, module::Module, tensor::TensorData};

use crate::{
    capture::{self, Recording},
    error::DeployError,
    export::Options,
    fold,
    lower::{self, name_of},
    network::Network,
    onnx::{self, ValueInfoProto},
    onnx_runtime::OnnxRuntime,
    parity::difference,
    replay::Replay,
    runner::{EngineRunner, Named},
};

/// The module and operation that differ first for `inputs`, in the model at `path` that was exported
/// with `options`.
pub fn first_difference<N: Network>(
    network: &N,
    model: &N::Model,
    (path, options): (&Path, &Options),
    inputs: &[Named],
    runtime: &OnnxRuntime,
    tolerance: f64,
) -> Result<Option<String>, DeployError> {
    // The names of the file, and a recording with the sizes of these inputs: the same steps.
    let written = capture::record(network, model, options.batch)?;
    let folded = fold::fold(&written, model);
    let is_left = folded.is_left.clone();
    let lowered = lower::lower(&written, folded, options.opset, &options.kernels)?;
    let batch = inputs.first().map_or(1, |(_, values)| values.shape()[0]);
    let recording = capture::record(network, model, Some(batch))?;

    let name = |out: &TensorIr| lowered.values.get(&out.id).filter(|_| out.dtype.is_float());
    let names = written.steps.iter().flat_map(|step| step.first.outputs()).filter_map(name);
    let found = values_of(path, &names.collect::<Vec<_>>(), inputs, runtime)?;
    let mut replay = begin(&recording, model, inputs);
    for (index, step) in recording.steps.iter().enumerate() {
        if recording.is_source(&step.first) {
            continue;
        }
        if !Replay::can_run(&step.first) {
            return Ok(None);
        }
        replay.run(&step.first);
        let outputs = step.first.outputs().zip(written.steps[index].first.outputs());
        for (out, named) in outputs.filter(|_| is_left[index]) {
            let found = found.iter().find(|(found, _)| Some(found) == name(named));
            if found.is_some_and(|(_, values)| differs(&mut replay, out, values, tolerance)) {
                let module = &lowered.paths[index];
                return Ok(Some(format!("{module} ({})", name_of(&step.first))));
            }
        }
    }
    Ok(None)
}

/// A run of `recording` to which parameters, constants and inputs are given.
fn begin<M: Module>(recording: &Recording, model: &M, inputs: &[Named]) -> Replay {
    let mut replay = Replay::new();
    recording.constants.iter().for_each(|(id, values)| replay.give(*id, values.clone()));
    for (port, id) in &recording.inputs {
        let given = inputs.iter().find(|(name, _)| *name == port.name);
        given.into_iter().for_each(|(_, values)| replay.give(*id, values.clone()));
    }
    let parameters = recording.parameters.values().map(|(_, id)| *id).collect();
    let values = capture::values(model, &parameters);
    for (id, (_, parameter)) in &recording.parameters {
        replay.give(*id, values[parameter].clone());
    }
    replay
}

fn differs(replay: &mut Replay, out: &TensorIr, found: &TensorData, tolerance: f64) -> bool {
    let expected = replay.values(out).convert::<f32>();
    let floats = "both are f32";
    let (expected, found) =
        (expected.as_slice::<f32>().expect(floats), found.as_slice::<f32>().expect(floats));
    expected.len() != found.len() || difference(expected, found) > tolerance
}

/// What the model at `path` computes for the values called `names`, those that it has.
fn values_of(
    path: &Path,
    names: &[&String],
    inputs: &[Named],
    runtime: &OnnxRuntime,
) -> Result<Vec<Named>, DeployError> {
    let mut model = onnx::read(path)?;
    if let Some(graph) = &mut model.graph {
        let mut named: HashSet<String> =
            graph.output.iter().map(|output| output.name.clone()).collect();
        let computed: HashSet<&String> = graph.node.iter().flat_map(|node| &node.output).collect();
        let shown = names.iter().filter(|name| computed.contains(**name));
        let shown: Vec<ValueInfoProto> = shown
            .filter(|name| named.insert((**name).clone()))
            .map(|name| ValueInfoProto { name: (*name).clone(), r#type: None })
            .collect();
        graph.output.extend(shown);
    }
    let beside = path.with_extension("probe.onnx");
    onnx::write(&model, &beside)?;
    drop(model);
    let found = runtime.open_plain(&beside).and_then(|mut session| session.run(inputs));
    let _ = fs::remove_file(&beside);
    let _ = fs::remove_file(onnx::external_file(&beside));
    found
}
