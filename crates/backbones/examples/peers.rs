//! Hearth's side of `benches/kernels.json`, as JSON lines; the other side is `benches/peers/kernels.py`.
//!
//!   cargo run --release -p trainer -p hearth-backbones --example peers [CASE ..]
//!
//! A case `x` gives `x.forward` (no gradients) and `x.both` (forward and backward: gradients of the
//! input and of all weights). Pictures have their channels last where Hearth's models have them so.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Distribution, Int, Tensor, TensorData},
};
use hearth_backbones::{
    layers::BlockConfig,
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_kernels::{
    Activation, Adam, Slot, View, activate, adam, attention, backward_with, deformable_sampling,
    depthwise_conv, keep_memory, layer_norm, linear, log_softmax, response_norm, self_attention,
    softmax, sum_of_squares,
};
use serde_json::{Value, json};

const CASES: &str = include_str!("../../../benches/kernels.json");
/// How long each measurement takes at least, and how many runs it has at least.
const LEAST: (Duration, usize) = (Duration::from_secs(1), 5);

/// One forward pass, and if it is asked for the backward pass too.
type Run = Box<dyn Fn(bool)>;

/// Numbers without pattern in [-1, 1).
fn numbers<const D: usize>(sides: [usize; D]) -> Tensor<D> {
    Tensor::random(sides, Distribution::Uniform(-1.0, 1.0), &Device::flex())
}

/// Parameters of a layer, on both sides of the line between training and not.
struct Weight<const D: usize> {
    plain: Tensor<D>,
    leaf: Tensor<D>,
}

fn weight<const D: usize>(sides: [usize; D]) -> Weight<D> {
    let plain = numbers(sides) * 0.1;
    Weight { leaf: plain.clone().autodiff().require_grad(), plain }
}

impl<const D: usize> Weight<D> {
    fn get(&self, training: bool) -> Tensor<D> {
        if training { self.leaf.clone() } else { self.plain.clone() }
    }
}

/// `function` of `inputs`, told whether it is differentiated.
fn case<const D: usize, const E: usize, const N: usize>(
    inputs: [Tensor<D>; N],
    function: impl Fn([Tensor<D>; N], bool) -> Tensor<E> + 'static,
) -> Run {
    let grad = numbers(function(inputs.clone(), false).dims());
    Box::new(move |backward| {
        if backward {
            let inputs = inputs.clone().map(|input| input.autodiff().require_grad());
            drop(backward_with(function(inputs, true), grad.clone()));
        } else {
            drop(function(inputs.clone(), false));
        }
    })
}

fn elementwise(sides: [usize; 3], function: Activation) -> Run {
    case([numbers(sides)], move |[x], _| activate(x, function))
}

fn normalized([batch, tokens, width]: [usize; 3]) -> Run {
    let (gain, bias) = (weight([width]), weight([width]));
    case([numbers([batch, tokens, width])], move |[x], on| {
        layer_norm(x, gain.get(on), bias.get(on), 1e-5)
    })
}

fn projected([batch, tokens, width]: [usize; 3], outputs: usize) -> Run {
    let (matrix, bias) = (weight([width, outputs]), weight([outputs]));
    case([numbers([batch, tokens, width])], move |[x], on| {
        linear(x, matrix.get(on), Some(bias.get(on)))
    })
}

/// `sides` are B, C, H, W.
fn depthwise([batch, channels, height, width]: [usize; 4], side: usize) -> Run {
    let (kernel, bias) = (weight([channels, 1, side, side]), weight([channels]));
    case([numbers([batch, height, width, channels])], move |[x], on| {
        depthwise_conv(x, kernel.get(on), bias.get(on))
    })
}

/// ConvNeXt V2 (arXiv 2301.00808): the block with its global response normalisation and residual.
fn convnext_v2([batch, channels, height, width]: [usize; 4]) -> Run {
    let hidden = 4 * channels;
    let (kernel, kernel_bias) = (weight([channels, 1, 7, 7]), weight([channels]));
    let (gain, bias) = (weight([channels]), weight([channels]));
    let (widen, widen_bias) = (weight([channels, hidden]), weight([hidden]));
    let (narrow, narrow_bias) = (weight([hidden, channels]), weight([channels]));
    let (gamma, beta) = (weight([hidden]), weight([hidden]));
    case([numbers([batch, height, width, channels])], move |[x], on| {
        let y = depthwise_conv(x.clone(), kernel.get(on), kernel_bias.get(on));
        let y = layer_norm(y, gain.get(on), bias.get(on), 1e-6);
        let y = linear(y, widen.get(on), Some(widen_bias.get(on)));
        let y = activate(y, Activation::Gelu);
        let y = response_norm(y, gamma.get(on), beta.get(on), 1e-6);
        x + linear(y, narrow.get(on), Some(narrow_bias.get(on)))
    })
}

/// Swin (arXiv 2103.14030): partition, attention with relative bias, and the way back. B, H, W, C.
fn windows([batch, height, breadth, width]: [usize; 4], side: usize, heads: usize) -> Run {
    let (rows, columns, area) = (height / side, breadth / side, side * side);
    let (qkv, qkv_bias) = (weight([width, 3 * width]), weight([3 * width]));
    let (proj, proj_bias) = (weight([width, width]), weight([width]));
    let table = weight([(2 * side - 1).pow(2), heads]);
    let place = |i: usize| (i / side, i % side);
    let index = (0..area * area).map(|at| {
        let ((y, x), (to_y, to_x)) = (place(at / area), place(at % area));
        ((y + side - 1 - to_y) * (2 * side - 1) + (x + side - 1 - to_x)) as i32
    });
    let index = TensorData::new(index.collect::<Vec<i32>>(), [area * area]);
    let index = Tensor::<1, Int>::from_data(index, &Device::flex());
    case([numbers([batch, height, breadth, width])], move |[x], on| {
        let split = x.reshape([batch, rows, side, columns, side, width]).swap_dims(2, 3);
        let tokens = split.reshape([batch * rows * columns, area, width]);
        let bias = table.get(on).select(0, index.clone()).reshape([area, area, heads]);
        let bias = bias.permute([2, 0, 1]).unsqueeze::<4>();
        let qkv = linear(tokens, qkv.get(on), Some(qkv_bias.get(on)));
        let seen = self_attention(qkv, heads, View { bias: Some(bias), ..View::default() });
        let seen = linear(seen, proj.get(on), Some(proj_bias.get(on)));
        let seen = seen.reshape([batch, rows, columns, side, side, width]).swap_dims(2, 3);
        seen.reshape([batch, height, breadth, width])
    })
}

fn attended(sides: [usize; 4], causal: bool) -> Run {
    case([0, 1, 2].map(|_| numbers(sides)), move |[q, k, v], _| {
        attention(q, k, v, View { causal, ..View::default() })
    })
}

fn deformable(maps: Vec<[usize; 2]>, channels: usize, heads: usize, points: usize) -> Run {
    let cells: usize = maps.iter().map(|[height, width]| height * width).sum();
    let levels = maps.len();
    let values = numbers([1, cells, heads, channels / heads]);
    let places = numbers([1, cells, heads, levels, points, 2]) * 0.5 + 0.5;
    let weights = numbers([1, cells, heads, levels, points]);
    let grad = numbers([1, cells, channels]);
    Box::new(move |backward| {
        let (values, places, weights) = (values.clone(), places.clone(), weights.clone());
        if backward {
            let values = values.autodiff().require_grad();
            let places = places.autodiff().require_grad();
            let weights = weights.autodiff().require_grad();
            let out = deformable_sampling(values, &maps, places, weights);
            drop(backward_with(out, grad.clone()));
        } else {
            drop(deformable_sampling(values, &maps, places, weights));
        }
    })
}

/// The vision tower of CLIP ViT-B/16.
fn vision(sides: [usize; 4]) -> Run {
    let config = VisionConfig {
        image_size: sides[2],
        patch_size: 16,
        depth: 12,
        block: BlockConfig { norm_eps: 1e-5, ..BlockConfig::default() },
        class_token: true,
        positions: VisionPositions::Learned,
        norm_pre: true,
        patch_bias: false,
        pool: VisionPool::ClassToken,
        projection: Some(512),
    };
    let plain = config.init(&Device::flex()).map(&mut Fill);
    let trained = plain.clone().train();
    case([numbers(sides)], move |[x], on| if on { &trained } else { &plain }.forward(x, false))
}

/// Numbers in place of zeros, whose memory would be one page.
struct Fill;

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| numbers(tensor.dims()) * 0.02)
    }
}

