//! The element type of every value of a graph.

use std::collections::HashMap;

use crate::onnx::{DataType, GraphProto, NodeProto};

/// Types by name. A value of an operator that is not ONNX's own has the type that the file says, or
/// that of the operator's first input.
pub(super) fn infer(graph: &GraphProto) -> HashMap<String, DataType> {
    let declared = |values: &'_ [crate::onnx::ValueInfoProto]| -> Vec<(String, DataType)> {
        let typed = values.iter().filter_map(|value| {
            let dtype = DataType::try_from(value.tensor_type()?.elem_type).ok()?;
            Some((value.name.clone(), dtype))
        });
        typed.collect()
    };
    let hints: HashMap<_, _> =
        declared(&graph.value_info).into_iter().chain(declared(&graph.output)).collect();
    let mut types: HashMap<_, _> = declared(&graph.input).into_iter().collect();
    for tensor in &graph.initializer {
        types.insert(tensor.name.clone(), tensor.data_type());
    }
    for node in &graph.node {
        for (at, output) in node.output.iter().enumerate() {
            let own = node.domain.is_empty() || node.domain == "ai.onnx";
            let hint = hints.get(output).copied();
            let dtype = match own {
                true => output_type(node, at, &types).or(hint),
                false => hint.or_else(|| input_type(node, 0, &types)),
            };
            types.insert(output.clone(), dtype.unwrap_or(DataType::Undefined));
        }
    }
    types
}

fn input_type(node: &NodeProto, at: usize, types: &HashMap<String, DataType>) -> Option<DataType> {
    types.get(node.input.get(at)?).copied().filter(|&dtype| dtype != DataType::Undefined)
}

/// The type of output `at` by the operator's definition.
fn output_type(node: &NodeProto, at: usize, types: &HashMap<String, DataType>) -> Option<DataType> {
    let says = |name: &str| {
        let number = node.attribute(name)?.i?;
        DataType::try_from(i32::try_from(number).ok()?).ok()
    };
    let holds = || Some(node.attribute("value")?.t.as_ref()?.data_type());
    match (node.op_type.as_str(), at) {
        ("Cast", _) => says("to"),
        ("Shape" | "Size" | "NonZero" | "ArgMax" | "ArgMin", _) => Some(DataType::Int64),
        ("TopK" | "MaxPool", 1) => Some(DataType::Int64),
        ("Unique", 1..) => Some(DataType::Int64),
        ("Dropout", 1) => Some(DataType::Bool),
        (
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Not"
            | "Xor" | "IsNaN" | "IsInf",
            _,
        ) => Some(DataType::Bool),
        ("Where", _) => input_type(node, 1, types),
        ("OneHot", _) => input_type(node, 2, types),
        ("QuantizeLinear", _) => input_type(node, 2, types).or(Some(DataType::Uint8)),
        ("DequantizeLinear", _) => input_type(node, 1, types),
        ("ConstantOfShape" | "Constant", _) => holds().or(Some(DataType::Float)),
        ("RandomNormal" | "RandomUniform" | "EyeLike", _) => {
            says("dtype").or(Some(DataType::Float))
        }
        _ => input_type(node, 0, types),
    }
}
