//! Update rules against numbers computed by hand or by the reference.

use burn::{
    module::{Module, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use hearth_engine::{Optimizer, OptimizerConfig, ParameterGroup, Rule};
use hearth_weights::parameters;

#[derive(Module, Debug)]
struct Weights {
    matrix: Param<Tensor<2>>,
}

const VALUE: [f32; 4] = [0.5, -0.25, 1.0, 0.0];
const GRAD: [f32; 4] = [0.1, -0.2, 0.0, 0.4];

fn steps(rule: Rule, weight_decay: f64, steps: usize) -> Vec<f32> {
    let device = Device::flex().autodiff();
    let matrix = |values: [f32; 4]| TensorData::new(values.to_vec(), [2, 2]);
    let mut model =
        Weights { matrix: Param::from_tensor(Tensor::from_data(matrix(VALUE), &device)) };
    let names = parameters(&model).into_iter().map(|p| p.name).collect();
    let group = ParameterGroup { name: "all", rate: 0.1, weight_decay, parameters: names };
    let config = OptimizerConfig { rule, betas: [0.9, 0.95], eps: 1e-6 };
    let mut optimizer = Optimizer::new(config, vec![group], &model, &device);
    for _ in 0..steps {
        let mut grads = GradientsParams::new();
        let grad = Tensor::<2>::from_data(matrix(GRAD), &Device::flex());
        grads.register(model.matrix.id, grad);
        model = optimizer.step(model, grads, 1.0);
    }
    model.matrix.val().into_data().try_to_vec().unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 2e-6, "{found} {expected}");
    }
}

/// A constant gradient makes both corrected moments constant: every step is rate * g / (|g| + eps).
#[test]
fn adamw_moves_by_the_rate_after_shrinking_by_the_decay() {
    let mut expected = VALUE.map(f64::from);
    for _ in 0..3 {
        for (value, grad) in expected.iter_mut().zip(GRAD.map(f64::from)) {
            *value *= 1.0 - 0.1 * 0.2;
            *value -= 0.1 * grad / (grad.abs() + 1e-6);
        }
    }
    assert_close(&steps(Rule::AdamW, 0.2, 3), &expected);
}

#[test]
fn lamb_without_decay_is_adam_on_clipped_gradients() {
    let expected: Vec<f64> = VALUE
        .map(f64::from)
        .iter()
        .zip(GRAD.map(f64::from))
        .map(|(value, grad)| value - 3.0 * 0.1 * grad / (grad.abs() + 1e-6))
        .collect();
    assert_close(&steps(Rule::Lamb, 0.0, 3), &expected);
}

#[test]
fn lamb_with_decay_moves_by_the_norm_of_the_parameter() {
    let mut expected = VALUE.map(f64::from);
    let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..2 {
        let update: Vec<f64> = (expected.iter().zip(GRAD.map(f64::from)))
            .map(|(value, grad)| grad / (grad.abs() + 1e-6) + 0.2 * value)
            .collect();
        let trust = norm(&expected) / norm(&update);
        expected.iter_mut().zip(&update).for_each(|(value, u)| *value -= 0.1 * trust * u);
    }
    assert_close(&steps(Rule::Lamb, 0.2, 2), &expected);
}
