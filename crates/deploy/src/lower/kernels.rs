//! The operations of `hearth-kernels`.
//!
//! Shape letters: B batch, A heads, N tokens, Q queries, K keys, D width of a head, W = A * D, G groups
//! of a bias.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI};

use burn::backend::ir::{CustomOpIr, TensorIr};
use hearth_kernels::Activation;

use super::{
    Done, Lowering, Scalars, deformable,
    layout::{reshaped, transposed},
    modules::{normalized, projected},
    reduce::{Over, reduced},
};
use crate::{capture::Extent, onnx::AttributeProto};

/// One recorded call of a kernel.
pub struct KernelCall<'a> {
    operation: &'a CustomOpIr,
}

/// Writes the nodes of a kernel and returns the value of its result.
pub type KernelLowering = fn(&mut Lowering<'_>, &KernelCall<'_>) -> Result<String, String>;

/// Activations by the number under which they are recorded.
pub(crate) const ACTIVATIONS: [Activation; 4] =
    [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu];

/// Hides a key: far below any score, and a number in f16 too.
const HIDDEN: f32 = -1e4;

const KERNELS: [(&str, KernelLowering); 10] = [
    ("hearth::linear", linear),
    ("hearth::layer_norm", layer_norm),
    ("hearth::activate", activate),
    ("hearth::softmax", |to, call| Ok(softened(to, "Softmax", &call.input(to, 0)))),
    ("hearth::log_softmax", |to, call| Ok(softened(to, "LogSoftmax", &call.input(to, 0)))),
    ("hearth::attention", attention),
    ("hearth::self_attention", self_attention),
    ("hearth::response_norm", response_norm),
    ("hearth::depthwise_conv", depthwise),
    ("hearth::deformable_sampling", deformable::sampling),
];

