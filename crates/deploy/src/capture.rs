//! Recording a forward pass: which operations it is made of, and which sizes follow the batch.
//!
//! It is recorded for two batches. The operations must be the same; a size that differs is a linear
//! function of the batch. Parameters are recorded as names, their values stay where they are.

mod agreement;
mod parameters;

use std::collections::{BTreeMap, HashMap};

use burn::{
    backend::ir::{OperationIr, TensorIr},
    module::{Module, ParamId},
    tensor::{Device, TensorData, TensorId},
};

use crate::{
    error::DeployError,
    network::{Inputs, Network, Outputs, Port, Side, Value},
};

pub(crate) use agreement::Extent;
pub(crate) use parameters::values;

/// A recorded forward pass.
#[derive(Debug)]
pub(crate) struct Recording {
    /// In the order in which they run.
    pub(crate) steps: Vec<Step>,
    /// Inputs in order.
    pub(crate) inputs: Vec<(Port, TensorId)>,
    /// Outputs in order: name, whether it has no sides, and which tensor it is.
    pub(crate) outputs: Vec<(String, bool, TensorId)>,
    /// Parameters by the tensor that stands for them.
    pub(crate) parameters: HashMap<TensorId, (String, ParamId)>,
    /// Values of constants, by tensor.
    pub(crate) constants: BTreeMap<TensorId, TensorData>,
    /// The sides of every tensor.
    pub(crate) extents: HashMap<TensorId, Vec<Extent>>,
}

/// An operation, as recorded for each of the two batches.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) first: OperationIr,
    pub(crate) second: OperationIr,
}

/// Records `network` for two batches, or for `fixed`, which then is its only one.
pub(crate) fn record<N: Network>(
    network: &N,
    model: &N::Model,
    fixed: Option<usize>,
) -> Result<Recording, DeployError> {
    let batches = fixed.map_or([2, 3], |batch| [batch, batch]);
    let [first, second] = batches.map(|batch| once(network, model, batch));
    agreement::agree(first?, second?, batches)
}

/// A forward pass recorded for one batch.
struct Once {
    operations: Vec<OperationIr>,
    inputs: Vec<(Port, TensorId)>,
    outputs: Vec<(String, bool, TensorId)>,
    parameters: HashMap<TensorId, (String, ParamId)>,
    constants: BTreeMap<TensorId, TensorData>,
}

fn once<N: Network>(network: &N, model: &N::Model, batch: usize) -> Result<Once, DeployError> {
    let device = Device::capture();
    let ports = network.inputs();
    let (mut outputs, mut parameters, mut ids) = (Outputs::default(), HashMap::new(), Vec::new());
    let captured = device.capture_scope(|scope| {
        let model = parameters::stand_ins(model.clone(), &device, &mut parameters);
        let model = model.to_device(&device);
        let given = ports.iter().map(|port| (port.name.clone(), port.zeros(batch)));
        let inputs = Inputs::new(&device, given);
        network.forward(&model, &inputs, &mut outputs);
        ids = inputs.ids();
        let named = outputs.named.iter().filter_map(|output| match output.value {
            Value::Recorded(id) => Some(id),
            Value::Computed(_) => None,
        });
        scope.complete(ids.iter().copied(), named)
    });
    let captured =
        captured.map_err(|error| DeployError::Recording { problem: error.to_string() })?;
    let outputs = outputs.named.iter().zip(captured.graph.outputs);
    Ok(Once {
        operations: captured.graph.operations,
        inputs: ports.into_iter().zip(captured.graph.inputs).collect(),
        outputs: outputs.map(|(output, id)| (output.name.clone(), output.scalar, id)).collect(),
        parameters,
        constants: captured.values,
    })
}

impl Recording {
    /// An input and the axis of it that counts samples.
    pub(crate) fn batch_axis(&self) -> (&str, usize) {
        let axis = |port: &Port| port.sides.iter().position(|side| *side == Side::Batch);
        let mut found = self.inputs.iter().filter_map(|(port, _)| Some((&*port.name, axis(port)?)));
        found.next().expect("a size that follows the batch comes from an input")
    }

    /// Whether an operation only puts something where its output is.
    pub(crate) fn is_source(&self, operation: &OperationIr) -> bool {
        let of_parameter = |out: &TensorIr| self.parameters.contains_key(&out.id);
        matches!(operation, OperationIr::Init(_)) || operation.outputs().any(of_parameter)
    }
}
