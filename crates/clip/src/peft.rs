//! Which parameters a training changes: whole towers, none, or adapters beside frozen layers.

use std::{fmt, sync::Arc};

use burn::{module::Module, tensor::Device};
use hearth_backbones::{
    dropout::Dropout,
    layers::Block,
    lora::{self, LoraConfig, Target},
};
use hearth_data::random::Key;
use hearth_spec::Document;
use hearth_weights::map_values;

use crate::{
    error::ClipError,
    model::Clip,
    registry::Family,
    setup::Setup,
    spec::{ClipSpec, TowerAdaptation, TowerPeftSpec},
};

/// Names of a spec for the layers of a block: those of transformers, of timm, and `qkv` for the
/// three thirds with one matrix of rank R for all of them.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("q_proj", Target::Query),
    ("k_proj", Target::Key),
    ("v_proj", Target::Value),
    ("qkv", Target::Qkv),
    ("out_proj", Target::Proj),
    ("proj", Target::Proj),
    ("fc1", Target::Fc1),
    ("fc2", Target::Fc2),
];

/// What is trained of a tower.
#[derive(Debug, Clone, PartialEq)]
pub enum Adaptation {
    /// Nothing.
    Frozen,
    /// All of it.
    Full,
    /// Adapters only.
    Lora(LoraConfig),
}

/// What a training changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Peft {
    /// Of the vision tower.
    pub vision: Adaptation,
    /// Of the text tower.
    pub text: Adaptation,
    /// Logit scale and logit bias.
    pub calibration: bool,
}

impl Peft {
    /// Everything is trained.
    pub(crate) fn whole() -> Self {
        Self { vision: Adaptation::Full, text: Adaptation::Full, calibration: true }
    }

    /// What a spec asks for, or why a model of this type cannot have it.
    pub(crate) fn of(
        document: &Document,
        spec: &ClipSpec,
        setup: &Setup,
    ) -> Result<Self, ClipError> {
        let config = setup.config();
        let frozen = |frozen| if frozen { Adaptation::Frozen } else { Adaptation::Full };
        let peft = &spec.peft;
        if !peft.enabled {
            return Ok(Self {
                vision: frozen(spec.model.freeze_vision_encoder),
                text: frozen(spec.model.freeze_text_encoder),
                calibration: true,
            });
        }
        let mut checks = document.check();
        for (name, tower, block, depth) in [
            ("vision", &peft.vision, config.vision.block(), config.vision.depth()),
            ("text", &peft.text, &config.text.block, config.text.depth),
        ] {
            if tower.mode != TowerAdaptation::Lora {
                continue;
            }
            if tower.num_last_blocks > depth {
                let needed =
                    format!("at most {depth}, the blocks of the {name} tower; 0 takes all");
                let key = format!("peft.{name}.num_last_blocks");
                checks.error(&key, tower.num_last_blocks, needed);
            }
            let width = block.width;
            if tower.rank > width {
                let needed = format!("at most {width}, the width of the {name} tower");
                checks
                    .error(&format!("peft.{name}.rank"), tower.rank, needed)
                    .hint(format!("`peft.{name}.mode: full` trains the layers themselves"));
            }
        }
        if spec.hearth.train.save_adapters
            && !matches!(setup.family(), Family::SigLip2 | Family::OpenAi)
        {
            let found = format!("true with `{}`", setup.recipe.model_type);
            checks
                .error("hearth.train.save_adapters", found, "a type that transformers has too")
                .hint(
                    "any program reads checkpoints without this: they hold the sum of all weights",
                );
        }
        checks.into_result()?;
        Ok(Self {
            vision: adaptation(&peft.vision, config.vision.depth(), 0),
            text: adaptation(&peft.text, config.text.depth, 1),
            calibration: peft.train_logit_calibration,
        })
    }

