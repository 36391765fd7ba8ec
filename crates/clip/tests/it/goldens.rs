//! The network against transformers and open_clip: embeddings, losses, gradients, optimizer steps.
//!
//! Fixtures and their conventions: `tests/golden/clip_models/README.md`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::GradientsParams,
    tensor::Tensor,
};
use hearth_backbones::{
    layers::{Activation, BlockConfig},
    naflex::NaflexConfig,
    positions::Grid,
    text::{TextConfig, TextPool},
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_clip::{
    layouts,
    model::{Clip, ClipConfig},
    pictures::Pictures,
    task::{Batch, ContrastiveTask, Rates, logit_scale_ceiling},
    vision::TowerConfig,
};
use hearth_data::random::Key;
use hearth_engine::{
    Optimizer, OptimizerConfig, Precision, Rule, Step, Task, contrastive::Contrast,
};
use hearth_weights::{KeyMap, WeightsFile, load, map_values, save};

use super::device::device;

const RATES: Rates = Rates { vision: 1e-3, text: 5e-4, weight_decay: 0.1 };

struct Case {
    name: &'static str,
    /// Case whose weights and inputs this one uses.
    of: &'static str,
    config: ClipConfig,
    contrast: Contrast,
    /// Losses whose gradients are in the fixture.
    gradients: &'static [Contrast],
    steps: bool,
}

#[test]
fn siglip_of_transformers() {
    let case = Case {
        name: "siglip_hf",
        of: "siglip_hf",
        config: siglip(),
        contrast: Contrast::SigLip,
        gradients: &[Contrast::SigLip, Contrast::Clip],
        steps: true,
    };
    check(&case);
}

#[test]
fn naflex_of_transformers() {
    let mut config = siglip();
    config.vision = TowerConfig::Naflex(NaflexConfig {
        patch_size: 8,
        table_side: 4,
        depth: 2,
        block: config.vision.block().clone(),
    });
    let case = Case {
        name: "naflex_hf",
        of: "naflex_hf",
        config,
        contrast: Contrast::SigLip,
        gradients: &[Contrast::SigLip, Contrast::Clip],
        steps: true,
    };
    check(&case);
}

#[test]
fn siglip_of_open_clip_with_a_timm_tower() {
    let case = Case {
        name: "siglip_openclip",
        of: "siglip_openclip",
        config: siglip(),
        contrast: Contrast::SigLip,
        gradients: &[],
        steps: false,
    };
    check(&case);
}

#[test]
fn clip_of_transformers() {
    let case = Case {
        name: "clip_hf",
        of: "clip_hf",
        config: classic(24, 1e-5, Activation::QuickGelu),
        contrast: Contrast::Clip,
        gradients: &[Contrast::Clip],
        steps: true,
    };
    check(&case);
}

#[test]
fn nv_clip_of_open_clip() {
    let case = Case {
        name: "openclip_nv",
        of: "openclip_nv",
        config: nv(),
        contrast: Contrast::SigLip,
        gradients: &[Contrast::SigLip],
        steps: true,
    };
    check(&case);
}

#[test]
fn classic_clip_of_open_clip_with_both_activations() {
    let case = Case {
        name: "openclip_openai",
        of: "openclip_openai",
        config: classic(24, 1e-5, Activation::QuickGelu),
        contrast: Contrast::Clip,
        gradients: &[Contrast::Clip],
        steps: true,
    };
    check(&case);
    let gelu = classic(24, 1e-5, Activation::Gelu);
    check(&Case {
        name: "openclip_openai_gelu",
        config: gelu,
        gradients: &[],
        steps: false,
        ..case
    });
}

pub(crate) fn nv() -> ClipConfig {
    let mut config = classic(24, 1e-5, Activation::Gelu);
    let vision = vit(&mut config);
    vision.image_size = 28;
    vision.patch_size = 14;
    vision.block.mlp_width = 128;
    vision.positions = VisionPositions::SinCos2d;
    vision.norm_pre = false;
    vision.pool = VisionPool::Mean;
    config.text.block.mlp_width = 128;
    config.text.causal = false;
    config.text.pool = TextPool::Last;
    config.logit_bias = true;
    config
}

pub(crate) fn siglip() -> ClipConfig {
    let mut config = classic(32, 1e-6, Activation::GeluTanh);
    let vision = vit(&mut config);
    vision.class_token = false;
    vision.norm_pre = false;
    vision.patch_bias = true;
    vision.pool = VisionPool::Map;
    vision.projection = None;
    config.text =
        TextConfig { causal: false, pool: TextPool::Last, projection_bias: true, ..config.text };
    config.logit_bias = true;
    config
}

fn vit(config: &mut ClipConfig) -> &mut VisionConfig {
    match &mut config.vision {
        TowerConfig::Vit(config) => config,
        other => panic!("another tower: {other:?}"),
    }
}

/// Of no effect for NaFlex.
pub(crate) fn image_size(config: &ClipConfig) -> usize {
    match &config.vision {
        TowerConfig::Vit(config) => config.image_size,
        _ => 0,
    }
}

pub(crate) fn classic(embed_dim: usize, norm_eps: f64, activation: Activation) -> ClipConfig {
    let block = BlockConfig {
        width: 32,
        num_heads: 4,
        mlp_width: 64,
        activation,
        norm_eps,
        ..BlockConfig::default()
    };
    let vision = VisionConfig {
        image_size: 32,
        patch_size: 8,
        depth: 2,
        block: block.clone(),
        class_token: true,
        positions: VisionPositions::Learned,
        norm_pre: true,
        patch_bias: false,
        pool: VisionPool::ClassToken,
        projection: Some(embed_dim),
    };
    let text = TextConfig {
        vocab_size: 128,
        context_length: 16,
        depth: 2,
        block,
        causal: true,
        pool: TextPool::LargestId,
        projection: embed_dim,
        projection_bias: false,
    };
    ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias: false }
}

