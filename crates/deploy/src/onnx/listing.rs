//! A graph as lines of text.

use super::messages::{DimensionValue, ModelProto, ValueInfoProto};

/// Inputs, a line for each node, outputs.
pub fn listing(model: &ModelProto) -> Vec<String> {
    let Some(graph) = &model.graph else { return Vec::new() };
    let mut lines: Vec<String> = graph.input.iter().map(|input| value("input", input)).collect();
    for node in &graph.node {
        let (inputs, outputs) = (node.input.join(", "), node.output.join(", "));
        lines.push(format!("{outputs} = {}({inputs})", node.op_type));
    }
    lines.extend(graph.output.iter().map(|output| value("output", output)));
    lines
}

fn value(what: &str, value: &ValueInfoProto) -> String {
    let sides = value.sides().unwrap_or_default().into_iter().map(|side| match side {
        Some(DimensionValue::Fixed(size)) => size.to_string(),
        Some(DimensionValue::Named(name)) => name,
        None => "?".to_owned(),
    });
    format!("{what} {} [{}]", value.name, sides.collect::<Vec<_>>().join(", "))
}
