//! Every operation on a graphics processor: values and gradients are those of the CPU.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use hearth_kernels::{
    Activation, Adam, Slot, View, activate, adam, attention, average, backward_with,
    deformable_sampling, depthwise_conv, layer_norm, linear, linear_of_activated,
    linear_of_normalized, log_softmax, response_norm, self_attention, softmax, sum_of_squares,
};

use super::{
    compare::{self, gpu},
    update::ADAM,
};

/// Inputs by their number of elements, and what is computed of them.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    inputs: &'static [usize],
    compute: fn(&[Tensor<1>]) -> Tensor<1>,
}

const ACTIVATIONS: &[Case] = &[
    Case { name: "gelu", inputs: &[105], compute: |x| activate(x[0].clone(), Activation::Gelu) },
    Case {
        name: "gelu by tanh",
        inputs: &[105],
        compute: |x| activate(x[0].clone(), Activation::GeluTanh),
    },
    Case {
        name: "quick gelu",
        inputs: &[105],
        compute: |x| activate(x[0].clone(), Activation::QuickGelu),
    },
    Case { name: "silu", inputs: &[105], compute: |x| activate(x[0].clone(), Activation::Silu) },
];

const NORMS: &[Case] = &[
    Case {
        name: "layer norm",
        inputs: &[2 * 5 * 33, 33, 33],
        compute: |x| {
            let rows = x[0].clone().reshape([2, 5, 33]);
            layer_norm(rows, x[1].clone(), x[2].clone(), 1e-5).flatten(0, 2)
        },
    },
    Case {
        name: "response norm",
        inputs: &[2 * 3 * 4 * 9, 9, 9],
        compute: |x| {
            let maps = x[0].clone().reshape([2, 3, 4, 9]);
            response_norm(maps, x[1].clone(), x[2].clone(), 1e-6).flatten(0, 3)
        },
    },
    Case {
        name: "softmax",
        inputs: &[7 * 19],
        compute: |x| softmax(x[0].clone().reshape([7, 19])).flatten(0, 1),
    },
    Case {
        name: "log softmax",
        inputs: &[7 * 19],
        compute: |x| log_softmax(x[0].clone().reshape([7, 19])).flatten(0, 1),
    },
];

const PRODUCTS: &[Case] = &[
    Case {
        name: "linear",
        inputs: &[2 * 5 * 12, 12 * 7, 7],
        compute: |x| {
            let rows = x[0].clone().reshape([2, 5, 12]);
            let weight = x[1].clone().reshape([12, 7]);
            linear(rows, weight, Some(x[2].clone())).flatten(0, 2)
        },
    },
    Case {
        name: "linear without bias",
        inputs: &[5 * 12, 12 * 7],
        compute: |x| {
            let weight = x[1].clone().reshape([12, 7]);
            linear(x[0].clone().reshape([5, 12]), weight, None).flatten(0, 1)
        },
    },
    Case {
        name: "depthwise convolution",
        inputs: &[2 * 6 * 5 * 4, 4 * 7 * 7, 4],
        compute: |x| {
            let maps = x[0].clone().reshape([2, 6, 5, 4]);
            let weight = x[1].clone().reshape([4, 1, 7, 7]);
            depthwise_conv(maps, weight, x[2].clone()).flatten(0, 3)
        },
    },
];

const LEAN: &[Case] = &[
    Case {
        name: "linear behind an activation",
        inputs: &[2 * 5 * 12, 12 * 7, 7],
        compute: |x| {
            let rows = x[0].clone().reshape([2, 5, 12]);
            let weight = x[1].clone().reshape([12, 7]);
            linear_of_activated(rows, Activation::GeluTanh, weight, Some(x[2].clone()))
                .flatten(0, 2)
        },
    },
    Case {
        name: "linear behind a norm",
        inputs: &[2 * 5 * 12, 12, 12, 12 * 7, 7],
        compute: |x| {
            let rows = x[0].clone().reshape([2, 5, 12]);
            let weight = x[3].clone().reshape([12, 7]);
            let norm = (x[1].clone(), x[2].clone(), 1e-5);
            linear_of_normalized(rows, norm, weight, Some(x[4].clone())).flatten(0, 2)
        },
    },
];

const ATTENTION: &[Case] = &[
    Case {
        name: "attention with a bias",
        inputs: &[2 * 3 * 5 * 8, 2 * 3 * 7 * 8, 2 * 3 * 7 * 8, 3 * 5 * 7],
        compute: |x| {
            let [q, k, v] = [(0, 5), (1, 7), (2, 7)]
                .map(|(at, length)| x[at].clone().reshape([2, 3, length, 8]));
            let bias = Some(x[3].clone().reshape([1, 3, 5, 7]));
            attention(q, k, v, View { bias, ..View::default() }).flatten(0, 3)
        },
    },
    Case {
        name: "causal self-attention",
        inputs: &[2 * 6 * 3 * 16],
        compute: |x| {
            let qkv = x[0].clone().reshape([2, 6, 48]);
            self_attention(qkv, 2, View { causal: true, ..View::default() }).flatten(0, 2)
        },
    },
];

