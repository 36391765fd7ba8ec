//! Puts the precisions into the graph: casts, weights, types.

use std::collections::{HashMap, HashSet};

use burn::tensor::f16;

use super::{Precision, types};
use crate::{
    onnx::{
        AttributeProto, DataType, GraphProto, NodeProto, TensorProto, TypeValue, ValueInfoProto,
    },
    trt::TensorRtError,
};

/// The graph while it is written anew.
struct Rewriting {
    /// Types before.
    types: HashMap<String, DataType>,
    /// What outputs of the file are called.
    outputs: HashSet<String>,
    /// Every name in use.
    names: HashSet<String>,
    /// Names that are taken as f32, as f16.
    full: HashMap<String, String>,
    half: HashMap<String, String>,
    nodes: Vec<NodeProto>,
    renamed: HashMap<String, String>,
}

/// Rewrites `graph`; says which values changed their names, and from what.
pub(super) fn rewrite(
    graph: &mut GraphProto,
    precisions: &[Option<Precision>],
) -> Result<HashMap<String, String>, TensorRtError> {
    let types = types::infer(graph);
    let initializers = graph.initializer.iter().map(|tensor| &tensor.name);
    let mut rewriting = Rewriting {
        outputs: graph.output.iter().map(|output| output.name.clone()).collect(),
        names: types.keys().chain(initializers).cloned().collect(),
        types,
        full: HashMap::new(),
        half: HashMap::new(),
        nodes: Vec::new(),
        renamed: HashMap::new(),
    };
    rewriting.weights(graph, precisions)?;
    for (node, precision) in std::mem::take(&mut graph.node).into_iter().zip(precisions) {
        rewriting.node(node, *precision);
    }
    graph.node = std::mem::take(&mut rewriting.nodes);
    let found = types::infer(graph);
    graph.value_info.retain_mut(|value| retype(value, &found));
    Ok(rewriting.renamed)
}

/// Corrects the type that the file says of a value; one that is no more is not kept.
fn retype(value: &mut ValueInfoProto, found: &HashMap<String, DataType>) -> bool {
    let Some(&dtype) = found.get(&value.name) else { return false };
    if let Some(TypeValue::Tensor(tensor)) =
        value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    {
        tensor.elem_type = dtype.into();
    }
    true
}

impl Rewriting {
    /// Converts the weights that f16 nodes take, once each. Those that both kinds take stand twice.
    fn weights(
        &mut self,
        graph: &mut GraphProto,
        precisions: &[Option<Precision>],
    ) -> Result<(), TensorRtError> {
        let mut full: HashSet<&str> = graph.output.iter().map(|one| one.name.as_str()).collect();
        let mut half: HashMap<&str, &str> = HashMap::new();
        for (node, precision) in graph.node.iter().zip(precisions) {
            match precision {
                Some(Precision::Half) => {
                    half.extend(node.input.iter().map(|name| (name.as_str(), node.name.as_str())));
                }
                _ => full.extend(node.input.iter().map(String::as_str)),
            }
        }
        let mut copies = Vec::new();
        let mut converted = HashMap::new();
        for (at, tensor) in graph.initializer.iter().enumerate() {
            let Some(node) = half.get(tensor.name.as_str()) else { continue };
            if tensor.data_type() != DataType::Float {
                continue;
            }
            let mut narrow = narrowed(tensor, node)?;
            if full.contains(tensor.name.as_str()) {
                narrow.name = unused(&mut self.names, &tensor.name, "__fp16");
                self.half.insert(tensor.name.clone(), narrow.name.clone());
                copies.push(narrow);
            } else {
                self.half.insert(tensor.name.clone(), tensor.name.clone());
                converted.insert(at, narrow);
            }
        }
        for (at, narrow) in converted {
            graph.initializer[at] = narrow;
        }
        graph.initializer.extend(copies);
        Ok(())
    }

