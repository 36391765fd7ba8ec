//! Time of every operation at the sizes of ViT-B/16 with 8 pictures, forward, and forward and backward.
//!
//!   cargo bench -p trainer -p hearth-kernels --bench kernels
//!
//! `cargo xtask bench --only kernels` compares them with PyTorch.
#![recursion_limit = "256"]

use burn::tensor::{Device, Distribution, Tensor};
use hearth_kernels::{
    Activation, View, activate, backward_with, layer_norm, linear, log_softmax, self_attention,
    softmax,
};

/// B, N, W, M of ViT-B/16 at 224 pixels, and its heads.
const BATCH: usize = 8;
const TOKENS: usize = 197;
const WIDTH: usize = 768;
const HIDDEN: usize = 3072;
const HEADS: usize = 12;

/// An operation on one input; its parameters are made before the clock starts.
struct Case {
    name: &'static str,
    sides: [usize; 3],
    prepare: fn() -> Operation,
}

type Operation = Box<dyn Fn(Tensor<3>) -> Tensor<3>>;

const CASES: &[Case] = &[
    Case { name: "gelu", sides: [BATCH, TOKENS, HIDDEN], prepare: || activation(Activation::Gelu) },
    Case {
        name: "gelu_tanh",
        sides: [BATCH, TOKENS, HIDDEN],
        prepare: || activation(Activation::GeluTanh),
    },
    Case {
        name: "quick_gelu",
        sides: [BATCH, TOKENS, HIDDEN],
        prepare: || activation(Activation::QuickGelu),
    },
    Case { name: "silu", sides: [BATCH, TOKENS, HIDDEN], prepare: || activation(Activation::Silu) },
    Case {
        name: "layer_norm",
        sides: [BATCH, TOKENS, WIDTH],
        prepare: || {
            let (weight, bias) = (leaf([WIDTH]), leaf([WIDTH]));
            Box::new(move |x| layer_norm(x, weight.clone(), bias.clone(), 1e-6))
        },
    },
    Case {
        name: "linear",
        sides: [BATCH, TOKENS, WIDTH],
        prepare: || {
            let (weight, bias) = (leaf([WIDTH, HIDDEN]), leaf([HIDDEN]));
            Box::new(move |x| linear(x, weight.clone(), Some(bias.clone())))
        },
    },
    Case {
        name: "self_attention",
        sides: [BATCH, TOKENS, 3 * WIDTH],
        prepare: || Box::new(|x| self_attention(x, HEADS, View::default())),
    },
    Case { name: "softmax", sides: SCORES, prepare: || Box::new(softmax) },
    Case { name: "log_softmax", sides: SCORES, prepare: || Box::new(log_softmax) },
];

/// The scores of one block.
const SCORES: [usize; 3] = [BATCH * HEADS, TOKENS, TOKENS];

fn activation(function: Activation) -> Operation {
    Box::new(move |x| activate(x, function))
}

/// Numbers without pattern in [-1, 1).
fn numbers<const D: usize>(sides: [usize; D]) -> Tensor<D> {
    Tensor::random(sides, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// A parameter.
fn leaf<const D: usize>(sides: [usize; D]) -> Tensor<D> {
    numbers(sides).autodiff().require_grad()
}

#[divan::bench(args = CASES.iter().map(|case| case.name))]
fn forward(bencher: divan::Bencher<'_, '_>, name: &str) {
    bench(bencher, name, false);
}

#[divan::bench(args = CASES.iter().map(|case| case.name))]
fn forward_and_backward(bencher: divan::Bencher<'_, '_>, name: &str) {
    bench(bencher, name, true);
}

fn bench(bencher: divan::Bencher<'_, '_>, name: &str, backward: bool) {
    let case = CASES.iter().find(|case| case.name == name).expect("the name of a case");
    let (operation, x) = ((case.prepare)(), numbers(case.sides));
    let grad = operation(x.clone()).without_autodiff();
    bencher.bench_local(|| match backward {
        true => {
            let x = x.clone().autodiff().require_grad();
            drop(backward_with(operation(x), grad.clone()));
        }
        false => drop(operation(x.clone())),
    });
}

fn main() {
    divan::main();
}
