//! What `layers_precision` names.

use std::str::FromStr;

use crate::{onnx::GraphProto, trt::TensorRtError};

/// In which type a node computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f16.
    Half,
    /// f32.
    Full,
}

/// An entry `layer:precision`: the nodes of a module compute so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPrecision {
    /// The start of their names, up to the end of a part of the path.
    pub layer: String,
    /// What is wanted.
    pub precision: Precision,
}

impl FromStr for LayerPrecision {
    type Err = TensorRtError;

    fn from_str(entry: &str) -> Result<LayerPrecision, TensorRtError> {
        let (layer, precision) = entry.rsplit_once(':').unwrap_or((entry, ""));
        let precision = match precision.trim() {
            "fp32" => Precision::Full,
            "fp16" => Precision::Half,
            _ => return Err(TensorRtError::LayerPrecision { entry: entry.to_owned() }),
        };
        match layer.trim() {
            "" => Err(TensorRtError::LayerPrecision { entry: entry.to_owned() }),
            layer => Ok(LayerPrecision { layer: layer.to_owned(), precision }),
        }
    }
}

impl LayerPrecision {
    /// Whether a node of that name is meant: `blocks.1` means `blocks.1` and `blocks.1.attn`, not
    /// `blocks.10`.
    fn means(&self, name: &str) -> bool {
        let rest = plain(name).strip_prefix(plain(&self.layer));
        rest.is_some_and(|rest| {
            rest.is_empty() || self.layer.ends_with(['.', '/']) || rest.starts_with(['.', '/'])
        })
    }
}

/// Other exporters begin names with a slash.
fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// What `layers` say about the node of that name: the longest that means it.
pub(super) fn named(layers: &[LayerPrecision], name: &str) -> Option<Precision> {
    let meant = layers.iter().filter(|entry| entry.means(name));
    meant.max_by_key(|entry| entry.layer.len()).map(|entry| entry.precision)
}

/// An entry that means no node is a mistake.
pub(super) fn check(layers: &[LayerPrecision], graph: &GraphProto) -> Result<(), TensorRtError> {
    for entry in layers {
        if !graph.node.iter().any(|node| entry.means(&node.name)) {
            let near = near(&entry.layer, graph);
            return Err(TensorRtError::NoSuchLayer { layer: entry.layer.clone(), near });
        }
    }
    Ok(())
}

/// Names in the graph that share the longest beginning with `layer`, three at most.
fn near(layer: &str, graph: &GraphProto) -> Vec<String> {
    let shared = |name: &str| {
        plain(name)
            .chars()
            .zip(plain(layer).chars())
            .take_while(|(one, other)| one == other)
            .count()
    };
    let mut names: Vec<&str> = graph.node.iter().map(|node| node.name.as_str()).collect();
    names.retain(|name| !name.is_empty());
    names.sort_by_key(|name| std::cmp::Reverse(shared(name)));
    names.dedup();
    names.into_iter().take(3).map(str::to_owned).collect()
}
