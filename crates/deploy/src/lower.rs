//! From recorded operations to nodes of ONNX.
//!
//! `table` says which function lowers which operation; a function reads its operation and writes nodes
//! through [`Lowering`]. Nodes bear the path of the module they belong to.

mod arithmetic;
mod deformable;
mod kernels;
mod layout;
mod modules;
mod paths;
mod reduce;
mod table;

use std::collections::HashMap;

use burn::{
    backend::ir::{OperationIr, ScalarIr, TensorIr},
    tensor::{DType, TensorData, TensorId},
};
use bytes::Bytes;

use crate::{
    capture::{Extent, Recording, Step},
    error::DeployError,
    fold::{Constant, Folded},
    onnx::{
        AttributeProto, DataType, DimensionValue, GraphProto, NodeProto, TensorProto,
        ValueInfoProto,
    },
};

pub(crate) use kernels::ACTIVATIONS;
pub use kernels::{KernelCall, KernelLowering};
pub(crate) use paths::name_of;

/// The name of the open side.
const BATCH: &str = "batch_size";

/// A graph in the making.
pub struct Lowering<'a> {
    opset: i64,
    recording: &'a Recording,
    graph: GraphProto,
    /// The name of the value of every tensor.
    values: HashMap<TensorId, String>,
    /// How often a name was asked for.
    taken: HashMap<String, usize>,
    /// Small constants that several nodes share, by type, shape and bytes.
    shared: HashMap<(DataType, Vec<usize>, Vec<u8>), String>,
    /// The module in which the nodes of this moment stand.
    path: String,
    /// The number of samples as a value, once it is used.
    batch: Option<String>,
}

/// A graph, and which of its values is which tensor.
pub(crate) struct Lowered {
    pub(crate) graph: GraphProto,
    pub(crate) values: HashMap<TensorId, String>,
    /// The module of every step.
    pub(crate) paths: Vec<String>,
}