/// Parameters of the given sizes, with gradients; the passes over them know no backward.
fn parameters(case: &Value) -> Vec<[Tensor<1>; 2]> {
    let sizes = case["shapes"].as_array().expect("shapes").iter();
    let sizes: Vec<usize> =
        sizes.map(|sides| sides.as_array().expect("sides").iter().map(number).product()).collect();
    let all = (0..number(&case["repeats"])).flat_map(|_| &sizes);
    all.map(|&size| [numbers([size]), numbers([size])]).collect()
}

fn adamw(case: &Value) -> Run {
    let numbers = Adam {
        rate: 1e-4,
        weight_decay: 0.01,
        betas: [0.9, 0.999],
        eps: 1e-8,
        corrections: [0.1, 0.001],
        trust: false,
    };
    let grads_and_slots = parameters(case).into_iter().map(|[value, grad]| {
        let (first, second) = (value.zeros_like() + 0.1, value.zeros_like() + 0.1);
        (grad, Slot { value, first, second })
    });
    let (grads, slots): (Vec<_>, Vec<_>) = grads_and_slots.unzip();
    let slots = RefCell::new(slots);
    let factor = Tensor::ones([1], &Device::flex());
    Box::new(move |_| {
        slots.replace_with(|slots| {
            let slots = std::mem::take(slots).into_iter().zip(&grads);
            slots.map(|(slot, grad)| adam(slot, grad.clone(), factor.clone(), numbers)).collect()
        });
    })
}

