//! The graph of a twin.

use std::collections::{HashMap, HashSet};

use super::{Twin, Watched, judge::Measure};
use crate::{
    half::{self, HalfModel},
    onnx::{
        AttributeProto, DataType, DimensionValue, GraphProto, ModelProto, NodeProto, TensorProto,
        ValueInfoProto,
    },
};

/// In front of the names of the original's values.
const ORIGINAL: &str = "original/";

/// These make no new values, so there is nothing to round or to measure.
const MOVES: &[&str] = &[
    "Concat",
    "Expand",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

/// The twin while it is made.
struct Making<'a> {
    half: &'a HalfModel,
    types: HashMap<String, DataType>,
    nodes: Vec<NodeProto>,
    /// The result before it is rounded, and the original's.
    pairs: Vec<(String, String)>,
    watched: Vec<Watched>,
}

pub(super) fn build(original: &ModelProto, half: &HalfModel) -> Twin {
    let graph = half.model.graph.clone().unwrap_or_default();
    let mut making = Making {
        half,
        types: half::types(&graph),
        nodes: Vec::new(),
        pairs: Vec::new(),
        watched: Vec::new(),
    };
    let labels = labels(&graph);
    for node in &graph.node {
        making.node(node.clone(), &labels);
    }
    let mut initializers = graph.initializer.clone();
    let shared = shared(&graph);
    let beside = prefixed(original.graph.clone().unwrap_or_default(), &shared);
    initializers.extend(beside.initializer);
    // The original comes first: the measures at the end compare with it.
    let mut nodes = beside.node;
    nodes.append(&mut making.nodes);
    let name = |name: &str| original_name(name, &shared);
    let outputs: Vec<(String, String)> =
        graph.output.iter().map(|one| (one.name.clone(), name(&one.name))).collect();
    let mut given = graph.output.clone();
    given.extend(beside.output.into_iter().filter(|one| one.name.starts_with(ORIGINAL)));
    if !making.pairs.is_empty() {
        let pairs: Vec<_> = making.pairs.iter().map(|(one, other)| (one, name(other))).collect();
        initializers.push(TensorProto::ints("twin/one", &[1], &[1]));
        let table = [pairs.len() as i64, Measure::ALL.len() as i64];
        initializers.push(TensorProto::ints("twin/table", &[2], &table));
        nodes.extend(measured(&pairs));
        let count = DimensionValue::Fixed(pairs.len() as i64);
        for (at, measure) in Measure::ALL.into_iter().enumerate() {
            let column = format!("{}/column", measure.output());
            initializers.push(TensorProto::ints(column.as_str(), &[], &[at as i64]));
            nodes.push(
                NodeProto::new("Gather", ["twin/measures", &column], [measure.output()])
                    .with(AttributeProto::int("axis", 1)),
            );
            given.push(ValueInfoProto::tensor(measure.output(), DataType::Float, [count.clone()]));
        }
    }
    let twin = GraphProto {
        name: graph.name.clone(),
        node: nodes,
        initializer: initializers,
        input: graph.input,
        output: given,
        value_info: Vec::new(),
    };
    let model = ModelProto { graph: Some(twin), ..half.model.clone() };
    Twin { model, watched: making.watched, outputs }
}

/// The node that makes each value.
fn labels(graph: &GraphProto) -> HashMap<&str, &NodeProto> {
    let made = graph.node.iter().flat_map(|node| node.output.iter().map(move |name| (name, node)));
    made.map(|(name, node)| (name.as_str(), node)).collect()
}

impl Making<'_> {
    fn node(&mut self, mut node: NodeProto, makers: &HashMap<&str, &NodeProto>) {
        let is_half = |name: &String| self.types.get(name) == Some(&DataType::Float16);
        let from = node.input.first().and_then(|name| self.types.get(name)).copied();
        let to_half = node.op_type == "Cast" && node.output.first().is_some_and(is_half);
        match from {
            Some(DataType::Float) if to_half => {
                let (from, to) = (node.input[0].clone(), node.output[0].clone());
                let maker = makers.get(from.as_str()).copied();
                if let Some(maker) = maker {
                    self.watch(maker, &from, &from);
                }
                self.round(&from, &to);
            }
            Some(DataType::Float16) if node.op_type == "Cast" && !to_half => {
                if node.attribute("to").and_then(|to| to.i) == Some(DataType::Float as i64) {
                    node =
                        NodeProto { op_type: "Identity".to_owned(), attribute: Vec::new(), ..node };
                }
                self.nodes.push(node);
            }
            _ => self.computation(node),
        }
    }

    /// A node that computes: in f32, and what was f16 is rounded.
    fn computation(&mut self, mut node: NodeProto) {
        let half: Vec<usize> = (0..node.output.len())
            .filter(|&at| self.types.get(&node.output[at]) == Some(&DataType::Float16))
            .collect();
        widen_attributes(&mut node);
        if MOVES.contains(&node.op_type.as_str()) {
            self.nodes.push(node);
            return;
        }
        let plain = node.clone();
        for &at in &half {
            node.output[at] = format!("{}/exact", node.output[at]);
        }
        self.nodes.push(node);
        for at in half {
            let (name, exact) = (&plain.output[at], format!("{}/exact", plain.output[at]));
            let before = self.half.renamed.get(name).unwrap_or(name).clone();
            self.watch(&plain, &exact, &before);
            self.round(&exact, name);
        }
    }

    fn watch(&mut self, node: &NodeProto, exact: &str, original: &str) {
        let name = match node.name.as_str() {
            "" => node.output.first().cloned().unwrap_or_default(),
            name => name.to_owned(),
        };
        self.pairs.push((exact.to_owned(), original.to_owned()));
        self.watched.push(Watched { node: name, operator: node.op_type.clone() });
    }

    /// `to` is `from` as f16 holds it.
    fn round(&mut self, from: &str, to: &str) {
        let between = format!("{to}/rounded");
        self.nodes.push(cast(from, &between, DataType::Float16));
        self.nodes.push(cast(&between, to, DataType::Float));
    }
}

