//! Steps of optimizers against their formulas in f64.

use burn::tensor::Tensor;
use hearth_kernels::{Adam, Slot, adam, average, sum_of_squares};

use super::compare::{assert_close, cpu, numbers, scattered, tensor, wide};

pub(super) const ADAM: Adam = Adam {
    rate: 0.01,
    weight_decay: 0.1,
    betas: [0.9, 0.95],
    eps: 1e-8,
    corrections: [0.271, 0.142_625],
    trust: false,
};

fn slot(len: usize) -> Slot {
    Slot {
        value: tensor([len], 1.0, 1),
        first: tensor([len], 1.0, 2),
        second: tensor([len], 1.0, 3) + 1.0,
    }
}

fn values(x: &Tensor<1>) -> Vec<f64> {
    x.to_data().iter().collect()
}

/// The formula.
fn reference(slot: &Slot, grad: &Tensor<1>, factor: f64, numbers: Adam) -> [Vec<f64>; 3] {
    let Adam { rate, weight_decay, betas: [b1, b2], eps, corrections: [c1, c2], trust } = numbers;
    let [value, first, second, grad] = [&slot.value, &slot.first, &slot.second, grad].map(values);
    let grad: Vec<f64> = grad.iter().map(|grad| grad * factor).collect();
    let mix = |mean: &[f64], beta: f64, x: Vec<f64>| -> Vec<f64> {
        mean.iter().zip(x).map(|(mean, x)| beta * mean + (1.0 - beta) * x).collect()
    };
    let first = mix(&first, b1, grad.clone());
    let second = mix(&second, b2, grad.iter().map(|grad| grad * grad).collect());
    let direction = |i: usize| first[i] / c1 / ((second[i] / c2).sqrt() + eps);
    let decayed: Vec<f64> =
        (0..value.len()).map(|i| direction(i) + weight_decay * value[i]).collect();
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let trust = match trust && weight_decay != 0.0 {
        true if norm(&value) * norm(&decayed) > 0.0 => norm(&value) / norm(&decayed),
        _ => 1.0,
    };
    let value =
        value.iter().zip(&decayed).map(|(value, step)| value - rate * trust * step).collect();
    [value, first, second]
}

#[test]
fn a_step_is_its_formula() {
    for numbers in [
        ADAM,
        Adam { weight_decay: 0.0, ..ADAM },
        Adam { trust: true, ..ADAM },
        Adam { trust: true, weight_decay: 0.0, ..ADAM },
    ] {
        for len in [0, 1, 7, 40_001] {
            let grad = tensor([len], 2.0, 4);
            let expected = reference(&slot(len), &grad, 0.5, numbers);
            for wide_type in [false, true] {
                let cast = |x: Tensor<1>| if wide_type { wide(x) } else { x };
                let Slot { value, first, second } = slot(len);
                let slot = Slot { value: cast(value), first: cast(first), second: cast(second) };
                let factor = cast(Tensor::from_floats([0.5], &cpu()));
                let Slot { value, first, second } = adam(slot, cast(grad.clone()), factor, numbers);
                for (ours, expected) in [value, first, second].iter().zip(&expected) {
                    assert_eq!(ours.dims(), [len]);
                    for (ours, expected) in values(ours).into_iter().zip(expected) {
                        assert!((ours - expected).abs() < 2e-6, "{numbers:?}: {ours} {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_parameter_that_others_hold_stays_as_it_is() {
    let before = slot(100);
    let after = adam(before.clone(), tensor([100], 1.0, 4), Tensor::ones([1], &cpu()), ADAM);
    assert_close(&before.value, &slot(100).value, 0.0);
    assert_close(&before.first, &slot(100).first, 0.0);
    assert_ne!(values(&before.value), values(&after.value));
}

#[test]
fn zeros_have_a_trust_ratio_of_one() {
    let zeros = || Tensor::<1>::zeros([5], &cpu());
    let slot = Slot { value: zeros(), first: zeros(), second: zeros() };
    let numbers = Adam { trust: true, ..ADAM };
    let grad = tensor([5], 1.0, 4);
    let expected = reference(&slot, &grad, 1.0, numbers);
    let moved = adam(slot, grad, Tensor::ones([1], &cpu()), numbers);
    for (ours, expected) in values(&moved.value).into_iter().zip(&expected[0]) {
        assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
    }
}

#[test]
fn a_mean_moves_by_its_part() {
    for len in [0, 1, 40_001] {
        let (mean, value) = (tensor([len], 1.0, 1), tensor([len], 1.0, 2));
        let expected = wide(mean.clone()) * 0.75 + wide(value.clone()) * 0.25;
        assert_close(&wide(average(mean.clone(), value.clone(), 0.75)), &expected, 1e-7);
        assert_close(&average(wide(mean), wide(value), 0.75), &expected, 1e-12);
    }
}

#[test]
fn sums_of_squares() {
    for sides in [[0, 3], [1, 1], [7, 5], [301, 401]] {
        let expected: f64 =
            numbers(sides.iter().product(), 3.0, 1).iter().map(|&x| f64::from(x).powi(2)).sum();
        let x = tensor(sides, 3.0, 1);
        for x in [x.clone(), scattered(x.clone()), wide(x)] {
            let sum: f64 = sum_of_squares(x).into_scalar();
            assert!((sum - expected).abs() <= 1e-6 * expected, "{sum} {expected}");
        }
    }
}
