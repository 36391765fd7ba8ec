//! Depthwise convolution against Burn's grouped convolution in f64.

use burn::tensor::{FloatDType, Tensor, module::conv2d, ops::ConvOptions};
use hearth_kernels::depthwise_conv;

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

/// B, H, W, C, K: pictures smaller than the kernel, odd channels, full vectors, sides of 1 and 5.
const SIDES: [[usize; 5]; 8] = [
    [1, 1, 1, 1, 3],
    [2, 3, 2, 5, 7],
    [1, 9, 14, 16, 7],
    [2, 8, 13, 37, 7],
    [2, 6, 11, 48, 3],
    [1, 7, 5, 3, 3],
    [1, 4, 6, 17, 5],
    [1, 4, 6, 17, 1],
];

fn inputs([b, h, w, c, k]: [usize; 5]) -> (Tensor<4>, Tensor<4>, Tensor<1>) {
    (tensor([b, h, w, c], 2.0, 1), tensor([c, 1, k, k], 1.0, 2), tensor([c], 1.0, 3))
}

fn reference(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let [channels, _, side, _] = weight.dims();
    let options = ConvOptions::new([1, 1], [side / 2, side / 2], [1, 1], channels);
    conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options).permute([0, 2, 3, 1])
}

fn on<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    x.clone().autodiff()
}

#[test]
fn values_and_gradients() {
    for sides in SIDES {
        let (x, weight, bias) = inputs(sides);
        for x in [x.clone(), scattered(x)] {
            let ours = |x, weight, bias| depthwise_conv(x, weight, bias);
            let theirs = |x, weight, bias: Tensor<1>| reference(wide(x), wide(weight), wide(bias));
            let (value, grad) = pull(x.clone(), |x| ours(x, on(&weight), on(&bias)));
            let (expected, expected_grad) = pull(x.clone(), |x| theirs(x, on(&weight), on(&bias)));
            assert_close(&value, &expected, 1e-5);
            assert_close(&grad, &expected_grad, 1e-5);
            let (_, grad) = pull(weight.clone(), |weight| ours(on(&x), weight, on(&bias)));
            let (_, expected) = pull(weight.clone(), |weight| theirs(on(&x), weight, on(&bias)));
            assert_close(&grad, &expected, 1e-5);
            let (_, grad) = pull(bias.clone(), |bias| ours(on(&x), on(&weight), bias));
            let (_, expected) = pull(bias.clone(), |bias| theirs(on(&x), on(&weight), bias));
            assert_close(&grad, &expected, 1e-5);
        }
    }
}

#[test]
fn slopes_are_difference_quotients() {
    let (x, weight, bias) = inputs([1, 4, 5, 3, 3]);
    assert_slope(x.clone(), |x| depthwise_conv(x, weight.clone(), bias.clone()));
    assert_slope(weight.clone(), |weight| depthwise_conv(x.clone(), weight, bias.clone()));
}

#[test]
fn nothing_at_all() {
    for sides in [[0, 3, 3, 4, 3], [1, 0, 3, 4, 3], [1, 3, 0, 4, 3]] {
        let (x, weight, bias) = inputs(sides);
        let (value, grad) = pull(weight, |weight| depthwise_conv(on(&x), weight, on(&bias)));
        assert_eq!(value.dims(), x.dims());
        assert_close(&grad, &grad.zeros_like(), 0.0);
    }
}

#[test]
fn other_types() {
    for (dtype, tolerance) in
        [(FloatDType::F64, 1e-6), (FloatDType::F16, 2e-2), (FloatDType::BF16, 1e-1)]
    {
        let (x, weight, bias) = inputs([1, 6, 7, 18, 3]);
        let (value, grad) = pull(x.clone(), |x| {
            depthwise_conv(x.cast(dtype), on(&weight).cast(dtype), on(&bias).cast(dtype))
        });
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let (expected, expected_grad) =
            pull(x, |x| reference(wide(x), wide(on(&weight)), wide(on(&bias))));
        assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
        assert_close(&grad, &expected_grad, tolerance);
    }
}

#[test]
fn extremes() {
    let (x, weight, bias) = inputs([1, 5, 5, 16, 3]);
    let value = depthwise_conv(x.clone() * 1e30, weight.clone(), bias.clone());
    let expected = reference(wide(x) * 1e30, wide(weight.clone()), wide(bias.clone()));
    assert_close(&(value * 1e-30), &(expected * 1e-30), 1e-5);
    let nan = depthwise_conv(Tensor::full([1, 2, 2, 16], f32::NAN, &cpu()), weight, bias);
    assert!(nan.is_nan().all().into_scalar::<bool>());
}

#[test]
fn is_one_node() {
    let nodes = captured([1, 4, 4, 3], |x| {
        let device = x.device();
        depthwise_conv(x, Tensor::ones([3, 1, 3, 3], &device), Tensor::zeros([3], &device))
    });
    assert_eq!(
        nodes.iter().filter(|node| *node == "hearth::depthwise_conv").count(),
        1,
        "{nodes:?}"
    );
}
