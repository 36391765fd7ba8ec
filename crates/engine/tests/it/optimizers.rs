//! Update rules against numbers computed by hand or by the reference.

use std::{collections::BTreeSet, fs, path::Path};

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
        model = optimizer.step(model, grads, None, 1.0);
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

/// Three steps of four tensors, two of them with clipped gradients, as Apex `FusedLAMB` takes them;
/// `tests/golden/clip_models/README.md` states its conventions.
#[test]
fn lamb_follows_apex() {
    #[derive(Module, Debug)]
    struct Tensors {
        values: Vec<Param<Tensor<1>>>,
    }

    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/clip_models/lamb.json");
    let golden: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let floats = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let vector = |values: Vec<f64>, device: &Device| {
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        let shape = [values.len()];
        Tensor::<1>::from_data(TensorData::new(values, shape), device)
    };
    let device = Device::flex().autodiff();
    let tensors = golden["tensors"].as_object().unwrap();
    let start = tensors.values().map(|tensor| vector(floats(&tensor["start"]), &device));
    let mut model = Tensors { values: start.map(Param::from_tensor).collect() };
    let groups = tensors.values().enumerate().map(|(i, tensor)| ParameterGroup {
        name: "one",
        rate: tensor["lr"].as_f64().unwrap(),
        weight_decay: tensor["decay"].as_f64().unwrap(),
        parameters: BTreeSet::from([format!("values.{i}")]),
    });
    let betas = floats(&golden["betas"]);
    let eps = golden["eps"].as_f64().unwrap();
    let config = OptimizerConfig { rule: Rule::Lamb, betas: [betas[0], betas[1]], eps };
    let mut optimizer = Optimizer::new(config, groups.collect(), &model, &device);

    for step in golden["steps"].as_array().unwrap() {
        let mut grads = GradientsParams::new();
        for (name, param) in tensors.keys().zip(&model.values) {
            grads.register(param.id, vector(floats(&step["grads"][name]), &Device::flex()));
        }
        model = optimizer.step(model, grads, None, 1.0);
        for (name, param) in tensors.keys().zip(&model.values) {
            let found: Vec<f32> = param.val().into_data().try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(floats(&step["weights"][name])) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{name}: {found} {expected}");
            }
        }
    }
}
