//! Towers that compute in 16 bits: losses and gradients are those of f32 but for roundings, weights and
//! their gradients stay f32.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{DType, Tensor},
};
use hearth_backbones::{layers::Activation, naflex::NaflexConfig, positions::Grid};
use hearth_clip::{
    model::{Clip, ClipConfig},
    pictures::Pictures,
    registry,
    task::{Batch, ContrastiveTask, Rates},
    vision::TowerConfig,
};
use hearth_data::random::Key;
use hearth_engine::{Precision, Step, Task, contrastive::Contrast};
use hearth_weights::map_values;

use super::{
    capture::narrow,
    device::device,
    goldens::{classic, nv, siglip},
};

const PAIRS: usize = 3;

/// Of each tower and each pooling one.
fn configs() -> [(&'static str, ClipConfig); 5] {
    let mut naflex = siglip();
    let block = naflex.vision.block().clone();
    naflex.vision =
        TowerConfig::Naflex(NaflexConfig { patch_size: 8, table_side: 4, depth: 2, block });
    let radio = registry::model_type("c-radio_v3-b").expect("a listed name").config;
    [
        ("class token", classic(24, 1e-5, Activation::QuickGelu)),
        ("mean", nv()),
        ("map", siglip()),
        ("naflex", naflex),
        ("radio", narrow(radio)),
    ]
}

fn numbers(count: usize) -> Vec<f32> {
    let mut random = Key::new(count as u64).rng();
    (0..count).map(|_| random.normal() as f32).collect()
}

/// Norms around 1, everything else around 0.
fn drawn(model: Clip) -> Clip {
    let mut key = 0;
    map_values(model, |parameter| {
        key += 1;
        let mean = match parameter.name.as_str() {
            "logit_scale" => 2.0,
            name if name.ends_with("weight") && parameter.shape.len() == 1 => 1.0,
            _ => 0.0,
        };
        let mut random = Key::new(key).rng();
        Some((0..parameter.len()).map(|_| mean + 0.15 * random.normal() as f32).collect())
    })
}

fn batch(config: &ClipConfig) -> Batch {
    let (values, grids) = match &config.vision {
        TowerConfig::Vit(vision) => (3 * vision.image_size.pow(2), Vec::new()),
        TowerConfig::Radio(vision) => (3 * vision.image_size.pow(2), Vec::new()),
        TowerConfig::Naflex(vision) => {
            let grids = (0..PAIRS).map(|i| Grid { rows: 3 - i % 2, columns: 4 }).collect();
            (12 * vision.patch_len(), grids)
        }
    };
    let length = config.text.context_length;
    Batch {
        names: Vec::new(),
        pictures: Pictures { pixels: numbers(PAIRS * values), grids, crops: Vec::new() },
        ids: (0..PAIRS * length).map(|i| (i * 7 % config.text.vocab_size) as i32).collect(),
    }
}

/// The loss, and the gradients of all parameters, one behind the other.
fn results(config: &ClipConfig, precision: Precision, recompute: bool) -> (f32, Vec<f32>) {
    let trained = device().autodiff();
    let model = drawn(config.init(&trained));
    let task = ContrastiveTask {
        contrast: Contrast::Clip,
        image_size: match &config.vision {
            TowerConfig::Vit(vision) => vision.image_size,
            TowerConfig::Radio(vision) => vision.image_size,
            TowerConfig::Naflex(_) => 0,
        },
        context_length: config.text.context_length,
        precision,
        recompute,
        logit_scale_ceiling: f32::INFINITY,
        rates: Rates { vision: 0.0, text: 0.0, weight_decay: 0.0 },
        extra: Default::default(),
        device: device(),
    };
    let local =
        task.forward(&model, &batch(config), &Step { index: 0, first: 0, key: Key::new(0) });
    assert_eq!(local.embeddings.images.dtype(), DType::F32);
    let shared = [task.share(&local)];
    let objective = task.losses(local, &shared, 0).objective;
    let loss = objective.clone().into_scalar::<f32>();
    let mut grads = Collected {
        grads: GradientsParams::from_grads(objective.backward(), &model),
        values: Vec::new(),
    };
    model.visit(&mut grads);
    (loss, grads.values)
}

/// Gradients of all parameters, in order.
struct Collected {
    grads: GradientsParams,
    values: Vec<f32>,
}

impl ModuleVisitor for Collected {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            assert_eq!((param.val().dtype(), grad.dtype()), (DType::F32, DType::F32));
            self.values.extend(grad.into_data().iter::<f32>());
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

#[test]
fn losses_and_gradients_are_those_of_f32_but_for_roundings() {
    for (name, config) in configs() {
        let (loss, grads) = results(&config, Precision::Fp32, false);
        // The drawn C-RADIO hardly tells pictures apart: small differences of large numbers.
        let norm = distance(&grads, &vec![0.0; grads.len()]).max(0.25);
        for (precision, tolerance) in [(Precision::Fp16, 0.005), (Precision::Bf16, 0.04)] {
            if !precision.is_on(&device()) {
                println!("{name}: no {precision} on this device");
                continue;
            }
            let (of_half, in_half) = results(&config, precision, false);
            let error = (of_half - loss).abs() / loss;
            assert!(error < 0.01, "{name}: loss {of_half} in {precision}, {loss} in fp32");
            let error = distance(&grads, &in_half) / norm;
            assert!(
                error > 0.0 && error < tolerance,
                "{name}: gradients of {precision} by {error}"
            );
            // The same operations, which a graphics processor need not do in the same order.
            let (_, recomputed) = results(&config, precision, true);
            let error = distance(&recomputed, &in_half) / norm;
            assert!(error < 0.1 * tolerance, "{name}: recomputed in {precision} by {error}");
        }
    }
}
