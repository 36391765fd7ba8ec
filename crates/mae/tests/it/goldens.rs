//! Losses, gradients and optimizer steps against TAO's and Meta's PyTorch code, in numbers that need no
//! file: weights and pictures are functions of names (`fill`).
//!
//! Sources: `facebookresearch/{mae,ConvNeXt-V2,hiera}`, TAO's `ssl/mae`, PyTorch 2.15 on a CPU in f32.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData, activation::log_softmax},
};
use hearth_engine::{Optimizer, OptimizerConfig, ParameterGroup, Rule};
use hearth_mae::{
    arch::Arch,
    autoencoder::{Autoencoder, DecoderConfig},
    classifier::{Classifier, VitGraph},
    fcmae::MaskMode,
    groups::{Rates, of_autoencoder, of_classifier},
    layouts, masking,
};
use hearth_weights::parameters;

use super::fill::{filled, images, noise};

const RATES: Rates = Rates { rate: 1e-3, weight_decay: 0.05, layer_decay: 1.0, backbone: 1.0 };

struct Pretraining {
    arch: &'static str,
    mask_ratio: f64,
    mode: MaskMode,
    normalize: bool,
    loss: f64,
    /// Norm of all gradients in front of the first two steps, and the loss of the second and the third.
    steps: Option<([f64; 2], [f64; 2])>,
}

const ATTO: Pretraining = Pretraining {
    arch: "convnextv2_atto",
    mask_ratio: 0.6,
    mode: MaskMode::Dense,
    normalize: true,
    loss: 1.450_846_3,
    steps: Some(([0.94026, 0.84847], [1.303_118, 1.137_127])),
};

#[test]
fn fcmae_as_tao_masks() {
    check(&ATTO);
    check(&Pretraining { normalize: false, loss: 0.784_474_0, steps: None, ..ATTO });
    check(&Pretraining {
        normalize: false,
        mask_ratio: 0.75,
        loss: 0.792_728_4,
        steps: None,
        ..ATTO
    });
}

#[test]
fn fcmae_of_visible_cells() {
    check(&Pretraining { mode: MaskMode::Masked, loss: 1.441_409_3, steps: None, ..ATTO });
    check(&Pretraining { mode: MaskMode::Batch, loss: 1.441_425_9, steps: None, ..ATTO });
}

#[test]
fn mae_of_hiera() {
    check(&Pretraining {
        arch: "hiera_tiny_224",
        mask_ratio: 0.6,
        mode: MaskMode::Masked,
        normalize: true,
        loss: 1.952_442_4,
        steps: Some(([6.48139, 2.84651], [2.055_028, 1.602_269])),
    });
}

#[test]
fn mae_of_vit() {
    let case = Pretraining {
        arch: "vit_base_patch16",
        mask_ratio: 0.75,
        mode: MaskMode::Masked,
        normalize: true,
        loss: 2.009_270_7,
        steps: Some(([4.75322, 2.34873], [2.009_381, 1.389_822])),
    };
    check(&case);
    check(&Pretraining { normalize: false, loss: 1.342_499_7, steps: None, ..case });
}

/// Norm of what the encoder makes of visible cells.
#[test]
fn features_of_visible_cells() {
    let device = Device::flex();
    let arch = Arch::named("convnextv2_atto").unwrap();
    let encoder = arch.encoder(224);
    let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &device);
    let Autoencoder::ConvNext(model) = filled(model, &layouts::autoencoder(arch.kind), false)
    else {
        panic!("a ConvNeXt V2")
    };
    let cells = masking::by_noise([7; 2], 0.6, &noise(49));
    for (mode, expected) in [(MaskMode::Masked, 152.9888), (MaskMode::Batch, 152.9483)] {
        let features = model.encode(images(&device), &cells, mode, false);
        let norm: f32 = features.square().sum().sqrt().into_scalar();
        close(&format!("{mode:?}"), norm.into(), expected, 1e-6);
    }
}