    /// Freezes what stays and adds what is new, with `down` drawn from `key` and `up` zero: the
    /// model gives the same embeddings as before.
    pub fn apply(&self, mut model: Clip, key: &Key, device: &Device) -> Clip {
        if self.vision != Adaptation::Full {
            model.visual = model.visual.no_grad();
        }
        if self.text != Adaptation::Full {
            model.text = model.text.no_grad();
        }
        if !self.calibration {
            model.logit_scale = model.logit_scale.set_require_grad(false);
            model.logit_bias = model.logit_bias.map(|bias| bias.set_require_grad(false));
        }
        for (adaptation, blocks) in
            [(&self.vision, model.visual.blocks_mut()), (&self.text, &mut model.text.blocks)]
        {
            if let Adaptation::Lora(config) = adaptation {
                lora::adapt(blocks, config, device);
            }
        }
        map_values(model, |parameter| {
            let drawn =
                parameter.name.contains(".lora.") && parameter.name.ends_with("down.weight");
            drawn.then(|| {
                // PyTorch's `kaiming_uniform_(a = sqrt(5))`, as peft draws it.
                let bound = (parameter.shape[1] as f64).powf(-0.5);
                let mut numbers = key.of("weights").of(&parameter.name).rng();
                (0..parameter.len()).map(|_| numbers.uniform(-bound, bound) as f32).collect()
            })
        })
    }

    /// The configurations of adapters, vision tower first.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = &LoraConfig> {
        [&self.vision, &self.text].into_iter().filter_map(|adaptation| match adaptation {
            Adaptation::Lora(config) => Some(config),
            _ => None,
        })
    }

    /// Whether a whole tower is trained, so that its initial weights are lost.
    pub(crate) fn trains_a_tower(&self) -> bool {
        [&self.vision, &self.text].contains(&&Adaptation::Full)
    }

    /// Whether inputs of adapters are dropped while training.
    pub fn drops(&self) -> bool {
        self.adapters().any(|config| config.dropout > 0.0)
    }
}

/// For the identity of a run.
impl fmt::Display for Peft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, adaptation) in [("vision", &self.vision), ("text", &self.text)] {
            match adaptation {
                Adaptation::Frozen => write!(f, "{name} frozen, ")?,
                Adaptation::Full => write!(f, "{name} full, ")?,
                Adaptation::Lora(LoraConfig { targets, blocks, rank, alpha, dropout, .. }) => {
                    write!(
                        f,
                        "{name} lora {targets:?} in {blocks} blocks with rank {rank}, alpha {alpha}, \
                     dropout {dropout}, "
                    )?
                }
            }
        }
        f.write_str(if self.calibration { "calibration trained" } else { "calibration frozen" })
    }
}

/// What decides about dropout in the training step of `key` for `samples` samples from number `first` on.
pub fn dropout_seeds(key: &Key, first: usize, samples: usize) -> Arc<[u64]> {
    let key = key.of("dropout");
    (first..first + samples).map(|sample| key.at(sample as u64).rng().bits()).collect()
}

/// `model` with dropout in its adapters, and of pooled text features at `text_rate`, by the seeds of
/// the samples.
pub fn with_dropout(model: &Clip, text_rate: f64, seeds: &Arc<[u64]>) -> Clip {
    /// Another place than any adapter.
    const POOLED_TEXT: u64 = u64::MAX;
    let mut model = model.clone();
    towers(&mut model).into_iter().for_each(|blocks| lora::seed(blocks, seeds));
    model.text.dropout = Dropout::new(text_rate, POOLED_TEXT);
    model.text.dropout.seed(seeds);
    model
}

/// The model without adapters that gives the same embeddings, on a plain device. What has no
/// adapter shares its memory.
pub fn merged(model: &Clip) -> Clip {
    let mut model = model.valid();
    towers(&mut model).into_iter().for_each(|blocks| lora::merge(blocks));
    model
}

/// The model as if its adapters had never been there, on a plain device; shares its memory.
pub fn base(model: &Clip) -> Clip {
    let mut model = model.valid();
    towers(&mut model).into_iter().for_each(|blocks| lora::strip(blocks));
    model
}

fn towers(model: &mut Clip) -> [&mut Vec<Block>; 2] {
    [model.visual.blocks_mut(), &mut model.text.blocks]
}

fn adaptation(tower: &TowerPeftSpec, depth: usize, stream: u64) -> Adaptation {
    match tower.mode {
        TowerAdaptation::Frozen => Adaptation::Frozen,
        TowerAdaptation::Full => Adaptation::Full,
        TowerAdaptation::Lora => Adaptation::Lora(LoraConfig {
            targets: TARGETS
                .iter()
                .filter(|(name, _)| tower.target_modules.iter().any(|module| module == name))
                .map(|(_, target)| *target)
                .collect(),
            blocks: if tower.num_last_blocks == 0 { depth } else { tower.num_last_blocks },
            rank: tower.rank,
            alpha: tower.alpha as f64,
            dropout: tower.dropout,
            stream,
        }),
    }
}
