//! Deformable sampling against a grid sampler written out place by place, in f64.

use burn::tensor::{FloatDType, Tensor};
use hearth_kernels::deformable_sampling;

use super::compare::{
    assert_close, assert_slope, captured, numbers, pull, scattered, tensor, wide,
};

/// Sizes: B, A, D, Q, P and the maps.
struct Case {
    sides: [usize; 5],
    maps: &'static [[usize; 2]],
}

const CASES: [Case; 4] = [
    Case { sides: [1, 1, 1, 1, 1], maps: &[[1, 1]] },
    Case { sides: [2, 3, 5, 7, 4], maps: &[[6, 4], [3, 2]] },
    Case { sides: [1, 2, 32, 70, 2], maps: &[[5, 9], [3, 4], [1, 2]] },
    Case { sides: [2, 1, 3, 0, 2], maps: &[[2, 2]] },
];

type Inputs = (Tensor<4>, Tensor<6>, Tensor<5>);

impl Case {
    fn inputs(&self) -> Inputs {
        let [b, a, d, q, p] = self.sides;
        let l = self.maps.len();
        let cells = self.maps.iter().map(|[height, width]| height * width).sum();
        // Some places lie outside.
        let places = tensor([b, q, a, l, p, 2], 0.8, 2) + 0.5;
        (tensor([b, cells, a, d], 2.0, 1), places, tensor([b, q, a, l, p], 1.0, 3))
    }
}

/// The sampler with torch's `grid_sample(align_corners=False, padding_mode="zeros")` spelled out.
fn reference(case: &Case, (values, places, weights): &Inputs) -> Vec<f64> {
    let [batch, heads, width, queries, points] = case.sides;
    let flat = |data: burn::tensor::TensorData| -> Vec<f64> { data.iter().collect() };
    let (values, places, weights) =
        (flat(values.to_data()), flat(places.to_data()), flat(weights.to_data()));
    let cells: usize = case.maps.iter().map(|[height, width]| height * width).sum();
    let mut out = vec![0.0; batch * queries * heads * width];
    let mut number = 0;
    for row in 0..batch * queries * heads {
        let (b, h) = (row / heads / queries, row % heads);
        let mut start = 0;
        for &[height, breadth] in case.maps {
            for _ in 0..points {
                let x = places[2 * number] * breadth as f64 - 0.5;
                let y = places[2 * number + 1] * height as f64 - 0.5;
                for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let (column, line) = (x.floor() + f64::from(i), y.floor() + f64::from(j));
                    let inside = (0.0..breadth as f64).contains(&column)
                        && (0.0..height as f64).contains(&line);
                    if inside {
                        let share = (1.0 - (x - column).abs()) * (1.0 - (y - line).abs());
                        let cell = start + line as usize * breadth + column as usize;
                        for d in 0..width {
                            let value = values[((b * cells + cell) * heads + h) * width + d];
                            out[row * width + d] += weights[number] * share * value;
                        }
                    }
                }
                number += 1;
            }
            start += height * breadth;
        }
    }
    out
}

