//! Names, shapes and values of Burn modules as PyTorch would give them.

use burn::{
    module::{Module, Param},
    nn::{
        BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, LayerNorm, LayerNormConfig, Linear,
        LinearConfig,
    },
    tensor::{Device, Tensor},
};
use hearth_weights::{map_values, parameters, visit_values};

use super::model::{Tiny, numbered, values};

#[test]
fn names_and_shapes_are_those_of_pytorch() {
    let found = parameters(&Tiny::new(&Device::flex()));
    let found: Vec<(&str, &[usize])> =
        found.iter().map(|parameter| (parameter.name.as_str(), &parameter.shape[..])).collect();
    assert_eq!(found, Tiny::STATE_DICT);
}

#[test]
fn norms_are_called_weight_and_bias() {
    #[derive(Module, Debug)]
    struct Norms {
        layer: LayerNorm,
        group: GroupNorm,
        batch: BatchNorm,
    }
    let device = Device::flex();
    let norms = Norms {
        layer: LayerNormConfig::new(4).init(&device),
        group: GroupNormConfig::new(2, 4).init(&device),
        batch: BatchNormConfig::new(4).init(&device),
    };
    let names: Vec<String> = parameters(&norms).into_iter().map(|p| p.name).collect();
    let mut expected = Vec::new();
    for norm in ["layer", "group", "batch"] {
        expected.extend([format!("{norm}.weight"), format!("{norm}.bias")]);
    }
    expected.extend(["batch.running_mean".to_owned(), "batch.running_var".to_owned()]);
    assert_eq!(names, expected);
}

#[test]
fn the_variant_of_an_enum_adds_nothing() {
    #[derive(Module, Debug)]
    enum Head {
        Single(Linear),
        Several(Vec<Linear>),
    }
    #[derive(Module, Debug)]
    struct Model {
        head: Head,
        raw: (Param<Tensor<2>>, Option<Linear>),
    }
    let device = Device::flex();
    let linear = || LinearConfig::new(2, 3).with_bias(false).init(&device);
    let raw = || (Param::from_tensor(Tensor::zeros([2, 3], &device)), None);
    for (head, expected) in [
        (Head::Single(linear()), vec!["head.weight", "raw.0"]),
        (Head::Several(vec![linear(), linear()]), vec!["head.0.weight", "head.1.weight", "raw.0"]),
    ] {
        let names: Vec<String> =
            parameters(&Model { head, raw: raw() }).into_iter().map(|p| p.name).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn counting_parameters_draws_none() {
    // 2^40 weights, 4 TiB: to draw them would end the test.
    let model = LinearConfig::new(1 << 20, 1 << 20).init(&Device::flex());
    let found = parameters(&model);
    assert_eq!(found[0].len(), 1 << 40);
    assert_eq!(found[1].len(), 1 << 20);
    assert!(!model.weight.is_initialized());
    // Nor does a map that keeps it.
    let model = map_values(model, |_| None);
    assert!(!model.weight.is_initialized());
}

#[test]
fn replacing_values_does_not_draw_the_former_ones() {
    // The first weight is as above; only the bias is replaced.
    let model = LinearConfig::new(1 << 20, 1 << 20).init(&Device::flex());
    let model = map_values(model, |parameter| {
        (parameter.name == "bias").then(|| vec![1.0; parameter.len()])
    });
    assert!(!model.weight.is_initialized());
    let bias = model.bias.as_ref().unwrap();
    assert!(bias.is_initialized());
    assert_eq!(bias.val().sum().into_scalar::<f32>(), (1 << 20) as f32);
}

#[test]
fn a_linear_is_turned_both_ways() {
    let model = numbered(LinearConfig::new(3, 2).init(&Device::flex()));
    // PyTorch keeps [out 2, in 3] = 1000..1006, Burn [in 3, out 2].
    let burn = model.weight.val().into_data().try_to_vec::<f32>();
    assert_eq!(burn.unwrap(), [1000.0, 1003.0, 1001.0, 1004.0, 1002.0, 1005.0]);
    let (name, torch) = &values(&model)[0];
    assert_eq!(name, "weight");
    assert_eq!(*torch, [1000.0, 1001.0, 1002.0, 1003.0, 1004.0, 1005.0]);
}

#[test]
fn values_go_round() {
    let device = Device::flex();
    let first = numbered(Tiny::new(&device));
    let mut taken = values(&first).into_iter();
    let second = map_values(Tiny::new(&device), |parameter| {
        let (name, values) = taken.next()?;
        assert_eq!(name, parameter.name);
        Some(values)
    });
    assert_eq!(values(&first), values(&second));
}

#[test]
fn a_replaced_parameter_keeps_what_it_is() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        for drawn in [false, true] {
            let mut model = LinearConfig::new(3, 2).init(&device);
            model.bias = model.bias.map(|bias| bias.set_require_grad(false));
            if drawn {
                visit_values(&model, |_, _| {});
            }
            let before = parameters(&model);
            let model = numbered(model);
            assert_eq!(parameters(&model), before, "same ids");
            let bias = model.bias.as_ref().unwrap();
            let autodiff = device.is_autodiff();
            assert_eq!(model.weight.val().is_autodiff(), autodiff);
            assert_eq!(model.weight.val().is_require_grad(), autodiff);
            assert!(!bias.val().is_require_grad());
            // What was frozen stays so when a plain model starts to train.
            let trained = model.train();
            assert!(trained.weight.val().is_require_grad());
            assert!(!trained.bias.unwrap().val().is_require_grad());
        }
    }
}

#[test]
fn a_loaded_model_learns() {
    let device = Device::flex().autodiff();
    let model = numbered(Tiny::new(&device));
    let loss = model.forward(Tensor::ones([2, 6], &device)).sum();
    let grads = loss.backward();
    let grad = model.blocks[0].fc.weight.val().grad(&grads).unwrap();
    assert_eq!(grad.dims(), [6, 6]);
}