fn check(case: &Pretraining) {
    let device = Device::flex().autodiff();
    let arch = Arch::named(case.arch).unwrap();
    let encoder = arch.encoder(224);
    let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &device);
    let map = layouts::autoencoder(arch.kind);
    let mut model = filled(model, &map, case.arch.starts_with("vit"));
    let cells = 224 / arch.cell();
    let cells = masking::by_noise([cells; 2], case.mask_ratio, &noise(cells * cells));
    let images = images(&device);

    let config = OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-8 };
    let mut optimizer =
        Optimizer::new(config, of_autoencoder(&model, RATES), &model, &Device::flex());
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for _ in 0..if case.steps.is_some() { 3 } else { 1 } {
        let reconstruction = model.forward(images.clone(), &cells, case.mode, false);
        let loss = reconstruction.loss(images.clone(), case.normalize);
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        if case.steps.is_some() {
            let grads = GradientsParams::from_grads(loss.backward(), &model);
            norms.push(norm(&model, &grads));
            model = optimizer.step(model, grads, None, 1.0);
        }
    }
    close(&format!("{} loss", case.arch), losses[0], case.loss, 2e-5);
    if let Some((expected_norms, expected_losses)) = case.steps {
        for i in 0..2 {
            close(&format!("{} norm {i}", case.arch), norms[i], expected_norms[i], 1e-3);
            let name = format!("{} loss {}", case.arch, i + 1);
            close(&name, losses[i + 1], expected_losses[i], [1e-4, 1e-3][i]);
        }
    }
}

fn close(name: &str, found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs(), "{name}: {found} {expected}");
}

fn norm<M: Module>(model: &M, grads: &GradientsParams) -> f64 {
    struct Norm<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1 += f64::from((grad.clone() * grad).sum().into_scalar::<f32>());
            }
        }
    }
    let mut norm = Norm(grads, 0.0);
    model.visit(&mut norm);
    norm.1.sqrt()
}

struct FineTuning {
    arch: &'static str,
    logits: [f32; 10],
    losses: [f64; 2],
    norms: [f64; 2],
}

#[test]
fn classifiers() {
    check_classifier(&FineTuning {
        arch: "convnextv2_atto",
        logits: [
            -1.430_03, 0.443_839, -1.444_493, 0.009_336, 0.654_452, -0.082_419, 0.438_615,
            -0.552_67, 1.000_219, -0.027_528,
        ],
        losses: [2.704_704, 1.425_256],
        norms: [30.11805, 11.60096],
    });
    check_classifier(&FineTuning {
        arch: "hiera_tiny_224",
        logits: [
            -0.889_194, -0.028_85, -0.871_259, 1.075_488, 1.792_214, -0.595_478, 0.340_846,
            1.042_614, -1.064_316, 0.487_489,
        ],
        losses: [1.828_505, 1.629_457],
        norms: [44.7718, 23.26332],
    });
    check_classifier(&FineTuning {
        arch: "vit_base_patch16",
        logits: [
            4.729_18, -0.041_307, 4.363_295, 0.279_063, 0.658_8, 2.852_898, 0.473_439, 1.959_494,
            -4.821_489, 3.363_367,
        ],
        losses: [5.266_922, 7.125_588],
        norms: [268.245, 62.3285],
    });
}

fn check_classifier(case: &FineTuning) {
    let device = Device::flex().autodiff();
    let arch = Arch::named(case.arch).unwrap();
    let model = Classifier::new(&arch.encoder(224), 10, VitGraph::Bare, &device);
    let mut model = filled(model, &layouts::classifier(arch.kind, VitGraph::Bare), false);
    let images = images(&device);

    let config = OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-8 };
    let groups = of_classifier(&model, arch.kind, RATES);
    let mut optimizer = Optimizer::new(config, groups, &model, &Device::flex());
    // The classes 3 and 7, smoothed by 0.1.
    let targets = (0..20).map(|i| if [3, 17].contains(&i) { 0.91 } else { 0.01 });
    let targets = TensorData::new(targets.collect::<Vec<f32>>(), [2, 10]);
    let targets = Tensor::<2>::from_data(targets, &device);
    for i in 0..2 {
        let logits = model.forward(images.clone(), false);
        if i == 0 {
            let found: Vec<f32> = logits.clone().into_data().try_to_vec().unwrap();
            for (found, expected) in found.iter().zip(case.logits) {
                assert!((found - expected).abs() < 1e-3, "{}: {found} {expected}", case.arch);
            }
        }
        let loss = (log_softmax(logits, 1) * targets.clone()).sum().neg() / 2.0;
        let value = f64::from(loss.clone().into_scalar::<f32>());
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        close(&format!("{} loss {i}", case.arch), value, case.losses[i], [2e-5, 2e-3][i]);
        let found = norm(&model, &grads);
        close(&format!("{} norm {i}", case.arch), found, case.norms[i], [1e-3, 1e-2][i]);
        model = optimizer.step(model, grads, None, 1.0);
    }
}