/// Writes the steps of `recording` that are left after folding. `kernels` replaces lowerings of kernels
/// by name.
pub(crate) fn lower(
    recording: &Recording,
    folded: Folded,
    opset: i64,
    kernels: &[(&'static str, KernelLowering)],
) -> Result<Lowered, DeployError> {
    let paths = paths::of_steps(recording, &folded);
    let mut lowering = Lowering {
        opset,
        recording,
        graph: GraphProto::default(),
        values: HashMap::new(),
        taken: HashMap::new(),
        shared: HashMap::new(),
        path: String::new(),
        batch: None,
    };
    lowering.name_inputs();
    lowering.name_constants(folded.constants);
    for (index, step) in recording.steps.iter().enumerate() {
        if !folded.is_left[index] {
            continue;
        }
        lowering.path.clone_from(&paths[index]);
        let done = table::lower(&mut lowering, step, kernels);
        done.map_err(|problem| DeployError::Lowering {
            operation: name_of(&step.first),
            module: paths[index].clone(),
            problem,
        })?;
    }
    lowering.path.clear();
    lowering.name_outputs();
    Ok(Lowered { graph: lowering.graph, values: lowering.values, paths })
}

/// What a lowering says when an operation has no form in ONNX.
pub(crate) type Done = Result<(), String>;

impl Lowering<'_> {
    /// The name of the value of a tensor.
    pub fn value(&self, tensor: &TensorIr) -> String {
        let value = self.values.get(&tensor.id);
        value.unwrap_or_else(|| panic!("{:?} is read before it is written", tensor.id)).clone()
    }

    /// Says that `value` is `tensor`.
    pub fn bind(&mut self, tensor: &TensorIr, value: String) {
        self.values.insert(tensor.id, value);
    }

    /// The version of the operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// A node with one output, which it returns.
    pub fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.nodes(operator, inputs, 1, attributes).remove(0)
    }

    /// A node with several outputs, which it returns.
    pub fn nodes(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: Vec<AttributeProto>,
    ) -> Vec<String> {
        let name = match self.path.as_str() {
            "" => self.unique(operator),
            path => self.unique(&format!("{path}/{operator}")),
        };
        let of = |index: usize| if outputs == 1 { name.clone() } else { format!("{name}:{index}") };
        let outputs: Vec<String> = (0..outputs).map(of).collect();
        let mut node = NodeProto::new(operator, inputs.iter().copied(), outputs.clone());
        node.name = name;
        node.attribute = attributes;
        self.graph.node.push(node);
        outputs
    }

    /// A constant of f32, shared with all that are equal.
    pub fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = match values {
            [value] => format!("constant_{value}"),
            _ => "constant".to_owned(),
        };
        self.shared(&name, DataType::Float, shape, bytes)
    }

    /// A constant of i64, shared with all that are equal.
    pub fn ints(&mut self, shape: &[usize], values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let listed: Vec<String> = values.iter().take(8).map(i64::to_string).collect();
        self.shared(&format!("ints_{}", listed.join("_")), DataType::Int64, shape, bytes)
    }

    /// A list of i64: axes, sizes, positions.
    pub fn list(&mut self, values: &[i64]) -> String {
        self.ints(&[values.len()], values)
    }

    /// A number of the type of `like`, without sides.
    pub fn scalar(&mut self, value: ScalarIr, like: DType) -> Result<String, String> {
        match like {
            DType::F32 => Ok(self.floats(&[], &[value.elem()])),
            DType::I64 => Ok(self.ints(&[], &[value.elem()])),
            other => Err(format!("has a number of type {other:?}")),
        }
    }

    /// The sides of a tensor.
    pub(crate) fn extents(&self, tensor: &TensorIr) -> Vec<Extent> {
        self.recording.extents[&tensor.id].clone()
    }

    /// `sides` as a value that `Expand` and `Reshape` take.
    pub(crate) fn shape(&mut self, sides: &[Extent]) -> String {
        let fixed: Option<Vec<i64>> = sides.iter().map(|side| side.fixed()).collect();
        if let Some(fixed) = fixed {
            return self.list(&fixed);
        }
        let parts: Vec<String> = sides.iter().map(|side| self.side(*side)).collect();
        match parts.as_slice() {
            [one] => one.clone(),
            parts => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.node("Concat", &parts, vec![AttributeProto::int("axis", 0)])
            }
        }
    }

    /// One side as a list of one.
    fn side(&mut self, side: Extent) -> String {
        if let Some(size) = side.fixed() {
            return self.list(&[size]);
        }
        let mut value = self.number_of_samples();
        if side.scale != 1 {
            let scale = self.list(&[side.scale]);
            value = self.node("Mul", &[&value, &scale], Vec::new());
        }
        if side.offset != 0 {
            let offset = self.list(&[side.offset]);
            value = self.node("Add", &[&value, &offset], Vec::new());
        }
        value
    }

    fn number_of_samples(&mut self) -> String {
        if let Some(batch) = &self.batch {
            return batch.clone();
        }
        let (port, axis) = self.recording.batch_axis();
        let name = port.to_owned();
        let path = std::mem::replace(&mut self.path, BATCH.to_owned());
        let range = [("start", axis as i64), ("end", axis as i64 + 1)];
        let range = range.map(|(name, value)| AttributeProto::int(name, value));
        let value = self.node("Shape", &[&name], range.into());
        self.path = path;
        self.batch = Some(value.clone());
        value
    }

    fn shared(&mut self, name: &str, dtype: DataType, shape: &[usize], bytes: Vec<u8>) -> String {
        let key = (dtype, shape.to_vec(), bytes);
        if let Some(name) = self.shared.get(&key) {
            return name.clone();
        }
        let name = self.unique(name);
        let tensor = TensorProto::raw(name.clone(), dtype, shape, Bytes::from(key.2.clone()));
        self.graph.initializer.push(tensor);
        self.shared.insert(key, name.clone());
        name
    }

    /// `name`, with a number behind it if it is taken.
    fn unique(&mut self, name: &str) -> String {
        let count = self.taken.entry(name.to_owned()).or_insert(0);
        *count += 1;
        match *count {
            1 => name.to_owned(),
            count => {
                let next = format!("{name}.{}", count - 1);
                self.unique(&next)
            }
        }
    }

    fn name_inputs(&mut self) {
        for (port, id) in &self.recording.inputs {
            let name = self.unique(&port.name);
            let dtype = match port.element {
                crate::Element::Float => DataType::Float,
                crate::Element::Int => DataType::Int64,
            };
            let sides = self.recording.extents.get(id).cloned();
            let sides = sides.unwrap_or_default().into_iter().map(dimension);
            self.graph.input.push(ValueInfoProto::tensor(&name, dtype, sides));
            self.values.insert(*id, name);
        }
        for (name, _, _) in &self.recording.outputs {
            self.unique(name);
        }
    }

    /// Parameters first, so that one which is used as it is keeps its name.
    fn name_constants(&mut self, constants: HashMap<TensorId, Constant>) {
        let mut constants: Vec<(TensorId, Constant)> = constants.into_iter().collect();
        let is_computed = |id: &TensorId| !self.recording.parameters.contains_key(id);
        constants.sort_by_key(|(id, _)| (is_computed(id), *id));
        for (id, constant) in constants {
            let name = match constant.name.as_str() {
                "" => "constant",
                name => name,
            };
            let name = self.unique(name);
            self.graph.initializer.push(tensor(&name, constant.values));
            self.values.insert(id, name);
        }
    }

    /// Gives the outputs their names. A constant becomes a node, since not every reader takes a value
    /// that no node computes.
    fn name_outputs(&mut self) {
        for (name, scalar, id) in self.recording.outputs.clone() {
            let value = self.values[&id].clone();
            let dtype = DataType::Float;
            let sides = match scalar {
                true => Vec::new(),
                false => self.recording.extents[&id].iter().copied().map(dimension).collect(),
            };
            self.graph.output.push(ValueInfoProto::tensor(&name, dtype, sides));
            let constant = self.graph.initializer.iter().find(|tensor| tensor.name == value);
            let mut node = match constant {
                Some(constant) => {
                    let dims = if scalar { Vec::new() } else { constant.dims.clone() };
                    let named = TensorProto { name: String::new(), dims, ..constant.clone() };
                    let value = AttributeProto::tensor("value", named);
                    NodeProto::new("Constant", [""; 0], [&name]).with(value)
                }
                None if scalar => {
                    let none = self.list(&[]);
                    NodeProto::new("Reshape", [&value, &none], [&name])
                }
                None => {
                    self.rename(&value, &name);
                    continue;
                }
            };
            node.name = format!("{name}/{}", node.op_type);
            self.graph.node.push(node);
        }
    }

    fn rename(&mut self, value: &str, name: &str) {
        let nodes = self.graph.node.iter_mut();
        let used = nodes.flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        used.filter(|used| *used == value).for_each(|used| name.clone_into(used));
        let values = self.values.values_mut();
        values.filter(|used| *used == value).for_each(|used| name.clone_into(used));
    }
}