fn check(case: &Case) {
    let device = device().autodiff();
    let weights = open(&format!("{}.weights", case.of));
    let layouts = layouts::all();
    let map = KeyMap::recognise(&layouts, &weights).unwrap();
    let (model, report) =
        load(case.config.init(&device), &weights, map, &Default::default()).unwrap();
    assert_eq!((report.fresh.len(), report.dropped.len()), (0, 0), "{}", case.name);

    let expected = open(&format!("{}.expected", case.name));
    let inputs = open(&format!("{}.expected", case.of));
    let batch = Batch {
        names: Vec::new(),
        pictures: Pictures {
            pixels: inputs.read_f32("pixels").unwrap(),
            grids: grids(&inputs),
            crops: Vec::new(),
        },
        ids: inputs.read_i64("ids").unwrap().into_iter().map(|id| id as i32).collect(),
    };
    let task = task(case, &model);

    check_embeddings(case, &task, &model.valid(), &batch, &expected);
    for contrast in [Contrast::Clip, Contrast::SigLip] {
        check_loss(case, contrast, &model, &batch, &expected, map);
    }
    if case.steps {
        check_steps(case, &task, model, &batch, &expected, map);
    }
}

/// Patches of each picture, where the fixture has them.
fn grids(inputs: &WeightsFile) -> Vec<Grid> {
    if inputs.entry("grids").is_none() {
        return Vec::new();
    }
    let sides = inputs.read_i64("grids").unwrap();
    let grid = |pair: &[i64]| Grid { rows: pair[0] as usize, columns: pair[1] as usize };
    sides.chunks_exact(2).map(grid).collect()
}

fn task(case: &Case, model: &Clip) -> ContrastiveTask {
    ContrastiveTask {
        contrast: case.contrast,
        image_size: image_size(&case.config),
        context_length: case.config.text.context_length,
        precision: Precision::Fp32,
        recompute: false,
        logit_scale_ceiling: logit_scale_ceiling(model),
        rates: RATES,
        extra: Default::default(),
        device: device(),
    }
}

fn check_embeddings(
    case: &Case,
    task: &ContrastiveTask,
    model: &Clip,
    batch: &Batch,
    expected: &WeightsFile,
) {
    let found = task.evaluate(model, batch);
    for (name, found) in [("image_embedding", found.images), ("text_embedding", found.texts)] {
        let expected = expected.read_f32(name).unwrap();
        assert_eq!(found.len(), expected.len(), "{} {name}", case.name);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{} {name}: {found} {expected}", case.name);
        }
    }
}

fn check_loss(
    case: &Case,
    contrast: Contrast,
    model: &Clip,
    batch: &Batch,
    expected: &WeightsFile,
    map: &KeyMap,
) {
    // Without a bias of its own, the fixtures' sigmoid loss has a constant one.
    if contrast == Contrast::SigLip && !case.config.logit_bias {
        return;
    }
    let (loss, grads) = loss(case, contrast, model, batch);
    let name = if contrast == Contrast::Clip { "clip" } else { "siglip" };
    let expected_loss = expected.read_f32(&format!("loss.{name}")).unwrap()[0];
    let error = (loss - expected_loss).abs() / expected_loss;
    assert!(error < 1e-5, "{} {name}: loss {loss}, expected {expected_loss}", case.name);

    if case.gradients.contains(&contrast) {
        let found = in_their_layout(model, &grads, map);
        check_gradients(case, name, &found, expected);
    }
}

fn loss(case: &Case, contrast: Contrast, model: &Clip, batch: &Batch) -> (f32, GradientsParams) {
    let task = ContrastiveTask { contrast, ..task(case, model) };
    let step = Step { index: 0, first: 0, key: Key::new(0) };
    let local = task.forward(model, batch, &step);
    let shared = [task.share(&local)];
    let losses = task.losses(local, &shared, 0);
    let value = losses.objective.clone().into_scalar::<f32>();
    (value, GradientsParams::from_grads(losses.objective.backward(), model))
}