    fn node(&mut self, mut node: NodeProto, precision: Option<Precision>) {
        let half = precision == Some(Precision::Half);
        for input in &mut node.input {
            if self.types.get(input) == Some(&DataType::Float) {
                *input = if half { self.as_half(input) } else { self.as_full(input) };
            }
        }
        if half {
            retype_attributes(&mut node);
        }
        let mut leaving = Vec::new();
        for output in &mut node.output {
            if !half || self.types.get(output) != Some(&DataType::Float) {
                continue;
            }
            let name = output.clone();
            if self.outputs.contains(&name) {
                *output = unused(&mut self.names, &name, "__fp16");
                self.renamed.insert(output.clone(), name.clone());
                self.full.insert(name.clone(), name.clone());
                leaving.push((output.clone(), name.clone()));
            }
            self.half.insert(name, output.clone());
        }
        self.nodes.push(node);
        for (from, to) in leaving {
            self.nodes.push(cast(&from, &to, DataType::Float));
        }
    }

    /// The name of `value` as f16.
    fn as_half(&mut self, value: &str) -> String {
        if let Some(name) = self.half.get(value) {
            return name.clone();
        }
        let name = unused(&mut self.names, value, "__fp16");
        self.nodes.push(cast(value, &name, DataType::Float16));
        self.half.insert(value.to_owned(), name.clone());
        name
    }

    /// The name of `value` as f32.
    fn as_full(&mut self, value: &str) -> String {
        if let Some(name) = self.full.get(value) {
            return name.clone();
        }
        // What is known as f16 alone was made so; a weight was copied if both are needed.
        let made = self.half.get(value).filter(|name| *name == value).cloned();
        let Some(half) = made else { return value.to_owned() };
        let name = unused(&mut self.names, value, "__fp32");
        self.nodes.push(cast(&half, &name, DataType::Float));
        self.full.insert(value.to_owned(), name.clone());
        name
    }
}

/// `name` with `ending`, and more if that is taken.
fn unused(names: &mut HashSet<String>, name: &str, ending: &str) -> String {
    let mut free = format!("{name}{ending}");
    while !names.insert(free.clone()) {
        free.push('_');
    }
    free
}

fn cast(from: &str, to: &str, dtype: DataType) -> NodeProto {
    let node = NodeProto::new("Cast", [from], [to]);
    let node = node.with(AttributeProto::int("to", i64::from(i32::from(dtype))));
    NodeProto { name: format!("{to}/Cast"), ..node }
}

/// A node that computes in f16 says so where it names a type.
fn retype_attributes(node: &mut NodeProto) {
    let is_cast = node.op_type == "Cast";
    for attribute in &mut node.attribute {
        if is_cast && attribute.name == "to" && attribute.i == Some(DataType::Float as i64) {
            attribute.i = Some(DataType::Float16 as i64);
        }
        let filled = attribute.t.as_mut().filter(|_| node.op_type == "ConstantOfShape");
        if let Some(tensor) = filled
            && let Some(values) = tensor.to_floats()
        {
            *tensor = halved(tensor, &values);
        }
    }
    if node.op_type == "ConstantOfShape" && node.attribute("value").is_none() {
        let zero = TensorProto::raw("", DataType::Float16, &[1], vec![0; 2]);
        node.attribute.push(AttributeProto::tensor("value", zero));
    }
}

/// `tensor`, which `node` takes, in f16.
fn narrowed(tensor: &TensorProto, node: &str) -> Result<TensorProto, TensorRtError> {
    let unreadable = || TensorRtError::NoValues { tensor: tensor.name.clone() };
    let values = tensor.to_floats().ok_or_else(unreadable)?;
    let broken = values.iter().find(|&&value| !f16::from_f32(value).is_finite());
    match broken {
        None => Ok(halved(tensor, &values)),
        Some(&value) => Err(TensorRtError::WeightOverflow {
            tensor: tensor.name.clone(),
            node: node.to_owned(),
            value,
        }),
    }
}

fn halved(tensor: &TensorProto, values: &[f32]) -> TensorProto {
    let mut bytes = Vec::with_capacity(values.len() * 2);
    bytes.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()));
    TensorProto {
        data_type: DataType::Float16.into(),
        raw_data: Some(bytes.into()),
        float_data: Vec::new(),
        ..tensor.clone()
    }
}
