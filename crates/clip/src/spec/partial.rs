//! What must hold between the keys that decide what is trained and which losses are added.

use hearth_spec::Checks;

use super::{ClipSpec, TowerAdaptation, TowerPeftSpec};
use crate::peft::TARGETS;

/// Said where neither tower is trained.
const CALIBRATION_ONLY: &str =
    "both towers are frozen: only the logit scale and the logit bias are trained";

/// Rules of `peft`, `model.freeze_*`, `regularization` and the triplet loss.
pub(super) fn check(checks: &mut Checks<'_>, spec: &ClipSpec) {
    if spec.peft.enabled {
        peft(checks, spec);
    } else if spec.model.freeze_vision_encoder && spec.model.freeze_text_encoder {
        checks.warn("model.freeze_text_encoder", CALIBRATION_ONLY);
    }
    adapters(checks, spec);
    regularization(checks, spec);
    let pairs = spec.dataset.train.batch_size * spec.train.common.num_devices();
    if spec.train.triplet_loss_weight > 0.0 && pairs < 2 {
        let found = format!("{} with a batch of one pair", spec.train.triplet_loss_weight);
        checks.error("train.triplet_loss_weight", found, "two pairs that can be compared");
    }
}

fn peft(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let peft = &spec.peft;
    for (name, tower, frozen) in [
        ("vision", &peft.vision, spec.model.freeze_vision_encoder),
        ("text", &peft.text, spec.model.freeze_text_encoder),
    ] {
        if frozen && tower.mode != TowerAdaptation::Frozen {
            let key = format!("model.freeze_{name}_encoder");
            let needed = format!("false with `peft.{name}.mode: {}`", tower.mode);
            checks.error(&key, "true", needed).hint("`peft` alone says what is trained");
        }
        if tower.mode == TowerAdaptation::Lora {
            lora(checks, &format!("peft.{name}"), tower);
        }
    }
    if [&peft.vision, &peft.text].iter().all(|tower| tower.mode == TowerAdaptation::Frozen) {
        if peft.train_logit_calibration {
            checks
                .warn("peft.enabled", CALIBRATION_ONLY)
                .hint("set `peft.vision.mode` or `peft.text.mode` to lora or full");
        } else {
            checks
                .refuse(
                    "peft.enabled",
                    "nothing is trained: both towers and the calibration are frozen",
                )
                .hint("set `peft.vision.mode` or `peft.text.mode` to lora or full");
        }
    }
}

fn lora(checks: &mut Checks<'_>, block: &str, tower: &TowerPeftSpec) {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    let key = format!("{block}.target_modules");
    if tower.target_modules.is_empty() {
        checks.error(&key, "an empty list", format!("some of {}", names.join(", ")));
    }
    for (at, module) in tower.target_modules.iter().enumerate() {
        let key = format!("{key}[{at}]");
        let Some((_, target)) = TARGETS.iter().find(|(name, _)| name == module) else {
            checks
                .error(&key, format!("`{module}`"), format!("one of {}", names.join(", ")))
                .suggest(module, &names);
            continue;
        };
        let before = &tower.target_modules[..at];
        let same = TARGETS
            .iter()
            .find(|(name, other)| other == target && before.iter().any(|known| known == name));
        if let Some((same, _)) = same {
            checks.error(
                &key,
                format!("`{module}`, the same layer as `{same}`"),
                "each layer once",
            );
        }
        let third =
            before.iter().find(|known| ["q_proj", "k_proj", "v_proj"].contains(&known.as_str()));
        let whole = before.iter().any(|known| known == "qkv");
        match third {
            Some(third) if module == "qkv" => {
                checks.error(&key, format!("`qkv` beside `{third}`"), "each layer once");
            }
            _ if whole && ["q_proj", "k_proj", "v_proj"].contains(&module.as_str()) => {
                checks.error(&key, format!("`{module}` beside `qkv`"), "each layer once");
            }
            _ => {}
        }
    }
    if tower.dropout >= 1.0 {
        let needed = "less than 1, at which nothing is left to learn from";
        checks.error(&format!("{block}.dropout"), tower.dropout, needed);
    }
}

fn adapters(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let towers = [&spec.peft.vision, &spec.peft.text];
    let lora = spec.peft.enabled && towers.iter().any(|tower| tower.mode == TowerAdaptation::Lora);
    if lora && spec.train.pretrained_model_path.is_none() {
        checks
            .warn(
                "peft.enabled",
                "no pretrained weights: what is added stands beside random weights",
            )
            .hint("name weights with `train.pretrained_model_path`");
    }
    if spec.hearth.train.save_adapters && !lora {
        let needed = "`peft.enabled: true` and a tower with `mode: lora`";
        checks.error("hearth.train.save_adapters", "true", needed);
    }
}

fn regularization(checks: &mut Checks<'_>, spec: &ClipSpec) {
    let regularization = &spec.regularization;
    if !regularization.enabled {
        return;
    }
    let weights = [
        regularization.embedding_mse_weight,
        regularization.cosine_weight,
        regularization.similarity_weight,
    ];
    if weights.iter().all(|weight| *weight == 0.0) {
        checks.warn("regularization.enabled", "no effect: its three weights are 0");
    }
    if spec.train.pretrained_model_path.is_none() {
        checks
            .warn(
                "regularization.enabled",
                "no pretrained weights: the model is held near random weights",
            )
            .hint("name weights with `train.pretrained_model_path`");
    }
}
