//! Initial values of a model that is trained from scratch, and of what a checkpoint leaves open.
//!
//! SigLIP types start as in `google-research/big_vision:models/vit.py`, the others as in
//! `mlfoundations/open_clip:src/open_clip/transformer.py`, C-RADIO's tower as in RADIO: normal values, ones for the gains of norms,
//! zeros for biases. Every parameter has its own random numbers, keyed by its name: the order of
//! drawing does not matter.

use burn::tensor::Device;
use hearth_backbones::{
    positions::sin_cos_2d,
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_data::random::Key;
use hearth_engine::contrastive::Contrast;
use hearth_weights::{Parameter, map_values};

use crate::{
    model::{Clip, ClipConfig},
    vision::TowerConfig,
};

/// Initial factor of a residual branch, as in timm's ViT.
const LAYER_SCALE: f32 = 1e-5;

/// Initial calibration of the cosines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// Logarithm of the multiplier.
    pub(crate) logit_scale: f32,
    /// Offset.
    pub(crate) logit_bias: f32,
}

impl Calibration {
    /// TAO's values by loss: ln 10 and -10 for SigLIP, ln(1 / 0.07) and 0 for CLIP.
    pub(crate) fn of(contrast: Contrast) -> Self {
        match contrast {
            Contrast::SigLip => Self { logit_scale: std::f32::consts::LN_10, logit_bias: -10.0 },
            Contrast::Clip => Self { logit_scale: 2.6592, logit_bias: 0.0 },
        }
    }
}

/// A model on `device` with every parameter drawn from `key`.
pub(crate) fn draw(
    config: &ClipConfig,
    calibration: Calibration,
    key: &Key,
    device: &Device,
) -> Clip {
    draw_some(config.init(device), calibration, key, |_| true)
}

/// Draws the parameters whose names `wanted` picks; the others stay as they are.
pub(crate) fn draw_some(
    model: Clip,
    calibration: Calibration,
    key: &Key,
    wanted: impl Fn(&str) -> bool,
) -> Clip {
    let config = model.config();
    map_values(model, |parameter| {
        wanted(&parameter.name).then(|| values(parameter, &config, calibration, key))
    })
}

fn values(
    parameter: &Parameter,
    config: &ClipConfig,
    calibration: Calibration,
    key: &Key,
) -> Vec<f32> {
    match rule(parameter, config, calibration) {
        Rule::Constant(value) => vec![value; parameter.len()],
        Rule::Normal(deviation) => {
            let mut numbers = key.of("weights").of(&parameter.name).rng();
            (0..parameter.len()).map(|_| numbers.normal() as f32 * deviation).collect()
        }
        Rule::SinCos2d { grid } => sin_cos_2d(grid, config.vision.block().width),
    }
}

enum Rule {
    Constant(f32),
    /// Mean 0 and this deviation.
    Normal(f32),
    SinCos2d {
        grid: usize,
    },
}

/// Whose initial values a tower has.
enum Manner {
    SigLip,
    OpenClip,
    Radio,
}

fn rule(parameter: &Parameter, config: &ClipConfig, calibration: Calibration) -> Rule {
    let (tower, rest) = parameter.name.split_once('.').unwrap_or(("", &parameter.name));
    let (manner, block, depth) = match (tower, &config.vision) {
        ("visual", vision) => (manner(vision), vision.block(), vision.depth()),
        _ if config.text.projection_bias => (Manner::SigLip, &config.text.block, config.text.depth),
        _ => (Manner::OpenClip, &config.text.block, config.text.depth),
    };
    match (rest, &config.vision) {
        ("logit_scale", _) => Rule::Constant(calibration.logit_scale),
        ("logit_bias", _) => Rule::Constant(calibration.logit_bias),
        ("pos_embed", TowerConfig::Vit(vision)) if fixed_positions(vision) => {
            Rule::SinCos2d { grid: vision.grid() }
        }
        _ if rest.contains("norm") && rest.ends_with("weight") => Rule::Constant(1.0),
        _ if rest.ends_with("bias") => Rule::Constant(0.0),
        _ if rest.ends_with("gamma") => Rule::Constant(LAYER_SCALE),
        _ => Rule::Normal(match manner {
            Manner::SigLip => siglip(rest, &parameter.shape),
            Manner::OpenClip => open_clip(rest, block.width, depth, &parameter.shape),
            Manner::Radio => radio(rest, &parameter.shape),
        }),
    }
}

fn manner(vision: &TowerConfig) -> Manner {
    match vision {
        TowerConfig::Vit(config) if config.pool == VisionPool::Map => Manner::SigLip,
        TowerConfig::Vit(_) => Manner::OpenClip,
        TowerConfig::Naflex(_) => Manner::SigLip,
        TowerConfig::Radio(_) => Manner::Radio,
    }
}

fn fixed_positions(vision: &VisionConfig) -> bool {
    vision.positions == VisionPositions::SinCos2d
}

/// Deviations of RADIO: tables by their width, matrices as timm's ViT.
fn radio(rest: &str, shape: &[usize]) -> f32 {
    let table = rest.ends_with("pos_embed") || rest.ends_with("cls_token.token");
    let width = shape.last().copied().unwrap_or(1) as f32;
    if table { width.powf(-0.5) } else { 0.02 }
}

/// Deviations of big_vision's SigLIP: tables by their width, matrices by both sides (Xavier).
fn siglip(rest: &str, shape: &[usize]) -> f32 {
    let width = shape.last().copied().unwrap_or(1) as f32;
    let inputs = shape[1..].iter().product::<usize>() as f32;
    match rest {
        "pos_embed" | "positional_embedding" | "token_embedding.weight" => width.powf(-0.5),
        "patch_embed.proj.weight" | "head.weight" => inputs.powf(-0.5),
        "attn_pool.latent" => width.powf(-0.5),
        // Three square matrices in one.
        _ if rest.ends_with("qkv.weight") => width.powf(-0.5),
        _ => (2.0 / (shape[0] as f32 + inputs)).sqrt(),
    }
}

/// Deviations of open_clip, for both towers.
fn open_clip(rest: &str, width: usize, depth: usize, shape: &[usize]) -> f32 {
    let by_width = (width as f32).powf(-0.5);
    match rest {
        "pos_embed" | "cls_token" | "head.weight" => by_width,
        "token_embedding.weight" => 0.02,
        "positional_embedding" => 0.01,
        "patch_embed.proj.weight" => (shape[1..].iter().product::<usize>() as f32).powf(-0.5),
        _ if rest.ends_with("qkv.weight") => by_width,
        _ if rest.ends_with("mlp.fc1.weight") => (2.0 * width as f32).powf(-0.5),
        // attn.proj and mlp.fc2 write into the residual stream.
        _ => by_width * (2.0 * depth as f32).powf(-0.5),
    }
}