pub(super) fn lower(
    to: &mut Lowering<'_>,
    operation: &CustomOpIr,
    replaced: &[(&'static str, KernelLowering)],
) -> Done {
    let mut all = replaced.iter().chain(&KERNELS);
    let found = all.find(|(name, _)| *name == operation.id);
    let (_, lowering) = found.ok_or("has no form in ONNX yet")?;
    let value = lowering(to, &KernelCall { operation })?;
    to.bind(&operation.outputs[0], value);
    Ok(())
}

impl KernelCall<'_> {
    /// The value of an input.
    pub fn input(&self, to: &Lowering<'_>, index: usize) -> String {
        to.value(&self.operation.inputs[index])
    }

    /// The value of an input that may be missing.
    fn optional(&self, to: &Lowering<'_>, index: usize) -> Option<String> {
        self.operation.inputs.get(index).map(|input| to.value(input))
    }

    pub(super) fn operation(&self) -> &CustomOpIr {
        self.operation
    }

    fn rank(&self) -> usize {
        self.operation.inputs[0].shape.num_dims()
    }
}

fn linear(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let (x, weight, bias) = (call.input(to, 0), call.input(to, 1), call.optional(to, 2));
    Ok(projected(to, [&x, &weight], bias.as_deref(), call.rank()))
}

fn layer_norm(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let inputs = [0, 1, 2].map(|index| call.input(to, index));
    let epsilon = call.operation.scalars.float(0);
    Ok(normalized(to, &[&inputs[0], &inputs[1], &inputs[2]], epsilon))
}

fn activate(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let x = call.input(to, 0);
    Ok(activated(to, ACTIVATIONS[call.operation.scalars.count(0)], &x))
}

/// GELU is an operator from version 20 on; before, it is written out.
pub(super) fn activated(to: &mut Lowering<'_>, function: Activation, x: &str) -> String {
    let is_gelu = matches!(function, Activation::Gelu | Activation::GeluTanh);
    if is_gelu && to.opset() >= 20 {
        let approximate = if function == Activation::Gelu { "none" } else { "tanh" };
        return to.node("Gelu", &[x], vec![AttributeProto::text("approximate", approximate)]);
    }
    match function {
        Activation::Gelu => {
            let scaled = scaled(to, x, FRAC_1_SQRT_2);
            let erf = to.node("Erf", &[&scaled], Vec::new());
            half_of_one_more(to, x, &erf)
        }
        Activation::GeluTanh => {
            let square = to.node("Mul", &[x, x], Vec::new());
            let cube = to.node("Mul", &[&square, x], Vec::new());
            let cube = scaled(to, &cube, 0.044_715);
            let sum = to.node("Add", &[x, &cube], Vec::new());
            let sum = scaled(to, &sum, FRAC_2_PI.sqrt());
            let tanh = to.node("Tanh", &[&sum], Vec::new());
            half_of_one_more(to, x, &tanh)
        }
        Activation::QuickGelu => {
            let scaled = scaled(to, x, 1.702);
            let gate = to.node("Sigmoid", &[&scaled], Vec::new());
            to.node("Mul", &[x, &gate], Vec::new())
        }
        Activation::Silu => {
            let gate = to.node("Sigmoid", &[x], Vec::new());
            to.node("Mul", &[x, &gate], Vec::new())
        }
    }
}

/// x (1 + y) / 2.
fn half_of_one_more(to: &mut Lowering<'_>, x: &str, y: &str) -> String {
    let one = to.floats(&[], &[1.0]);
    let more = to.node("Add", &[y, &one], Vec::new());
    let product = to.node("Mul", &[x, &more], Vec::new());
    scaled(to, &product, 0.5)
}

fn scaled(to: &mut Lowering<'_>, x: &str, factor: f32) -> String {
    let factor = to.floats(&[], &[factor]);
    to.node("Mul", &[x, &factor], Vec::new())
}

fn softened(to: &mut Lowering<'_>, operator: &str, x: &str) -> String {
    to.node(operator, &[x], vec![AttributeProto::int("axis", -1)])
}

fn attention(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let [q, k, v] = [0, 1, 2].map(|index| call.input(to, index));
    let keys = transposed(to, &k, &[0, 1, 3, 2]);
    let out = attended(to, call, [&q, &keys, &v], Attended::of(to, call)?);
    Ok(out)
}

fn self_attention(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let heads = call.operation.scalars.count(1) as i64;
    let qkv = &call.operation.inputs[0];
    let [batch, tokens, all] =
        <[Extent; 3]>::try_from(to.extents(qkv)).map_err(|_| "needs three axes".to_owned())?;
    let (tokens, width) = match (tokens.fixed(), all.fixed()) {
        (Some(tokens), Some(all)) => (tokens, all / 3),
        _ => return Err("has tokens that follow the batch".to_owned()),
    };
    let parts = to.list(&[width; 3]);
    let axis = vec![AttributeProto::int("axis", 2)];
    let parts = to.nodes("Split", &[&to.value(qkv), &parts], 3, axis);
    let fixed = |size| Extent { scale: 0, offset: size };
    let whole = [batch, fixed(tokens), fixed(width)];
    let cut = [batch, fixed(tokens), fixed(heads), fixed(width / heads)];
    let orders = [[0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]];
    let mut inputs = Vec::new();
    for (part, order) in parts.iter().zip(orders) {
        let heads = reshaped(to, part, &whole, &cut);
        inputs.push(transposed(to, &heads, &order));
    }
    let about = Attended { heads, queries: tokens, keys: tokens, width: width / heads, bias: 1 };
    let out = attended(to, call, [&inputs[0], &inputs[1], &inputs[2]], about);
    let out = transposed(to, &out, &[0, 2, 1, 3]);
    Ok(reshaped(to, &out, &cut, &whole))
}

/// Sizes of an attention, and which input is its bias.
struct Attended {
    heads: i64,
    queries: i64,
    keys: i64,
    width: i64,
    bias: usize,
}

impl Attended {
    fn of(to: &Lowering<'_>, call: &KernelCall<'_>) -> Result<Attended, String> {
        let fixed = |tensor: &TensorIr, axis: usize| {
            let side = to.extents(tensor)[axis].fixed();
            side.ok_or_else(|| format!("has an axis {axis} that follows the batch"))
        };
        let [q, k] = [0, 1].map(|index| &call.operation.inputs[index]);
        let [heads, queries, width] = [fixed(q, 1)?, fixed(q, 2)?, fixed(q, 3)?];
        Ok(Attended { heads, queries, keys: fixed(k, 2)?, width, bias: 3 })
    }
}

/// softmax(q k + bias) v with `k` as [B, A, D, K]. Half of the scale goes to each factor, so that the
/// products stay small where numbers are narrow.
fn attended(
    to: &mut Lowering<'_>,
    call: &KernelCall<'_>,
    [q, k, v]: [&str; 3],
    about: Attended,
) -> String {
    let scale = (about.width as f32).powf(-0.25);
    let [q, k] = [q, k].map(|x| scaled(to, x, scale));
    let mut scores = to.node("MatMul", &[&q, &k], Vec::new());
    if let Some(bias) = call.operation.inputs.get(about.bias) {
        scores = biased(to, &scores, bias, &about);
    }
    if call.operation.scalars.flag(0) {
        let (queries, keys) = (about.queries as usize, about.keys as usize);
        let hides = |q: usize, k: usize| if k > q { HIDDEN } else { 0.0 };
        let mask = (0..queries).flat_map(|q| (0..keys).map(move |k| hides(q, k)));
        let mask = to.floats(&[queries, keys], &mask.collect::<Vec<f32>>());
        scores = to.node("Add", &[&scores, &mask], Vec::new());
    }
    let probabilities = softened(to, "Softmax", &scores);
    to.node("MatMul", &[&probabilities, v], Vec::new())
}

/// Adds a bias [G, A or 1, Q or 1, K], which repeats every G samples; one that hides a key is minus
/// infinity and becomes a number.
fn biased(to: &mut Lowering<'_>, scores: &str, bias: &TensorIr, about: &Attended) -> String {
    let least = to.floats(&[], &[HIDDEN]);
    let value = to.node("Max", &[&to.value(bias), &least], Vec::new());
    let groups = to.extents(bias)[0];
    match groups.fixed() {
        Some(groups) if groups > 1 => {
            let sides = [-1, groups, about.heads, about.queries, about.keys];
            let (grouped, back) = (to.list(&sides), to.list(&[-1, sides[2], sides[3], sides[4]]));
            let scores = to.node("Reshape", &[scores, &grouped], Vec::new());
            let scores = to.node("Add", &[&scores, &value], Vec::new());
            to.node("Reshape", &[&scores, &back], Vec::new())
        }
        _ => to.node("Add", &[scores, &value], Vec::new()),
    }
}

/// x (1 + gamma r) + beta, r the length of a channel over that of all.
fn response_norm(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let [x, gamma, beta] = [0, 1, 2].map(|index| call.input(to, index));
    let length = reduced(to, Over::Length, &x, &[1, 2]);
    let mean = reduced(to, Over::Mean, &length, &[3]);
    let epsilon = to.floats(&[], &[call.operation.scalars.float(0) as f32]);
    let mean = to.node("Add", &[&mean, &epsilon], Vec::new());
    let response = to.node("Div", &[&length, &mean], Vec::new());
    let response = to.node("Mul", &[&response, &gamma], Vec::new());
    let one = to.floats(&[], &[1.0]);
    let response = to.node("Add", &[&response, &one], Vec::new());
    let x = to.node("Mul", &[&x, &response], Vec::new());
    Ok(to.node("Add", &[&x, &beta], Vec::new()))
}

fn depthwise(to: &mut Lowering<'_>, call: &KernelCall<'_>) -> Result<String, String> {
    let [x, weight, bias] = [0, 1, 2].map(|index| call.input(to, index));
    let [channels, _, side, _]: [usize; 4] = call.operation.inputs[1].shape.dims();
    let (side, pad) = (side as i64, side as i64 / 2);
    let x = transposed(to, &x, &[0, 3, 1, 2]);
    let attributes = vec![
        AttributeProto::ints("kernel_shape", [side; 2]),
        AttributeProto::ints("pads", [pad; 4]),
        AttributeProto::int("group", channels as i64),
    ];
    let out = to.node("Conv", &[&x, &weight, &bias], attributes);
    Ok(transposed(to, &out, &[0, 2, 3, 1]))
}
