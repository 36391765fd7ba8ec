//! Initial values of a model that is trained from scratch, and of what a checkpoint leaves open.
//!
//! Sources: `facebookresearch/mae:models_mae.py`, `facebookresearch/hiera:hiera/hiera{,_mae}.py`,
//! `facebookresearch/ConvNeXt-V2:models/convnextv2.py`, timm's `vision_transformer.py`. Convolutions of
//! ConvNeXt V2 start at deviation 0.02: FCMAE's and TAO's code draws them a second time, at 1, from which
//! training diverges. Every parameter has its own random numbers, keyed by its name.

use burn::module::Module;
use hearth_backbones::positions::sin_cos_2d;
use hearth_data::random::Key;
use hearth_weights::{Parameter, map_values};

use crate::arch::Kind;

/// Deviation of weights and tables that follow no rule of their size.
const DEVIATION: f32 = 0.02;
/// Deviation of a new head: it starts as good as silent.
const HEAD: f32 = 2e-5;

/// `model`, an autoencoder, with every parameter drawn from `key`.
pub fn autoencoder<M: Module>(model: M, kind: Kind, key: &Key) -> M {
    drawn(model, key, |parameter| Some(of_autoencoder(parameter, kind)))
}

/// `model`, a classifier, with every parameter drawn from `key`.
pub fn classifier<M: Module>(model: M, kind: Kind, key: &Key) -> M {
    classifier_where(model, kind, key, |_| true)
}

/// `model`, a classifier, with those parameters drawn from `key` whose names are `wanted`; the others stay.
pub fn classifier_where<M: Module>(
    model: M,
    kind: Kind,
    key: &Key,
    wanted: impl Fn(&str) -> bool,
) -> M {
    drawn(model, key, |parameter| wanted(&parameter.name).then(|| of_classifier(parameter, kind)))
}

enum Rule {
    Constant(f32),
    /// Mean 0 and this deviation.
    Normal(f32),
    /// Between minus and plus this.
    Uniform(f32),
    /// The fixed table.
    SinCos2d,
}

fn drawn<M: Module>(model: M, key: &Key, rule: impl Fn(&Parameter) -> Option<Rule>) -> M {
    map_values(model, |parameter| {
        let rule = rule(parameter)?;
        let mut numbers = key.of("weights").of(&parameter.name).rng();
        let count = parameter.len();
        Some(match rule {
            Rule::Constant(value) => vec![value; count],
            Rule::Normal(deviation) => {
                (0..count).map(|_| numbers.normal() as f32 * deviation).collect()
            }
            Rule::Uniform(bound) => {
                let bound = f64::from(bound);
                (0..count).map(|_| numbers.uniform(-bound, bound) as f32).collect()
            }
            Rule::SinCos2d => {
                let width = parameter.shape.last().copied().unwrap_or(1);
                sin_cos_2d((count / width - 1).isqrt(), width)
            }
        })
    })
}

fn of_autoencoder(parameter: &Parameter, kind: Kind) -> Rule {
    let name = parameter.name.as_str();
    match kind {
        Kind::ConvNext(..) => common(name).unwrap_or(Rule::Normal(DEVIATION)),
        Kind::Vit(..) if name.ends_with("pos_embed") => Rule::SinCos2d,
        Kind::Vit(..) | Kind::Hiera(..) => common(name).unwrap_or_else(|| {
            if name.ends_with("pos_embed") || name.ends_with("_token") {
                Rule::Normal(DEVIATION)
            } else if name.starts_with("multi_scale_fusion_heads") {
                // As PyTorch draws convolutions.
                Rule::Uniform(1.0 / (inputs(parameter) as f32).sqrt())
            } else {
                xavier(parameter)
            }
        }),
    }
}

fn of_classifier(parameter: &Parameter, kind: Kind) -> Rule {
    let name = parameter.name.as_str();
    if let Some(rule) = common(name) {
        return rule;
    }
    match name {
        "head.weight" => Rule::Normal(HEAD),
        "encoder.cls_token" => Rule::Normal(1e-6),
        _ => Rule::Normal(DEVIATION / depth_scale(name, kind)),
    }
}

/// What layers that write into the residual stream of a Hiera are divided by: the deeper, the more.
fn depth_scale(name: &str, kind: Kind) -> f32 {
    let writes = name.ends_with("attn.proj.weight") || name.ends_with("mlp.fc2.weight");
    let block = name.split('.').find_map(|part| part.parse::<u32>().ok());
    match (kind, block) {
        (Kind::Hiera(..), Some(block)) if writes => (2.0 * (block as f32 + 1.0)).sqrt(),
        _ => 1.0,
    }
}

/// Gains of norms, and what starts at zero.
fn common(name: &str) -> Option<Rule> {
    let norm = name.contains("norm") && name.ends_with("weight");
    let zero = name.ends_with("bias") || name.ends_with("grn.gamma") || name.ends_with("grn.beta");
    match (norm, zero) {
        (true, _) => Some(Rule::Constant(1.0)),
        (_, true) => Some(Rule::Constant(0.0)),
        _ => None,
    }
}

/// Uniform by the sum of both sides of the matrix.
fn xavier(parameter: &Parameter) -> Rule {
    let outputs = parameter.shape[0];
    Rule::Uniform((6.0 / (inputs(parameter) + outputs) as f32).sqrt())
}

/// Numbers that one output of a matrix or kernel is made of.
fn inputs(parameter: &Parameter) -> usize {
    parameter.shape[1..].iter().product()
}
