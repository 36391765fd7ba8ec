//! From keys of a spec to the plan of the loop: intervals, schedule, best checkpoints.

use hearth_data::random::Key;
use hearth_engine::{
    Batches, Best, Decay, Every, Fingerprint, Monitored, OptimizerConfig, Plan, Rule, Run,
    Schedule, TrainBatches,
};
use hearth_spec::{Document, common::ExifOrientation};

use crate::{
    dataset::Pictures,
    error::MaeError,
    groups::Rates,
    recipe::{Gives, Recipe},
    spec::{AugmentationSpec, MaeSpec, Scheduler, Stage},
};

/// How long, how often, how fast.
pub(crate) fn plan(spec: &MaeSpec, data: &TrainBatches<Pictures>, key: Key) -> Plan {
    let (common, optim) = (&spec.train.common, &spec.train.optim);
    let steps_per_epoch = data.steps();
    let decay = match optim.lr_scheduler {
        Scheduler::Cosine => Decay::Cosine,
        Scheduler::MultiStep => Decay::Steps {
            at: optim.milestones.iter().map(|epoch| epoch * steps_per_epoch).collect(),
            factor: optim.gamma,
        },
    };
    let warmup_steps = match optim.lr_scheduler {
        Scheduler::Cosine => (optim.warmup_epochs * steps_per_epoch as f64).round() as usize,
        Scheduler::MultiStep => 0,
    };
    Plan {
        epochs: common.num_epochs,
        steps_per_epoch,
        schedule: Schedule {
            decay,
            warmup_steps,
            rises_from: 0,
            total_steps: common.num_epochs * steps_per_epoch,
        },
        clip_grad_norm: None,
        checkpoint: Every::checkpoint(common),
        validate: Every::Epochs(common.validation_interval),
        log_interval: spec.hearth.train.common.log_interval,
        key,
    }
}

/// AdamW with the means of Meta's pre-training, in both stages as TAO.
pub(crate) fn optimizer() -> OptimizerConfig {
    OptimizerConfig { rule: Rule::AdamW, betas: [0.9, 0.95], eps: 1e-8 }
}

/// Peak learning rates. Layers have rates of their own in fine-tuning only.
pub(crate) fn rates(document: &Document, spec: &MaeSpec) -> Rates {
    let optim = &spec.train.optim;
    let (layer_decay, backbone) = match spec.train.stage {
        Stage::Pretrain => (1.0, 1.0),
        // A written multiplier is meant where no decay is.
        Stage::Finetune
            if document.is_written("train.optim.backbone_multiplier")
                && !document.is_written("train.optim.layer_decay") =>
        {
            (1.0, optim.backbone_multiplier)
        }
        Stage::Finetune if optim.layer_decay == 1.0 => (1.0, optim.backbone_multiplier),
        Stage::Finetune => (optim.layer_decay, 1.0),
    };
    Rates { rate: optim.lr, weight_decay: optim.weight_decay, layer_decay, backbone }
}

/// The ranking that `train.checkpointer` asks for.
pub(crate) fn best(
    document: &Document,
    spec: &MaeSpec,
    run: &Run,
) -> Result<Option<Best>, MaeError> {
    let (names, usual): (&[&str], _) = match spec.train.stage {
        Stage::Pretrain => (&["val_loss", "relative_error"], "val_loss"),
        Stage::Finetune => (&["val_loss", "ACC_all", "top5"], "ACC_all"),
    };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let monitored = Monitored {
        names: &names,
        usual,
        lower_is_better: |name| name == "val_loss" || name == "relative_error",
    };
    Ok(Best::asked(document, &spec.train.common.checkpointer, monitored, &run.results)?)
}

/// What has to be equal for a checkpoint to be continued exactly.
pub(crate) fn fingerprint(
    spec: &MaeSpec,
    recipe: &Recipe,
    data: &TrainBatches<Pictures>,
    seed: u64,
) -> Fingerprint {
    let text = |value: &dyn ToString| value.to_string();
    let own = &spec.dataset.augmentation;
    let mut fingerprint: Fingerprint = [
        ("the training data", data.dataset().digest()),
        ("the global batch size", text(&data.global_batch())),
        ("`train.seed`", text(&seed)),
        ("the model", recipe.to_json()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut add = |name: &str, value: String| drop(fingerprint.insert(name.to_owned(), value));
    // What has its default is not there, so that checkpoints from before a key can be continued.
    if *own != AugmentationSpec::default() {
        add("`dataset.augmentation`", format!("{own:?}"));
    }
    let reading = &spec.hearth.dataset;
    if reading.exif_orientation != ExifOrientation::Ignore {
        add("`hearth.dataset.exif_orientation`", text(&reading.exif_orientation));
    }
    if reading.jpeg_draft {
        add("`hearth.dataset.jpeg_draft`", text(&true));
    }
    if let Some(decay) = spec.hearth.train.ema_decay {
        add("`hearth.train.ema_decay`", text(&decay));
    }
    let frozen = spec.frozen();
    if !frozen.is_empty() {
        add("`train.freeze`", frozen.join(", "));
    }
    if let Gives::Classes(_) = recipe.gives {
        add("`model.drop_path_rate`", text(&spec.model.drop_path_rate));
    }
    fingerprint
}
