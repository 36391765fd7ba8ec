//! Activations against Burn's own operations.

use burn::tensor::{FloatDType, Tensor, activation};
use hearth_kernels::{Activation, activate};

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

const ALL: [Activation; 4] =
    [Activation::Gelu, Activation::GeluTanh, Activation::QuickGelu, Activation::Silu];

/// The function from Burn's own operations.
fn reference<const D: usize>(x: Tensor<D>, function: Activation) -> Tensor<D> {
    match function {
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
        Activation::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
        Activation::Silu => activation::silu(x),
    }
}

#[test]
fn values_and_gradients() {
    for function in ALL {
        // One element, an odd count, more than one piece of work, nothing at all.
        for shape in [[1, 1, 1], [3, 5, 7], [2, 101, 257], [0, 4, 4]] {
            for x in [tensor(shape, 6.0, 1), scattered(tensor(shape, 6.0, 1))] {
                let (value, grad) = pull(x.clone(), |x| activate(x, function));
                let (expected, expected_grad) = pull(x, |x| reference(wide(x), function));
                assert_close(&value, &expected, 1e-6);
                assert_close(&grad, &expected_grad, 2e-6);
            }
        }
    }
}

#[test]
fn slopes_are_difference_quotients() {
    for function in ALL {
        assert_slope(tensor([4, 9], 3.0, 5), |x| activate(x, function));
    }
}

#[test]
fn extremes() {
    let x = [-f32::MAX, -1e30, -100.0, -13.0, -1e-40, 0.0, 1e-40, 13.0, 100.0, 1e30, f32::MAX];
    let x = Tensor::<1>::from_floats(x, &cpu());
    for function in ALL {
        let (value, grad) = pull(x.clone(), |x| activate(x, function));
        let (expected, _) = pull(x.clone(), |x| reference(wide(x), function));
        assert_close(&value, &expected, 1e-6);
        assert!(grad.is_finite().all().into_scalar::<bool>(), "{function:?}");
    }
    let nan = activate(Tensor::<1>::from_floats([f32::NAN], &cpu()), Activation::Gelu);
    assert!(nan.is_nan().all().into_scalar::<bool>());
}

#[test]
fn other_types() {
    let x = tensor([3, 33], 4.0, 3);
    for (function, (dtype, tolerance)) in ALL.into_iter().flat_map(|function| {
        [(FloatDType::F64, 1e-6), (FloatDType::F16, 2e-3), (FloatDType::BF16, 2e-2)]
            .map(|each| (function, each))
    }) {
        let (value, grad) = pull(x.clone(), |x| activate(x.cast(dtype), function));
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let (expected, expected_grad) = pull(x.clone(), |x| reference(wide(x), function));
        assert_close(&value.cast(FloatDType::F32), &expected, tolerance);
        assert_close(&grad, &expected_grad, tolerance);
    }
}

#[test]
fn is_one_node() {
    for function in ALL {
        let nodes = captured([2, 3], |x| activate(x, function));
        assert_eq!(nodes.iter().filter(|node| *node == "hearth::activate").count(), 1, "{nodes:?}");
    }
}
