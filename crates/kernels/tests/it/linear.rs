//! Linear layers against a product and a sum in f64.

use burn::tensor::{FloatDType, Tensor};
use hearth_kernels::linear;

use super::compare::{assert_close, assert_slope, captured, cpu, pull, scattered, tensor, wide};

/// Rows in two axes, I, O.
const SIDES: [[usize; 4]; 3] = [[1, 1, 1, 1], [2, 3, 5, 7], [3, 67, 33, 129]];

fn reference(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    let y = x.matmul(weight.unsqueeze());
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

#[test]
fn values_and_gradients() {
    for [a, b, i, o] in SIDES {
        for with_bias in [false, true] {
            let (x, weight) = (tensor([a, b, i], 1.0, 1), tensor([i, o], 1.0, 2));
            for (x, weight) in [(x.clone(), weight.clone()), (scattered(x), scattered(weight))] {
                let bias = || with_bias.then(|| tensor([o], 1.0, 3).autodiff());
                let wide_bias = || bias().map(wide);

                let (value, of_x) =
                    pull(x.clone(), |x| linear(x, weight.clone().autodiff(), bias()));
                let (expected, expected_of_x) = pull(x.clone(), |x| {
                    reference(wide(x), wide(weight.clone()).autodiff(), wide_bias())
                });
                assert_close(&value, &expected, 1e-5);
                assert_close(&of_x, &expected_of_x, 1e-5);

                let (_, of_weight) =
                    pull(weight.clone(), |w| linear(x.clone().autodiff(), w, bias()));
                let (_, expected) = pull(weight.clone(), |w| {
                    reference(wide(x.clone()).autodiff(), wide(w), wide_bias())
                });
                assert_close(&of_weight, &expected, 1e-5);
            }
        }
    }
}

#[test]
fn gradient_of_the_bias() {
    for [a, b, i, o] in SIDES {
        let (x, weight) = (tensor([a, b, i], 1.0, 1), tensor([i, o], 1.0, 2));
        let bias = tensor([o], 1.0, 3);
        let (_, grad) = pull(bias.clone(), |bias| {
            linear(x.clone().autodiff(), weight.clone().autodiff(), Some(bias))
        });
        let (_, expected) = pull(bias, |bias| {
            reference(wide(x.clone()).autodiff(), wide(weight.clone()).autodiff(), Some(wide(bias)))
        });
        assert_close(&grad, &expected, 1e-5);
    }
}

#[test]
fn nothing_at_all() {
    for [a, b, i, o] in [[0, 2, 3, 4], [2, 2, 0, 3], [2, 2, 3, 0]] {
        let (x, bias) = (tensor([a, b, i], 1.0, 1), tensor([o], 1.0, 3).autodiff());
        let weight = tensor([i, o], 1.0, 2);
        let (value, of_weight) =
            pull(weight, |w| linear(x.clone().autodiff(), w, Some(bias.clone())));
        let expected = match i {
            0 => bias.without_autodiff().unsqueeze::<3>().expand([a, b, o]),
            _ => Tensor::zeros([a, b, o], &cpu()),
        };
        assert_close(&value, &expected, 0.0);
        assert_close(&of_weight, &of_weight.zeros_like(), 0.0);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_flipped_is_not() {
    let refused = |x: [usize; 3], weight: [usize; 2], bias: usize| {
        let run =
            || linear(tensor(x, 1.0, 1), tensor(weight, 1.0, 2), Some(tensor([bias], 1.0, 3)));
        std::panic::catch_unwind(run).is_err()
    };
    assert!(!refused([2, 3, 4], [4, 5], 5));
    assert!(refused([2, 3, 4], [3, 5], 5) && refused([2, 3, 4], [4, 5], 4));

    let (x, weight) = (tensor([2, 3, 4], 1.0, 1), tensor([4, 5], 1.0, 2));
    let flipped = weight.clone().flip([0, 1]);
    let expected = reference(wide(x.clone()), wide(flipped.clone()), None);
    assert_close(&linear(x, flipped, None), &expected, 1e-6);
}

#[test]
fn slopes_are_difference_quotients() {
    let (x, weight, bias) =
        (tensor([2, 3, 5], 1.0, 1), tensor([5, 4], 1.0, 2), tensor([4], 1.0, 3));
    assert_slope(x, |x| linear(x, weight.clone(), Some(bias.clone())));
}

#[test]
fn other_types() {
    for (dtype, tolerance) in
        [(FloatDType::F64, 1e-6), (FloatDType::F16, 1e-2), (FloatDType::BF16, 6e-2)]
    {
        let (x, weight) = (tensor([2, 3, 17], 1.0, 1), tensor([17, 9], 1.0, 2).autodiff());
        let bias = tensor([9], 1.0, 3).autodiff();
        let (value, grad) = pull(x.clone(), |x| {
            linear(x.cast(dtype), weight.clone().cast(dtype), Some(bias.clone().cast(dtype)))
        });
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let (expected, expected_grad) =
            pull(x, |x| reference(wide(x), wide(weight.clone()), Some(wide(bias.clone()))));
        assert_close(&value.cast(FloatDType::F64), &expected, tolerance);
        assert_close(&grad, &expected_grad, tolerance);
    }
}

#[test]
fn is_one_node() {
    let nodes = captured([2, 3, 8], |x| {
        let device = x.device();
        let weight = Tensor::ones([8, 4], &device);
        linear(x, weight, Some(Tensor::zeros([4], &device)))
    });
    assert_eq!(nodes.iter().filter(|node| *node == "hearth::linear").count(), 1, "{nodes:?}");
}
