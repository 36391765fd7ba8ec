//! Softmax and its logarithm against Burn's in f64.

use std::f32::consts::LN_2;

use burn::tensor::{FloatDType, Tensor, activation};
use hearth_kernels::{log_softmax, softmax};

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

type Function = fn(Tensor<3>) -> Tensor<3>;

/// Ours, Burn's, and the name of the node.
const ALL: [(Function, Function, &str); 2] = [
    (softmax, |x| activation::softmax(x, 2), "hearth::softmax"),
    (log_softmax, |x| activation::log_softmax(x, 2), "hearth::log_softmax"),
];

#[test]
fn values_and_gradients() {
    for (ours, theirs, _) in ALL {
        for shape in
            [[1, 1, 1], [3, 5, 7], [2, 3, 197], [1, 2, 40_001], [3, 101, 96], [0, 4, 5], [4, 0, 5]]
        {
            for x in [tensor(shape, 9.0, 1), scattered(tensor(shape, 9.0, 1))] {
                let (value, grad) = pull(x.clone(), ours);
                let (expected, expected_grad) = pull(x, |x| theirs(wide(x)));
                assert_close(&value, &expected, 2e-6);
                assert_close(&grad, &expected_grad, 4e-6);
            }
        }
    }
}

#[test]
fn slopes_are_difference_quotients() {
    for (ours, _, _) in ALL {
        assert_slope(tensor([2, 4, 9], 3.0, 5), ours);
    }
}

#[test]
fn extremes() {
    let inf = f32::INFINITY;
    let row = |values: [f32; 4]| Tensor::<3>::from_floats([[values]], &cpu());
    assert_close(&softmax(row([-inf, 0.0, -inf, 0.0])), &row([0.0, 0.5, 0.0, 0.5]), 0.0);
    assert_close(&softmax(row([3e38, 0.0, 0.0, -3e38])), &row([1.0, 0.0, 0.0, 0.0]), 0.0);
    assert_close(&log_softmax(row([-inf, 0.0, -inf, 0.0])), &row([-inf, -LN_2, -inf, -LN_2]), 1e-6);
    for (ours, _, _) in ALL {
        let y = ours(row([f32::NAN, 0.0, 0.0, 0.0]));
        assert!(y.is_nan().all().into_scalar::<bool>());
        let hidden = ours(row([-inf; 4]));
        assert!(hidden.is_nan().all().into_scalar::<bool>());
    }
}

#[test]
fn other_types() {
    for (ours, theirs, _) in ALL {
        for (dtype, tolerance) in
            [(FloatDType::F64, 1e-6), (FloatDType::F16, 4e-3), (FloatDType::BF16, 3e-2)]
        {
            let x = tensor([2, 3, 33], 4.0, 3);
            let (value, grad) = pull(x.clone(), |x| ours(x.cast(dtype)));
            assert_eq!(FloatDType::from(value.dtype()), dtype);
            let (expected, expected_grad) = pull(x, |x| theirs(wide(x)));
            assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
            assert_close(&grad, &expected_grad, tolerance);
        }
    }
}

#[test]
fn is_one_node() {
    for (ours, _, name) in ALL {
        let nodes = captured([2, 3, 8], ours);
        assert_eq!(nodes.iter().filter(|node| *node == name).count(), 1, "{nodes:?}");
    }
}
