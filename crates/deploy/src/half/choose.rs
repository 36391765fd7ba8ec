//! In which precision each node computes.

use super::{
    Precision,
    flow::Flow,
    layers::{self, LayerPrecision},
};
use crate::{
    onnx::{GraphProto, NodeProto},
    trt::TensorRtError,
};

/// Most of the work and of the weights: f16 is what the pass is for.
const PRODUCTS: &[&str] = &["MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"];

/// As good in either precision: these go with their neighbours.
const EITHER: &[&str] = &[
    // They move values.
    "Concat",
    "DepthToSpace",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalMaxPool",
    "Identity",
    "MaxPool",
    "Pad",
    "ReduceMax",
    "ReduceMin",
    "Reshape",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Where",
    // They make a value of one value, or of two of a kind.
    "Abs",
    "Add",
    "Cast",
    "Clip",
    "ConstantOfShape",
    "Div",
    "Elu",
    "Erf",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sum",
    "Sub",
    "Tanh",
];

/// What may stand between a product and its softmax: scaling, masks, shapes.
const LOGITS: &[&str] = &[
    "Add",
    "Clip",
    "Div",
    "Max",
    "Min",
    "Mul",
    "Reshape",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// How a node is decided.
#[derive(Clone, Copy, PartialEq)]
enum Choice {
    /// No f32 goes in or comes out.
    None,
    Fixed(Precision),
    Either,
}

/// One for each node; nothing for those that f32 does not touch.
pub(super) fn precisions(
    graph: &GraphProto,
    named: &[LayerPrecision],
) -> Result<Vec<Option<Precision>>, TensorRtError> {
    layers::check(named, graph)?;
    let flow = Flow::new(graph);
    let mut choices: Vec<Choice> = (0..flow.nodes.len()).map(|at| by_kind(&flow, at)).collect();
    for (at, node) in flow.nodes.iter().enumerate() {
        match node.op_type.as_str() {
            "Softmax" | "LogSoftmax" => logits(&flow, at, &mut choices),
            _ if is_square(node) && flow.touches_floats(at) => square(&flow, at, &mut choices),
            _ => {}
        }
    }
    for (at, node) in flow.nodes.iter().enumerate() {
        if let (Some(precision), true) =
            (layers::named(named, &node.name), choices[at] != Choice::None)
        {
            choices[at] = Choice::Fixed(precision);
        }
    }
    Ok(settle(&flow, &choices))
}

fn by_kind(flow: &Flow<'_>, at: usize) -> Choice {
    let node = &flow.nodes[at];
    let op = node.op_type.as_str();
    if !flow.touches_floats(at) {
        return Choice::None;
    }
    let own = node.domain.is_empty() || node.domain == "ai.onnx";
    if own && PRODUCTS.contains(&op) {
        return Choice::Fixed(Precision::Half);
    }
    // Whole numbers above 2048 are not all in f16.
    let into_another = op == "Cast" && flow.float_outputs(at).next().is_none();
    // A small divisor is 0 in f16.
    let by_a_value = op == "Div" && !is_constant(flow, node, 1);
    if own && EITHER.contains(&op) && !into_another && !by_a_value {
        return Choice::Either;
    }
    Choice::Fixed(Precision::Full)
}

fn is_constant(flow: &Flow<'_>, node: &NodeProto, input: usize) -> bool {
    node.input.get(input).is_some_and(|name| flow.constants.contains_key(name.as_str()))
}

/// From a softmax back to the product that makes what it takes, and the scaling of its factors.
fn logits(flow: &Flow<'_>, softmax: usize, choices: &mut [Choice]) {
    let mut user = softmax;
    loop {
        let mut makers = flow.float_inputs(user).filter_map(|value| {
            let maker = flow.maker(value)?;
            let op = flow.nodes[maker].op_type.as_str();
            let belongs = LOGITS.contains(&op) || PRODUCTS.contains(&op);
            (belongs && flow.is_only_user(value, user)).then_some(maker)
        });
        let (Some(maker), None) = (makers.next(), makers.next()) else { return };
        choices[maker] = Choice::Fixed(Precision::Full);
        if PRODUCTS.contains(&flow.nodes[maker].op_type.as_str()) {
            for value in flow.float_inputs(maker) {
                let scaling = flow.maker(value).filter(|&at| {
                    is_scaling(flow, &flow.nodes[at]) && flow.is_only_user(value, maker)
                });
                if let Some(scaling) = scaling {
                    choices[scaling] = Choice::Fixed(Precision::Full);
                }
            }
            return;
        }
        user = maker;
    }
}

/// By a number.
fn is_scaling(flow: &Flow<'_>, node: &NodeProto) -> bool {
    let by_one = |name: &String| flow.constants.get(name.as_str()) == Some(&1);
    matches!(node.op_type.as_str(), "Mul" | "Div") && node.input.iter().any(by_one)
}

fn is_square(node: &NodeProto) -> bool {
    node.op_type == "Mul" && node.input.first() == node.input.get(1)
}

/// A square, and what is made of it up to the operation that brings it back into range.
fn square(flow: &Flow<'_>, square: usize, choices: &mut [Choice]) {
    choices[square] = Choice::Fixed(Precision::Full);
    let mut way = Vec::new();
    let mut at = square;
    loop {
        let mut users = flow.float_outputs(at).flat_map(|value| flow.users(value));
        let (Some(&user), None) = (users.next(), users.next()) else { return };
        // Only a graph whose nodes are out of order goes back.
        if user <= at {
            return;
        }
        way.push(user);
        match flow.nodes[user].op_type.as_str() {
            "Add" | "Mul" => at = user,
            "Tanh" => break,
            _ => return,
        }
    }
    way.into_iter().for_each(|at| choices[at] = Choice::Fixed(Precision::Full));
}

/// What surrounds a node, through those that go with their neighbours.
#[derive(Clone, Copy)]
struct Around {
    /// f32 on some side, on every side.
    some: bool,
    all: bool,
}

/// Decides the nodes that go with their neighbours: f32 where f16 would mean a cast down and up
/// again, f16 otherwise.
fn settle(flow: &Flow<'_>, choices: &[Choice]) -> Vec<Option<Precision>> {
    let count = flow.nodes.len();
    let nothing = Around { some: false, all: false };
    let mut above = vec![nothing; count];
    for at in 0..count {
        let full = flow.float_inputs(at).map(|value| match flow.maker(value) {
            None => Around { some: true, all: true },
            // Only in a graph whose nodes are out of order.
            Some(maker) if maker >= at => nothing,
            Some(maker) => side(choices[maker], above[maker]),
        });
        above[at] = joined(full);
        if flow.float_inputs(at).next().is_none() {
            // Made of what the file holds: as good in f32 if nobody wants it in f16.
            above[at].some = true;
        }
    }
    let mut below = vec![nothing; count];
    for at in (0..count).rev() {
        let full = flow.float_outputs(at).flat_map(|value| {
            let users = flow.users(value).iter().map(|&user| match user > at {
                true => side(choices[user], below[user]),
                false => nothing,
            });
            let leaves = flow.outputs.contains(value).then_some(Around { some: true, all: true });
            users.chain(leaves)
        });
        below[at] = joined(full);
    }
    let settled = choices.iter().zip(above.iter().zip(&below)).map(|(choice, (above, below))| {
        let full = (above.all && below.some) || (above.some && below.all);
        match choice {
            Choice::None => None,
            Choice::Fixed(precision) => Some(*precision),
            Choice::Either if full => Some(Precision::Full),
            Choice::Either => Some(Precision::Half),
        }
    });
    settled.collect()
}

fn side(choice: Choice, around: Around) -> Around {
    let full = choice == Choice::Fixed(Precision::Full);
    match choice {
        Choice::Either => around,
        _ => Around { some: full, all: full },
    }
}

fn joined(sides: impl Iterator<Item = Around>) -> Around {
    let mut joined = Around { some: false, all: true };
    let mut any = false;
    for side in sides {
        any = true;
        joined.some |= side.some;
        joined.all &= side.all;
    }
    Around { all: joined.all && any, ..joined }
}
