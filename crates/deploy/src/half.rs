//! A model in f16: a pass over its graph that says of every node in which precision it computes.
//!
//! Builders of today are strongly typed: an engine computes in the types of the graph, so a model of
//! 16 bits is made here and not by a flag. Inputs and outputs of the file keep their types. Matrix
//! products and what moves their values around are f16; what needs range or many digits stays f32:
//! normalisations, softmax and the logits in front of it, sums, exponentials. Casts stand only where
//! a value changes hands between the two, one for all of its users.

mod choose;
mod flow;
mod layers;
mod rewrite;
mod types;

use std::collections::HashMap;

pub use layers::{LayerPrecision, Precision};

use crate::{
    onnx::{DataType, GraphProto, ModelProto},
    trt::TensorRtError,
};

/// A model in f16.
#[derive(Debug, Clone, PartialEq)]
pub struct HalfModel {
    /// The model.
    pub model: ModelProto,
    /// Values under another name than before, and the one that they had: outputs of the file, whose
    /// names now belong to their f32 copies.
    pub renamed: HashMap<String, String>,
}

/// The same computation in f16, but for what must be f32 and what `layers` names.
pub fn to_half(model: &ModelProto, layers: &[LayerPrecision]) -> Result<HalfModel, TensorRtError> {
    let mut model = model.clone();
    let graph = model.graph.get_or_insert_default();
    plain(graph)?;
    constants_as_initializers(graph);
    let precisions = choose::precisions(graph, layers)?;
    let renamed = rewrite::rewrite(graph, &precisions)?;
    Ok(HalfModel { model, renamed })
}

/// Element types of all values of a graph.
pub(crate) fn types(graph: &GraphProto) -> HashMap<String, DataType> {
    types::infer(graph)
}

/// A node with graphs inside would need the pass inside them.
fn plain(graph: &GraphProto) -> Result<(), TensorRtError> {
    let inside = graph.node.iter().find(|node| node.attribute.iter().any(|a| a.g.is_some()));
    match inside {
        None => Ok(()),
        Some(node) => Err(TensorRtError::GraphInside {
            operator: node.op_type.clone(),
            node: node.name.clone(),
        }),
    }
}

/// Other exporters write constants as nodes.
fn constants_as_initializers(graph: &mut GraphProto) {
    for node in std::mem::take(&mut graph.node) {
        let value = node.attribute("value").and_then(|value| value.t.clone());
        match (node.op_type.as_str(), value, node.output.first()) {
            ("Constant", Some(mut value), Some(name)) => {
                value.name.clone_from(name);
                graph.initializer.push(value);
            }
            _ => graph.node.push(node),
        }
    }
}
