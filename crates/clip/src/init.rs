//! Initial values of a model that is trained from scratch, and of what a checkpoint leaves open.
//!
//! open_clip's rules for both towers (`src/open_clip/transformer.py`, `TextTransformer.init_parameters`):
//! normal values whose deviation falls with width and depth, zeros for biases. Every parameter has
//! its own random numbers, keyed by its name: the order of drawing does not matter.

use burn::tensor::Device;
use hearth_backbones::positions::sin_cos_2d;
use hearth_data::random::Key;
use hearth_engine::contrastive::Contrast;
use hearth_weights::{Parameter, map_values};

use crate::model::{Clip, ClipConfig};

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
            Contrast::SigLip => Self { logit_scale: 2.3026, logit_bias: -10.0 },
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
        Rule::SinCos2d => sin_cos_2d(config.vision.grid(), config.vision.block.width),
    }
}

enum Rule {
    Constant(f32),
    /// Mean 0 and this deviation.
    Normal(f32),
    SinCos2d,
}

fn rule(parameter: &Parameter, config: &ClipConfig, calibration: Calibration) -> Rule {
    use hearth_backbones::vit::VisionPositions;

    let (tower, rest) = parameter.name.split_once('.').unwrap_or(("", &parameter.name));
    let (width, depth) = match tower {
        "visual" => (config.vision.block.width, config.vision.depth),
        _ => (config.text.block.width, config.text.depth),
    };
    let by_width = (width as f32).powf(-0.5);
    let by_depth = (2.0 * depth as f32).powf(-0.5);
    let is_weight = rest.ends_with(".weight");

    match rest {
        "logit_scale" => Rule::Constant(calibration.logit_scale),
        "logit_bias" => Rule::Constant(calibration.logit_bias),
        "pos_embed" if config.vision.positions == VisionPositions::SinCos2d => Rule::SinCos2d,
        "pos_embed" | "cls_token" | "attn_pool.latent" => Rule::Normal(by_width),
        "token_embedding.weight" => Rule::Normal(0.02),
        "positional_embedding" => Rule::Normal(0.01),
        "head.weight" => Rule::Normal(by_width),
        "patch_embed.proj.weight" => {
            let inputs: usize = parameter.shape[1..].iter().product();
            Rule::Normal((inputs as f32).powf(-0.5))
        }
        _ if rest.contains("norm") => Rule::Constant(if is_weight { 1.0 } else { 0.0 }),
        _ if !is_weight => Rule::Constant(0.0),
        _ if rest.ends_with("qkv.weight") => Rule::Normal(by_width),
        _ if rest.ends_with("mlp.fc1.weight") => Rule::Normal((2.0 * width as f32).powf(-0.5)),
        // attn.proj and mlp.fc2 write into the residual stream.
        _ => Rule::Normal(by_width * by_depth),
    }
}
