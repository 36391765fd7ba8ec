//! Time of every operation at the sizes of ViT-B/16 with 8 pictures, forward, and forward and backward.
//!
//!   cargo bench -p hearth-kernels                      a table (divan)
//!   cargo bench -p hearth-kernels -- --json            a line per case, for `benches/peers`
#![recursion_limit = "256"]

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use hearth_kernels::{
    Activation, View, activate, layer_norm, linear, log_softmax, self_attention, softmax,
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

/// Numbers without pattern in (-1, 1).
fn numbers<const D: usize>(sides: [usize; D]) -> Tensor<D> {
    let mut state = 1u32;
    let values = (0..sides.iter().product()).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    });
    let values: Vec<f32> = values.collect();
    Tensor::from_data(TensorData::new(values, sides), &Device::flex())
}

/// A parameter.
fn leaf<const D: usize>(sides: [usize; D]) -> Tensor<D> {
    numbers(sides).autodiff().require_grad()
}

/// Runs a case once: `backward` with gradients of everything, for an output gradient of ones.
fn run(operation: &Operation, x: &Tensor<3>, backward: bool) {
    if backward {
        let x = x.clone().autodiff().require_grad();
        drop(operation(x).sum().backward());
    } else {
        drop(operation(x.clone()));
    }
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
    bencher.bench_local(|| run(&operation, &x, backward));
}

/// A line per case: its name, median and minimum of the times.
fn print_lines(filter: &str) {
    for case in CASES.iter().filter(|case| case.name.contains(filter)) {
        let (operation, x) = ((case.prepare)(), numbers(case.sides));
        for (suffix, backward) in [("", false), ("_backward", true)] {
            let mut times: Vec<f64> = (0..30)
                .map(|_| {
                    let start = Instant::now();
                    run(&operation, &x, backward);
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            let (median, min) = (times[times.len() / 2], times[0]);
            println!(
                "{{\"case\": \"{}{suffix}\", \"median_ms\": {median:.4}, \"min_ms\": {min:.4}}}",
                case.name
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--json") {
        let filter = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
        print_lines(filter.map_or("", String::as_str));
    } else {
        divan::main();
    }
}