#[test]
fn as_many_parameters_as_the_reference() {
    let cases = [
        ("convnextv2_atto", 3_708_400, 7_257_992),
        ("convnextv2_femto", 5_233_240, 8_751_472),
        ("convnextv2_pico", 9_066_280, 12_521_792),
        ("convnextv2_nano", 15_623_800, 19_016_592),
        ("convnextv2_tiny", 28_635_496, 31_965_568),
        ("convnextv2_base", 88_717_800, 91_922_432),
        ("convnextv2_large", 197_956_840, 200_910_592),
        ("convnextv2_huge", 660_289_640, 662_616_192),
        ("hiera_tiny_224", 27_910_216, 55_020_896),
        ("hiera_small_224", 35_008_072, 62_118_752),
        ("hiera_base_224", 51_524_968, 78_635_648),
        ("hiera_large_224", 213_739_912, 242_875_808),
        ("hiera_huge_224", 672_779_752, 710_081_792),
        ("vit_base_patch16", 86_566_120, 111_907_840),
        ("vit_large_patch16", 304_324_584, 329_541_888),
        ("vit_huge_patch14", 632_043_240, 657_074_508),
    ];
    let device = Device::flex();
    for (name, classifier, autoencoder) in cases {
        let arch = Arch::named(name).unwrap();
        let encoder = arch.encoder(224);
        let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &device);
        assert_eq!(count(&model), autoencoder, "{name}, autoencoder");
        layouts::autoencoder(arch.kind).check(&parameters(&model)).unwrap();
        let model = Classifier::new(&encoder, 1000, VitGraph::Bare, &device);
        assert_eq!(count(&model), classifier, "{name}, classifier");
        layouts::classifier(arch.kind, VitGraph::Bare).check(&parameters(&model)).unwrap();
    }
}

fn count<M: Module>(model: &M) -> usize {
    parameters(model).iter().map(|parameter| parameter.len()).sum()
}

#[test]
fn groups_of_the_reference() {
    let device = Device::flex().autodiff();
    let cases = [
        ("convnextv2_atto", 23_640, 7_234_352),
        ("hiera_tiny_224", 119_872, 54_901_024),
        ("vit_base_patch16", 177_664, 111_478_016),
    ];
    for (name, expected_kept, expected_decayed) in cases {
        let arch = Arch::named(name).unwrap();
        let encoder = arch.encoder(224);
        let model = Autoencoder::new(&encoder, DecoderConfig::of(&encoder), &device);
        let groups = of_autoencoder(&model, RATES);
        let size = |decays: bool| -> usize {
            let chosen = groups.iter().filter(|group| (group.weight_decay > 0.0) == decays);
            chosen.map(|group| members(&model, group)).sum()
        };
        assert_eq!([size(false), size(true)], [expected_kept, expected_decayed], "{name}");
    }
}

#[test]
fn layers_have_rates_of_their_own() {
    let device = Device::flex().autodiff();
    let scales = |name: &str| {
        let arch = Arch::named(name).unwrap();
        let model = Classifier::new(&arch.encoder(224), 10, VitGraph::Bare, &device);
        let rates = Rates { rate: 1.0, layer_decay: 0.75, ..RATES };
        let groups = of_classifier(&model, arch.kind, rates);
        let mut scales: Vec<f64> = groups.iter().map(|group| group.rate).collect();
        scales.sort_by(f64::total_cmp);
        scales.dedup();
        scales
    };
    let close = |found: Vec<f64>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    };
    let atto = [0.023_757_3, 0.031_676_4, 0.042_235_1, 0.056_313_5, 0.075_084_7, 0.75, 1.0];
    close(scales("convnextv2_atto"), &atto);
    let vit: Vec<f64> = (0..=13).rev().map(|distance| 0.75f64.powi(distance)).collect();
    close(scales("vit_base_patch16"), &vit);
}

fn members<M: Module>(model: &M, group: &ParameterGroup) -> usize {
    let all = parameters(model);
    let chosen = all.iter().filter(|parameter| group.parameters.contains(&parameter.name));
    chosen.map(|parameter| parameter.len()).sum()
}
