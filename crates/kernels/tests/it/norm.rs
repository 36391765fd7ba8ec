//! Layer normalisation against its formula in f64.

use burn::tensor::{FloatDType, Tensor};
use hearth_kernels::layer_norm;

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

const EPSILON: f64 = 1e-5;

fn weight(width: usize) -> Tensor<1> {
    tensor([width], 1.0, 11) + 0.5
}

fn bias(width: usize) -> Tensor<1> {
    tensor([width], 1.0, 12)
}

/// The formula, in the type of `x`.
fn reference<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>) -> Tensor<D> {
    let centered = x.clone() - x.mean_dim(D - 1);
    let variance = (centered.clone() * centered.clone()).mean_dim(D - 1);
    let normal = centered / (variance + EPSILON).sqrt();
    normal * weight.unsqueeze() + bias.unsqueeze()
}

#[test]
fn values_and_gradients() {
    // One number, odd widths, rows wider than a piece of work, many pieces, nothing at all.
    for shape in
        [[1, 1, 1], [3, 5, 7], [2, 3, 197], [1, 2, 40_001], [3, 101, 96], [0, 4, 5], [4, 0, 5]]
    {
        let width = shape[2];
        for x in [tensor(shape, 4.0, 1) + 3.0, scattered(tensor(shape, 4.0, 1))] {
            let (value, of_x) =
                pull(x.clone(), |x| layer_norm(x, on(weight(width)), on(bias(width)), EPSILON));
            let (expected, expected_of_x) = pull(x.clone(), |x| {
                reference(wide(x), on(wide(weight(width))), on(wide(bias(width))))
            });
            assert_close(&value, &expected, 1e-5);
            assert_close(&of_x, &expected_of_x, 1e-5);

            let (_, of_weight) =
                pull(weight(width), |w| layer_norm(on(x.clone()), w, on(bias(width)), EPSILON));
            let (_, expected) = pull(weight(width), |w| {
                reference(on(wide(x.clone())), wide(w), on(wide(bias(width))))
            });
            assert_close(&of_weight, &expected, 3e-5);

            let (_, of_bias) =
                pull(bias(width), |b| layer_norm(on(x.clone()), on(weight(width)), b, EPSILON));
            let (_, expected) = pull(bias(width), |b| {
                reference(on(wide(x.clone())), on(wide(weight(width))), wide(b))
            });
            assert_close(&of_bias, &expected, 3e-5);
        }
    }
}

/// A constant of the graph.
fn on<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.autodiff()
}

#[test]
fn slopes_are_difference_quotients() {
    assert_slope(tensor([4, 9], 3.0, 5), |x| {
        layer_norm(x, like(&weight(9)), like(&bias(9)), EPSILON)
    });

    fn like(x: &Tensor<1>) -> Tensor<1> {
        x.clone()
    }
}

#[test]
fn extremes() {
    let row = |values: [f32; 4]| Tensor::<2>::from_floats([values], &cpu());
    let unit = || (Tensor::ones([4], &cpu()), Tensor::zeros([4], &cpu()));
    for (x, expected) in [
        ([5.0; 4], [0.0; 4]),
        ([1e18, -1e18, 1e18, -1e18], [1.0, -1.0, 1.0, -1.0]),
        ([1e-30, -1e-30, 1e-30, -1e-30], [0.0; 4]),
    ] {
        let (weight, bias) = unit();
        assert_close(&layer_norm(row(x), weight, bias, EPSILON), &row(expected), 1e-5);
    }
    let (weight, bias) = unit();
    let y = layer_norm(row([f32::NAN, 0.0, 0.0, 0.0]), weight, bias, EPSILON);
    assert!(y.is_nan().all().into_scalar::<bool>());
}

#[test]
fn other_types() {
    for (dtype, tolerance) in
        [(FloatDType::F64, 1e-6), (FloatDType::F16, 4e-3), (FloatDType::BF16, 3e-2)]
    {
        let x = tensor([3, 33], 4.0, 3);
        let cast = |x: Tensor<1>| on(x.cast(dtype));
        let (value, grad) = pull(x.clone(), |x| {
            layer_norm(x.cast(dtype), cast(weight(33)), cast(bias(33)), EPSILON)
        });
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let (expected, expected_grad) =
            pull(x, |x| reference(wide(x), on(wide(weight(33))), on(wide(bias(33)))));
        assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
        assert_close(&grad, &expected_grad, tolerance);
    }
}

#[test]
fn is_one_node() {
    let nodes = captured([2, 3, 8], |x| {
        let device = x.device();
        layer_norm(x, Tensor::ones([8], &device), Tensor::zeros([8], &device), EPSILON)
    });
    assert_eq!(
        nodes.iter().filter(|node| node.contains("hearth::layer_norm")).count(),
        1,
        "{nodes:?}"
    );
}
