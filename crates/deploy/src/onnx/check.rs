//! Whether a model keeps the rules of the format: every value is made once and before it is used, the
//! operators are known, shapes that can be followed fit.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use super::{
    infer,
    messages::{GraphProto, ModelProto, NodeProto},
};
use crate::error::DeployError;

/// Versions of ONNX's own operators that are written.
const OPSETS: std::ops::RangeInclusive<i64> = 17..=22;

/// Operators that are written: the first version that has them in the form that is written.
const OPERATORS: [(&str, i64); 64] = [
    ("Abs", 13),
    ("Add", 14),
    ("And", 7),
    ("ArgMax", 13),
    ("ArgMin", 13),
    ("Cast", 13),
    ("Ceil", 13),
    ("Clip", 13),
    ("Concat", 13),
    ("Constant", 13),
    ("Conv", 11),
    ("Cos", 7),
    ("CumSum", 14),
    ("Div", 14),
    ("Equal", 13),
    ("Erf", 13),
    ("Exp", 13),
    ("Expand", 13),
    ("Floor", 13),
    ("Gather", 13),
    ("GatherElements", 13),
    ("GatherND", 13),
    ("Gelu", 20),
    ("Gemm", 13),
    ("Greater", 13),
    ("GreaterOrEqual", 16),
    ("IsInf", 10),
    ("IsNaN", 13),
    ("LayerNormalization", 17),
    ("Less", 13),
    ("LessOrEqual", 16),
    ("Log", 13),
    ("LogSoftmax", 13),
    ("MatMul", 13),
    ("Max", 13),
    ("Min", 13),
    ("Mul", 14),
    ("Neg", 13),
    ("Not", 1),
    ("Or", 7),
    ("Pow", 15),
    ("Reciprocal", 13),
    ("ReduceL2", 13),
    ("ReduceMax", 13),
    ("ReduceMean", 13),
    ("ReduceMin", 13),
    ("ReduceSum", 13),
    ("Relu", 14),
    ("Reshape", 14),
    ("Round", 11),
    ("Shape", 15),
    ("Sigmoid", 13),
    ("Sign", 13),
    ("Sin", 7),
    ("Slice", 13),
    ("Softmax", 13),
    ("Split", 13),
    ("Sqrt", 13),
    ("Sub", 14),
    ("Tanh", 13),
    ("Tile", 13),
    ("Transpose", 13),
    ("Where", 16),
    ("Xor", 7),
];

/// Checks a model of ours; `path` is where it is about to be written, for messages.
pub fn check(model: &ModelProto, path: &Path) -> Result<(), DeployError> {
    let wrong = |node: &str, problem: String| {
        Err(DeployError::Structure { path: path.to_owned(), node: node.to_owned(), problem })
    };
    let opset = model.opset();
    if !OPSETS.contains(&opset) {
        return wrong("opset_import", format!("is version {opset}, need 17 to 22"));
    }
    let Some(graph) = &model.graph else {
        return wrong("graph", "is missing".to_owned());
    };
    for node in &graph.node {
        if let Err(problem) = operator(node, opset) {
            return wrong(&node.name, problem);
        }
    }
    if let Err((node, problem)) = names(graph).and_then(|()| infer::shapes(graph)) {
        return wrong(&node, problem);
    }
    Ok(())
}

fn operator(node: &NodeProto, opset: i64) -> Result<(), String> {
    let name = node.op_type.as_str();
    let known = OPERATORS.iter().find(|(known, _)| *known == name).map(|(_, since)| *since);
    match known {
        _ if !node.domain.is_empty() => Err(format!("is of the domain `{}`", node.domain)),
        None => Err(format!("is `{name}`, which is no operator that is written")),
        Some(since) if opset < since => {
            Err(format!("is `{name}` of version {since}, the model has {opset}"))
        }
        Some(_) => Ok(()),
    }
}

/// Every name stands for one value, and none is used before it is made. Nothing is made in vain.
fn names(graph: &GraphProto) -> Result<(), (String, String)> {
    let mut made: HashSet<&str> = HashSet::new();
    let inputs = graph.input.iter().map(|input| input.name.as_str());
    let held = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    for name in inputs.chain(held) {
        if name.is_empty() || !made.insert(name) {
            return Err((name.to_owned(), "is defined twice, or has no name".to_owned()));
        }
    }
    let mut users: HashMap<&str, usize> = HashMap::new();
    let mut nodes = HashSet::new();
    for node in &graph.node {
        for input in node.input.iter().filter(|input| !input.is_empty()) {
            if !made.contains(input.as_str()) {
                return Err((node.name.clone(), format!("uses `{input}` before it is made")));
            }
            *users.entry(input).or_default() += 1;
        }
        for output in &node.output {
            if !made.insert(output) {
                return Err((node.name.clone(), format!("makes `{output}`, which is there")));
            }
        }
        if node.name.is_empty() || !nodes.insert(&node.name) {
            return Err((node.name.clone(), "has the name of another, or none".to_owned()));
        }
    }
    for output in &graph.output {
        if !made.contains(output.name.as_str()) {
            return Err((output.name.clone(), "is an output that nothing makes".to_owned()));
        }
        *users.entry(&output.name).or_default() += 1;
    }
    let in_vain =
        |node: &&NodeProto| node.output.iter().all(|out| !users.contains_key(out.as_str()));
    if let Some(node) = graph.node.iter().find(in_vain) {
        return Err((node.name.clone(), "makes what nobody uses".to_owned()));
    }
    Ok(())
}