fn cast(from: &str, to: &str, dtype: DataType) -> NodeProto {
    NodeProto::new("Cast", [from], [to])
        .with(AttributeProto::int("to", i64::from(i32::from(dtype))))
}

fn widen_attributes(node: &mut NodeProto) {
    for attribute in &mut node.attribute {
        if node.op_type == "Cast" && attribute.i == Some(DataType::Float16 as i64) {
            attribute.i = Some(DataType::Float as i64);
        }
        if let Some(tensor) = &mut attribute.t {
            *tensor = tensor.widened();
        }
    }
}

/// What twin and original have in common: inputs, and weights that did not become f16.
fn shared(graph: &GraphProto) -> HashSet<String> {
    let kept = graph.initializer.iter().filter(|one| one.data_type() != DataType::Float16);
    let inputs = graph.input.iter().map(|input| &input.name);
    inputs.chain(kept.map(|one| &one.name)).cloned().collect()
}

fn original_name(name: &str, shared: &HashSet<String>) -> String {
    match name.is_empty() || shared.contains(name) {
        true => name.to_owned(),
        false => format!("{ORIGINAL}{name}"),
    }
}

/// The original under names of its own.
fn prefixed(mut graph: GraphProto, shared: &HashSet<String>) -> GraphProto {
    let rename = |name: &mut String| *name = original_name(name, shared);
    // A constant that was a node is shared now.
    graph.node.retain(|node| {
        !(node.op_type == "Constant" && node.output.iter().all(|name| shared.contains(name)))
    });
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(rename);
        node.name = format!("{ORIGINAL}{}", node.name);
    }
    graph.initializer.retain(|tensor| !shared.contains(&tensor.name));
    graph.initializer.iter_mut().for_each(|tensor| rename(&mut tensor.name));
    graph.output.iter_mut().for_each(|output| rename(&mut output.name));
    graph
}

/// The measures of every pair, a row each, of one table.
///
/// The table grows row by row, and its nodes stand behind all others: so a runtime that goes back from
/// the last node to what it needs measures a pair before it computes the next, and keeps no result
/// longer than that.
fn measured(pairs: &[(&String, String)]) -> Vec<NodeProto> {
    let mut nodes = Vec::new();
    for (at, (exact, original)) in pairs.iter().enumerate() {
        let numbers = Measure::ALL.map(|measure| {
            let value = |part: &str| format!("{}/{at}/{part}", measure.output());
            nodes.extend(reduced(measure, exact, original, value));
            let scalar = [value("scalar"), "twin/one".to_owned()];
            nodes.push(NodeProto::new("Reshape", scalar, [value("one")]));
            value("one")
        });
        nodes.push(joined(numbers, format!("twin/{at}/row")));
    }
    nodes.push(NodeProto::new("Identity", ["twin/0/row"], ["twin/0/rows"]));
    for at in 1..pairs.len() {
        let both = [format!("twin/{}/rows", at - 1), format!("twin/{at}/row")];
        nodes.push(joined(both, format!("twin/{at}/rows")));
    }
    let all = format!("twin/{}/rows", pairs.len() - 1);
    nodes.push(NodeProto::new("Reshape", [all.as_str(), "twin/table"], ["twin/measures"]));
    nodes
}

/// One number of a pair, as `value("scalar")`.
fn reduced(
    measure: Measure,
    exact: &str,
    original: &str,
    value: impl Fn(&str) -> String,
) -> Vec<NodeProto> {
    let reduce = |op: &str, of: &str| {
        NodeProto::new(op, [of], [value("scalar")]).with(AttributeProto::int("keepdims", 0))
    };
    match measure {
        Measure::Largest => {
            let magnitude = NodeProto::new("Abs", [exact], [value("abs")]);
            vec![magnitude, reduce("ReduceMax", &value("abs"))]
        }
        Measure::Sum => vec![reduce("ReduceL1", exact)],
        Measure::Square => vec![reduce("ReduceSumSquare", exact)],
        Measure::OriginalSquare => vec![reduce("ReduceSumSquare", original)],
        Measure::Product => {
            let product = NodeProto::new("Mul", [exact, original], [value("product")]);
            vec![product, reduce("ReduceSum", &value("product"))]
        }
    }
}

fn joined<I: Into<String>>(parts: impl IntoIterator<Item = I>, whole: String) -> NodeProto {
    NodeProto::new("Concat", parts, [whole]).with(AttributeProto::int("axis", 0))
}