fn gradient_norm(case: &Value) -> Run {
    let parameters = parameters(case);
    Box::new(move |_| {
        let squares = parameters.iter().map(|[_, grad]| sum_of_squares(grad.clone()));
        let _: f32 = squares.reduce(|sum, square| sum + square).expect("some").sqrt().into_scalar();
    })
}

/// What a case of the list does, and whether it has a backward pass.
fn prepare(case: &Value) -> Option<(Run, bool)> {
    fn sides<const D: usize>(case: &Value) -> [usize; D] {
        let shape = case["shape"].as_array().expect("shape");
        std::array::from_fn(|axis| number(&shape[axis]))
    }
    /// Rows of any number of axes as [1, rows, width].
    fn rows(case: &Value) -> [usize; 3] {
        let shape: Vec<usize> =
            case["shape"].as_array().expect("shape").iter().map(number).collect();
        let (width, rows) = shape.split_last().expect("an axis");
        [1, rows.iter().product(), *width]
    }
    let run = match case["op"].as_str().expect("op") {
        "gelu" => elementwise(rows(case), Activation::Gelu),
        "gelu_tanh" => elementwise(rows(case), Activation::GeluTanh),
        "quick_gelu" => elementwise(rows(case), Activation::QuickGelu),
        "silu" => elementwise(rows(case), Activation::Silu),
        "layer_norm" => normalized(rows(case)),
        "softmax" => self::case([numbers(rows(case))], |[x], _| softmax(x)),
        "log_softmax" => self::case([numbers(rows(case))], |[x], _| log_softmax(x)),
        "linear" => projected(rows(case), number(&case["features"])),
        "attention" => attended(sides(case), false),
        "attention_causal" => attended(sides(case), true),
        "depthwise" => depthwise(sides(case), number(&case["kernel"])),
        "convnext_v2_block" => convnext_v2(sides(case)),
        "window_attention" => windows(sides(case), number(&case["window"]), number(&case["heads"])),
        "deformable_sampling" => {
            let levels = case["levels"].as_array().expect("levels").iter();
            let maps = levels.map(|side| [number(&side[0]), number(&side[1])]).collect();
            let count = |key: &str| number(&case[key]);
            deformable(maps, count("channels"), count("heads"), count("points"))
        }
        "vit_b_16" => vision(sides(case)),
        "adamw" => return Some((adamw(case), false)),
        "gradient_norm" => return Some((gradient_norm(case), false)),
        _ => return None,
    };
    Some((run, true))
}

fn number(value: &Value) -> usize {
    value.as_u64().expect("a number") as usize
}

fn measure(name: &str, run: &Run, backward: bool) {
    let (mut times, start) = (Vec::new(), Instant::now());
    run(backward);
    run(backward);
    while times.len() < LEAST.1 || start.elapsed() < LEAST.0 {
        let start = Instant::now();
        run(backward);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let line = json!({
        "case": name,
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
    });
    println!("{line}");
}

fn main() {
    keep_memory();
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let cases: Vec<Value> = serde_json::from_str(CASES).expect("benches/kernels.json is JSON");
    for case in &cases {
        let name = case["case"].as_str().expect("case");
        if !chosen.is_empty() && !chosen.iter().any(|chosen| chosen == name) {
            continue;
        }
        let Some((run, differentiable)) = prepare(case) else {
            eprintln!(
                "benches/kernels.json: found the operation {}, which has no peer",
                case["op"]
            );
            std::process::exit(1);
        };
        measure(&format!("{name}.forward"), &run, false);
        if differentiable {
            measure(&format!("{name}.both"), &run, true);
        }
    }
}