#[test]
fn values_are_those_of_a_grid_sampler() {
    for case in &CASES {
        let inputs = case.inputs();
        let expected = reference(case, &inputs);
        let (values, places, weights) = inputs;
        let ours = [
            deformable_sampling(values.clone(), case.maps, places.clone(), weights.clone()),
            deformable_sampling(
                scattered(values.clone()),
                case.maps,
                scattered(places.clone()),
                scattered(weights.clone()),
            ),
        ];
        for ours in ours {
            let ours: Vec<f64> = ours.to_data().iter().collect();
            assert_eq!(ours.len(), expected.len());
            for (ours, expected) in ours.iter().zip(&expected) {
                assert!((ours - expected).abs() < 1e-5, "{ours} {expected}");
            }
        }
        if case.sides[3] > 0 {
            let composed =
                deformable_sampling(wide(values), case.maps, wide(places), wide(weights));
            for (ours, expected) in composed.to_data().iter::<f64>().zip(&expected) {
                assert!((ours - expected).abs() < 1e-6, "{ours} {expected}");
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_gathers() {
    for case in &CASES[..3] {
        let (values, places, weights) = case.inputs();
        let on = |x: &Tensor<4>| x.clone().autodiff();
        let (p, w) = (|| places.clone().autodiff(), || weights.clone().autodiff());
        let sample = |v, p, w| deformable_sampling(v, case.maps, p, w);

        let (_, grad) = pull(values.clone(), |v| sample(v, p(), w()));
        let (_, expected) = pull(values.clone(), |v| sample(wide(v), wide(p()), wide(w())));
        assert_close(&grad, &expected, 1e-5);
        let (_, grad) = pull(places.clone(), |p| sample(on(&values), p, w()));
        let (_, expected) = pull(places.clone(), |p| sample(wide(on(&values)), wide(p), wide(w())));
        assert_close(&grad, &expected, 2e-5);
        let (_, grad) = pull(weights.clone(), |w| sample(on(&values), p(), w));
        let (_, expected) =
            pull(weights.clone(), |w| sample(wide(on(&values)), wide(p()), wide(w)));
        assert_close(&grad, &expected, 1e-5);
    }
}

#[test]
fn slopes_are_difference_quotients() {
    let case = &CASES[1];
    let (values, places, weights) = case.inputs();
    let sample = |v, p, w| deformable_sampling(v, case.maps, p, w);
    assert_slope(values.clone(), |v| sample(v, places.clone(), weights.clone()));
    assert_slope(weights.clone(), |w| sample(values.clone(), places.clone(), w));
    // Places between cells, where the sampler is smooth.
    let cells: Vec<f32> = numbers(places.shape().num_elements(), 0.2, 9);
    let (b, q) = (places.dims()[0], places.dims()[1]);
    let [_, heads, _, _, points] = case.sides;
    let smooth = burn::tensor::TensorData::new(cells, [b, q, heads, 2, points, 2]);
    let smooth = Tensor::<6>::from_data(smooth, &places.device()) * 0.1 + 0.55;
    assert_slope(smooth, |p| sample(values.clone(), p, weights.clone()));
}

#[test]
fn extremes() {
    let case = &CASES[1];
    let (values, places, weights) = case.inputs();
    for place in [1e30, -1e30, f32::INFINITY, f32::NAN] {
        let far = places.full_like(place);
        let (value, grad) = pull(values.clone(), |v| {
            deformable_sampling(v, case.maps, far.clone().autodiff(), weights.clone().autodiff())
        });
        assert_close(&value, &value.zeros_like(), 0.0);
        assert_close(&grad, &grad.zeros_like(), 0.0);
    }
}

#[test]
fn other_types() {
    for (dtype, tolerance) in [(FloatDType::F16, 0.1), (FloatDType::BF16, 0.5)] {
        let case = &CASES[1];
        let (values, places, weights) = case.inputs();
        let value = deformable_sampling(
            values.clone().cast(dtype),
            case.maps,
            places.clone().cast(dtype),
            weights.clone().cast(dtype),
        );
        assert_eq!(FloatDType::from(value.dtype()), dtype);
        let expected = deformable_sampling(values, case.maps, places, weights);
        assert_close(&value.cast(FloatDType::F32), &expected, tolerance);
    }
}

#[test]
fn is_one_node() {
    let nodes = captured([1, 4, 2, 3], |values| {
        let device = values.device();
        let places = Tensor::ones([1, 5, 2, 1, 2, 2], &device);
        deformable_sampling(values, &[[2, 2]], places, Tensor::ones([1, 5, 2, 1, 2], &device))
    });
    let found = nodes.iter().filter(|node| *node == "hearth::deformable_sampling").count();
    assert_eq!(found, 1, "{nodes:?}");
}
