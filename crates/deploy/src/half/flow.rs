//! Which node makes a value and which nodes take it.

use std::collections::{HashMap, HashSet};

use super::types;
use crate::onnx::{DataType, GraphProto, NodeProto};

/// A graph that can be asked.
pub(super) struct Flow<'a> {
    pub(super) nodes: &'a [NodeProto],
    pub(super) types: HashMap<String, DataType>,
    /// Values of the file itself.
    pub(super) constants: HashMap<&'a str, usize>,
    pub(super) outputs: HashSet<&'a str>,
    makers: HashMap<&'a str, usize>,
    users: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Flow<'a> {
    pub(super) fn new(graph: &'a GraphProto) -> Flow<'a> {
        let mut makers = HashMap::new();
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, node) in graph.node.iter().enumerate() {
            makers.extend(node.output.iter().map(|name| (name.as_str(), at)));
            for name in &node.input {
                let users = users.entry(name).or_default();
                if users.last() != Some(&at) {
                    users.push(at);
                }
            }
        }
        let constants = graph.initializer.iter();
        Flow {
            nodes: &graph.node,
            types: types::infer(graph),
            constants: constants.map(|tensor| (tensor.name.as_str(), tensor.len())).collect(),
            outputs: graph.output.iter().map(|output| output.name.as_str()).collect(),
            makers,
            users,
        }
    }

    pub(super) fn is_float(&self, value: &str) -> bool {
        self.types.get(value) == Some(&DataType::Float)
    }

    pub(super) fn maker(&self, value: &str) -> Option<usize> {
        self.makers.get(value).copied()
    }

    pub(super) fn users(&self, value: &str) -> &[usize] {
        self.users.get(value).map_or(&[], Vec::as_slice)
    }

    /// The f32 inputs of a node that are not of the file itself.
    pub(super) fn float_inputs(&self, node: usize) -> impl Iterator<Item = &'a str> {
        let inputs = self.nodes[node].input.iter().map(String::as_str);
        inputs.filter(|name| self.is_float(name) && !self.constants.contains_key(name))
    }

    pub(super) fn float_outputs(&self, node: usize) -> impl Iterator<Item = &'a str> {
        let outputs = self.nodes[node].output.iter().map(String::as_str);
        outputs.filter(|name| self.is_float(name))
    }

    /// Whether f32 goes in or comes out.
    pub(super) fn touches_floats(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.input.iter().chain(&node.output).any(|name| self.is_float(name))
    }

    /// Whether `node` alone takes `value`.
    pub(super) fn is_only_user(&self, value: &str, node: usize) -> bool {
        self.users(value) == [node] && !self.outputs.contains(value)
    }
}
