//! From a network to an ONNX model.

use std::collections::HashSet;

use crate::{
    capture,
    error::DeployError,
    fold,
    lower::{self, KernelLowering},
    network::Network,
    onnx::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto},
};

/// How a network is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// The version of the operators, 17 to 22.
    pub opset: i64,
    /// The only number of samples, or any.
    pub batch: Option<usize>,
    /// What else the file says, by key.
    pub metadata: Vec<(String, String)>,
    /// Lowerings that replace those of kernels of the same name.
    pub kernels: Vec<(&'static str, KernelLowering)>,
}

impl Default for Options {
    fn default() -> Self {
        Options { opset: 17, batch: None, metadata: Vec::new(), kernels: Vec::new() }
    }
}

/// Records `network` and writes it as a model. Values of parameters are shared with it where the
/// device allows it.
pub fn export<N: Network>(
    network: &N,
    model: &N::Model,
    options: &Options,
) -> Result<ModelProto, DeployError> {
    let recording = capture::record(network, model, options.batch)?;
    let folded = fold::fold(&recording, model);
    let mut graph = lower::lower(&recording, folded, options.opset, &options.kernels)?.graph;
    prune(&mut graph);
    graph.name = "hearth".to_owned();
    let metadata = options.metadata.iter();
    Ok(ModelProto {
        ir_version: ir_version(options.opset),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: options.opset }],
        producer_name: "hearth".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: String::new(),
        graph: Some(graph),
        metadata_props: metadata
            .map(|(key, value)| StringStringEntryProto::new(key, value))
            .collect(),
    })
}

/// The oldest version of the format that knows the operators.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..19 => 8,
        19 | 20 => 9,
        _ => 10,
    }
}

/// Takes out what no output needs.
fn prune(graph: &mut GraphProto) {
    let mut needed: HashSet<String> =
        graph.output.iter().map(|output| output.name.clone()).collect();
    let mut kept = Vec::new();
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
}