/// Norm of the difference at most 1e-4 of the norm, or of a thousandth of the median norm. Gradients
/// that the fixture names as zero but for rounding are zero here too.
fn check_gradients(case: &Case, loss: &str, found: &WeightsFile, expected: &WeightsFile) {
    let prefix = &format!("grad.{loss}.");
    let zero = zero_gradients(case, loss);
    let names: Vec<&str> =
        expected.names().filter_map(|name| name.strip_prefix(prefix.as_str())).collect();
    assert!(names.len() > 50, "{}: {} gradients", case.name, names.len());
    let reference = |name: &str| expected.read_f32(&format!("{prefix}{name}")).unwrap();
    let mut norms: Vec<f64> = names.iter().map(|name| norm(&reference(name))).collect();
    norms.sort_by(f64::total_cmp);
    let median = norms[norms.len() / 2];
    for name in names {
        let (expected, found) = (reference(name), found.read_f32(name).unwrap());
        if zero.iter().any(|zero| zero == name) {
            assert!(
                norm(&found) <= 1e-6 * median,
                "{} {prefix}{name}: {}",
                case.name,
                norm(&found)
            );
            continue;
        }
        let difference: Vec<f32> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        let (difference, allowed) = (norm(&difference), 1e-4 * norm(&expected).max(1e-3 * median));
        assert!(difference <= allowed, "{} {prefix}{name}: {difference} > {allowed}", case.name);
    }
}

fn zero_gradients(case: &Case, loss: &str) -> Vec<String> {
    let text = std::fs::read_to_string(fixture(&format!("{}.json", case.name))).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let names = json["zero_gradients"][loss].as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn check_steps(
    case: &Case,
    task: &ContrastiveTask,
    mut model: Clip,
    batch: &Batch,
    expected: &WeightsFile,
    map: &KeyMap,
) {
    let config = OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-6 };
    let groups = task.parameter_groups(&model);
    let mut optimizer = Optimizer::new(config, groups, &model, &device());
    for _ in 0..3 {
        let (_, grads) = loss(case, case.contrast, &model, batch);
        model = task.after_step(optimizer.step(model, grads, None, 1.0));
    }
    let found = save_in(&model, map);
    for name in expected.names().filter(|name| name.starts_with("after.")) {
        let found = found.read_f32(&name["after.".len()..]).unwrap();
        let third = found.len() / 3;
        for (i, (found, expected)) in found.iter().zip(expected.read_f32(name).unwrap()).enumerate()
        {
            // Exact gradients of key biases are zero: AdamW turns rounding into steps.
            let of_keys = name.ends_with("k_proj.bias")
                || name.ends_with("in_proj_bias") && (third..2 * third).contains(&i);
            let tolerance = if of_keys { 1e-3 } else { 2e-5 };
            assert!(
                (found - expected).abs() < tolerance,
                "{} {name}: {found} {expected}",
                case.name
            );
        }
    }
}

/// Gradients under the names and in the shapes of the reference: saved as if they were weights.
fn in_their_layout(model: &Clip, grads: &GradientsParams, map: &KeyMap) -> WeightsFile {
    struct Collect<'a>(&'a GradientsParams, BTreeMap<ParamId, Tensor<1>>);
    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let shape = param.val().dims();
            let grad = self.0.get::<D>(param.id);
            let grad = grad.unwrap_or_else(|| Tensor::zeros(shape, &device()));
            self.1.insert(param.id, grad.reshape([shape.iter().product::<usize>()]));
        }
    }
    let mut collect = Collect(grads, BTreeMap::new());
    model.visit(&mut collect);

    struct Replace(BTreeMap<ParamId, Tensor<1>>);
    impl burn::module::ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let grad = self.0[&param.id].clone();
            param.map(|value| grad.reshape(value.dims()))
        }
    }
    save_in(&model.valid().map(&mut Replace(collect.1)), map)
}

pub(crate) fn save_in(model: &Clip, map: &KeyMap) -> WeightsFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.keep().join("model.safetensors");
    save(model, &path, map, &Default::default()).unwrap();
    WeightsFile::open(&path).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

pub(crate) fn open(name: &str) -> WeightsFile {
    WeightsFile::open(fixture(&format!("{name}.safetensors"))).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/clip_models").join(name)
}

#[test]
fn every_layout_covers_its_model_both_ways() {
    for (map, config) in [
        (layouts::transformers_siglip(), siglip()),
        (layouts::open_clip_timm(), siglip()),
        (layouts::transformers_clip(), classic(24, 1e-5, Activation::Gelu)),
        (layouts::open_clip(), classic(24, 1e-5, Activation::Gelu)),
    ] {
        let model = map_values(config.init(&device()), |parameter| {
            Some((0..parameter.len()).map(|i| i as f32 + parameter.name.len() as f32).collect())
        });
        map.check(&hearth_weights::parameters(&model)).unwrap();
        let file = save_in(&model, &map);
        let (again, _) = load(config.init(&device()), &file, &map, &Default::default()).unwrap();
        let values = |model: &Clip| {
            let mut all = Vec::new();
            hearth_weights::visit_values(model, |_, values| all.extend(values));
            all
        };
        assert_eq!(values(&model), values(&again), "{}", map.name);
    }
}