/// A constant under its name; its bytes are not copied.
fn tensor(name: &str, values: TensorData) -> TensorProto {
    struct Owner(TensorData);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let dtype = data_type(values.dtype()).unwrap_or(DataType::Undefined);
    let shape = values.shape().as_slice().to_vec();
    TensorProto::raw(name, dtype, &shape, Bytes::from_owner(Owner(values)))
}

pub(crate) fn data_type(dtype: DType) -> Result<DataType, String> {
    match dtype {
        DType::F32 => Ok(DataType::Float),
        DType::I64 => Ok(DataType::Int64),
        DType::I32 => Ok(DataType::Int32),
        DType::Bool(_) => Ok(DataType::Bool),
        other => Err(format!("has a tensor of type {other:?}")),
    }
}

fn dimension(side: Extent) -> DimensionValue {
    match side.fixed() {
        Some(size) => DimensionValue::Fixed(size),
        None if side == (Extent { scale: 1, offset: 0 }) => DimensionValue::Named(BATCH.to_owned()),
        None => DimensionValue::Named(format!("{}*{BATCH}+{}", side.scale, side.offset)),
    }
}

/// The fixed numbers of a kernel's node.
pub(crate) trait Scalars {
    fn flag(&self, index: usize) -> bool;
    fn count(&self, index: usize) -> usize;
    fn float(&self, index: usize) -> f64;
}

impl Scalars for Vec<ScalarIr> {
    fn flag(&self, index: usize) -> bool {
        self[index].elem()
    }

    fn count(&self, index: usize) -> usize {
        self[index].elem::<i64>() as usize
    }

    fn float(&self, index: usize) -> f64 {
        self[index].elem()
    }
}

impl Step {
    /// Both recordings of one operation through `pick`, which names one kind.
    pub(crate) fn both<'a, T>(&'a self, pick: impl Fn(&'a OperationIr) -> Option<T>) -> [T; 2] {
        [&self.first, &self.second].map(|operation| pick(operation).expect("both are of one kind"))
    }
}