const SAMPLING: &[Case] = &[Case {
    name: "deformable sampling",
    inputs: &[2 * 24 * 2 * 4, 2 * 5 * 2 * 2 * 3 * 2, 2 * 5 * 2 * 2 * 3],
    compute: |x| {
        let values = x[0].clone().reshape([2, 24, 2, 4]);
        let places = x[1].clone().reshape([2, 5, 2, 2, 3, 2]) * 0.4 + 0.5;
        let weights = x[2].clone().reshape([2, 5, 2, 2, 3]);
        deformable_sampling(values, &[[4, 4], [2, 4]], places, weights).flatten(0, 2)
    },
}];

/// Where powers and scores of f16 overflow.
const FAR: &[Case] = &[
    Case {
        name: "gelu by tanh far from zero",
        inputs: &[105],
        compute: |x| activate(x[0].clone() * 100.0, Activation::GeluTanh) * 0.01,
    },
    Case {
        name: "layer norm far from zero",
        inputs: &[2 * 5 * 33, 33, 33],
        compute: |x| {
            let rows = x[0].clone().reshape([2, 5, 33]) * 1000.0;
            layer_norm(rows, x[1].clone(), x[2].clone(), 1e-5).flatten(0, 2)
        },
    },
];

/// The value of a case and the gradients of its inputs, on `device` and computed in `dtype`.
fn results(case: &Case, device: &Device, dtype: FloatDType) -> Vec<Vec<f32>> {
    let tensor = |count: usize, seed| {
        let data = TensorData::new(compare::numbers(count, 1.5, seed), [count]);
        Tensor::<1>::from_data(data, device).cast(dtype)
    };
    let inputs: Vec<_> = (1..)
        .zip(case.inputs)
        .map(|(seed, &count)| tensor(count, seed).autodiff().require_grad())
        .collect();
    let value = (case.compute)(&inputs);
    let mut grads = backward_with(value.clone(), tensor(value.dims()[0], 77));
    let grads = inputs.iter().map(|input| input.grad_remove(&mut grads).expect("it takes part"));
    let all = std::iter::once(value.without_autodiff()).chain(grads);
    all.map(|tensor| tensor.into_data().iter::<f32>().collect()).collect()
}

/// On both devices the same.
fn check(cases: &[Case]) {
    for case in cases {
        compare_in(case, FloatDType::F32, 2e-5);
    }
}

/// Of the graphics processor in `dtype` and of the CPU in f32.
fn compare_in(case: &Case, dtype: FloatDType, tolerance: f32) {
    let expected = results(case, &Device::flex(), FloatDType::F32);
    for (of, (found, expected)) in
        results(case, &gpu(), dtype).into_iter().zip(expected).enumerate()
    {
        assert_near(&found, &expected, tolerance, &format!("{} {dtype:?}, result {of}", case.name));
    }
}

#[test]
fn activations() {
    check(ACTIVATIONS);
}

#[test]
fn norms() {
    check(NORMS);
}

#[test]
fn products() {
    check(PRODUCTS);
}

#[test]
fn lean_operations() {
    check(LEAN);
}

/// What a training in 16 bits uses, on devices that have them.
#[test]
fn half_types() {
    for (dtype, tolerance) in [(FloatDType::F16, 1e-2), (FloatDType::BF16, 8e-2)] {
        if gpu().supports_dtype(dtype) {
            let linear = &PRODUCTS[..2];
            for case in [ACTIVATIONS, NORMS, linear, LEAN, ATTENTION, FAR].concat() {
                compare_in(&case, dtype, tolerance);
            }
        }
    }
}

#[test]
fn attention_of_both_kinds() {
    check(ATTENTION);
}

#[test]
fn sampling() {
    check(SAMPLING);
}

#[test]
fn updates_are_those_of_the_cpu() {
    for (weight_decay, trust) in [(0.0, false), (0.1, false), (0.1, true)] {
        let numbers = Adam { weight_decay, trust, ..ADAM };
        let pairs = updated(&gpu(), numbers).into_iter().zip(updated(&Device::flex(), numbers));
        for (of, (found, expected)) in pairs.enumerate() {
            assert_near(&found, &expected, 2e-5, &format!("update {of}, {numbers:?}"));
        }
    }
}

fn updated(device: &Device, numbers: Adam) -> Vec<Vec<f32>> {
    let tensor = |seed| {
        let values = compare::numbers(100, 1.0, seed);
        Tensor::<1>::from_data(TensorData::new(values, [100]), device)
    };
    let slot = Slot { value: tensor(1), first: tensor(2), second: tensor(3).abs() };
    let after = adam(slot, tensor(4), Tensor::ones([1], device), numbers);
    let others = [average(tensor(5), tensor(6), 0.75), sum_of_squares(tensor(7))];
    let all = [after.value, after.first, after.second].into_iter().chain(others);
    all.map(|tensor| tensor.into_data().iter::<f32>().collect()).collect()
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        let scale = a.abs().max(b.abs()).max(1.0);
        assert!((a - b).abs() <= tolerance * scale, "{what}, element {at}: {a} against {b}");
    }
}
