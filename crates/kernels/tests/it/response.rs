//! Global response normalisation against its formula in f64.

use burn::tensor::{FloatDType, Tensor};
use hearth_kernels::response_norm;

use super::compare::{assert_close, assert_slope, captured, pull, scattered, tensor, wide};

const EPSILON: f64 = 1e-6;
const SIDES: [[usize; 4]; 4] = [[1, 1, 1, 1], [2, 3, 5, 7], [2, 4, 4, 33], [3, 40, 31, 48]];

fn gamma(channels: usize) -> Tensor<1> {
    tensor([channels], 1.0, 11)
}

fn beta(channels: usize) -> Tensor<1> {
    tensor([channels], 1.0, 12)
}

fn on<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.autodiff()
}

/// The formula, in the type of `x`.
fn reference(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<4> {
    let energy = (x.clone() * x.clone()).sum_dim(1).sum_dim(2).sqrt();
    let response = energy.clone() / (energy.mean_dim(3) + EPSILON);
    x.clone() * response * gamma.unsqueeze() + beta.unsqueeze() + x
}

#[test]
fn values_and_gradients() {
    for sides in SIDES {
        let channels = sides[3];
        for x in [tensor(sides, 2.0, 1), scattered(tensor(sides, 2.0, 1))] {
            let (g, b) = (|| on(gamma(channels)), || on(beta(channels)));
            let (value, of_x) = pull(x.clone(), |x| response_norm(x, g(), b(), EPSILON));
            let (expected, expected_of_x) =
                pull(x.clone(), |x| reference(wide(x), wide(g()), wide(b())));
            assert_close(&value, &expected, 1e-5);
            assert_close(&of_x, &expected_of_x, 1e-5);

            let x = || on(x.clone());
            let (_, of_gamma) = pull(gamma(channels), |g| response_norm(x(), g, b(), EPSILON));
            let (_, expected) = pull(gamma(channels), |g| reference(wide(x()), wide(g), wide(b())));
            assert_close(&of_gamma, &expected, 3e-5);
            let (_, of_beta) = pull(beta(channels), |b| response_norm(x(), g(), b, EPSILON));
            let (_, expected) = pull(beta(channels), |b| reference(wide(x()), wide(g()), wide(b)));
            assert_close(&of_beta, &expected, 3e-5);
        }
    }
}

#[test]
fn composed_is_the_same() {
    let (x, g, b) = (tensor([2, 3, 5, 7], 2.0, 1), on(wide(gamma(7))), on(wide(beta(7))));
    let (value, of_x) = pull(x.clone(), |x| response_norm(wide(x), g.clone(), b.clone(), EPSILON));
    let (expected, expected_of_x) = pull(x, |x| reference(wide(x), g.clone(), b.clone()));
    assert_close(&value, &expected, 1e-12);
    assert_close(&of_x, &expected_of_x, 1e-6);
}

#[test]
fn slopes_are_difference_quotients() {
    assert_slope(tensor([2, 3, 4, 5], 2.0, 5), |x| response_norm(x, gamma(5), beta(5), EPSILON));
}

#[test]
fn nothing_at_all() {
    for sides in [[0, 2, 2, 3], [2, 0, 2, 3]] {
        let (value, grad) =
            pull(gamma(3), |g| response_norm(on(tensor(sides, 1.0, 1)), g, on(beta(3)), EPSILON));
        assert_eq!(value.dims(), sides);
        assert_close(&grad, &grad.zeros_like(), 0.0);
    }
}

#[test]
fn a_picture_of_zeros_becomes_the_offset() {
    let x = Tensor::zeros([1, 2, 2, 3], &beta(3).device());
    let (value, grad) = pull(x, |x| response_norm(x, on(gamma(3)), on(beta(3)), EPSILON));
    assert_close(&value, &beta(3).unsqueeze::<4>().expand([1, 2, 2, 3]), 0.0);
    assert!(grad.is_finite().all().into_scalar::<bool>());
}

#[test]
fn a_channel_of_zeros_beside_others_has_a_gradient() {
    let mask = Tensor::<1>::from_floats([1.0, 0.0, 1.0], &beta(3).device());
    let x = tensor([2, 3, 4, 3], 2.0, 1) * mask.unsqueeze();
    for dtype in [FloatDType::F32, FloatDType::F64] {
        let cast = |x: Tensor<1>| on(x.cast(dtype));
        let (_, grad) = pull(x.clone(), |x| {
            response_norm(x.cast(dtype), cast(gamma(3) * 1e3), cast(beta(3)), EPSILON)
        });
        assert!(grad.is_finite().all().into_scalar::<bool>(), "{dtype:?}");
    }
}

#[test]
fn other_types() {
    for (dtype, tolerance) in [(FloatDType::F16, 1e-2), (FloatDType::BF16, 1e-1)] {
        let x = tensor([2, 3, 4, 9], 2.0, 3);
        let value = response_norm(
            x.clone().cast(dtype),
            gamma(9).cast(dtype),
            beta(9).cast(dtype),
            EPSILON,
        );
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let expected = reference(wide(x), wide(gamma(9)), wide(beta(9)));
        assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
    }
}

#[test]
fn is_one_node() {
    let nodes = captured([1, 2, 2, 3], |x| {
        let device = x.device();
        response_norm(x, Tensor::ones([3], &device), Tensor::zeros([3], &device), EPSILON)
    });
    assert_eq!(
        nodes.iter().filter(|node| *node == "hearth::response_norm").count(),
        1,
        "{nodes:?}"
    );
}
