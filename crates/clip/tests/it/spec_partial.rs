//! Rules between the keys of `peft`, `regularization` and the triplet loss.

use insta::assert_snapshot;

use super::spec_mistakes::{evaluate, inference, train};

const PRETRAINED: &str = "train.pretrained_model_path=/w.safetensors";

/// What a training with adapters in the vision tower gets with some overrides.
fn lora(overrides: &[&str]) -> String {
    let on = [PRETRAINED, "peft.enabled=true", "peft.vision.mode=lora"];
    train(&[&on[..], overrides].concat())
}

#[test]
fn what_a_tower_can_be() {
    assert_eq!(lora(&[]), "");
    assert_eq!(lora(&["peft.vision.mode=full", "peft.text.mode=lora"]), "");
    assert_eq!(lora(&["peft.vision.num_last_blocks=0", "peft.vision.dropout=0"]), "");
    assert_eq!(lora(&["peft.vision.target_modules=[qkv,proj,fc1,fc2]"]), "");
    assert_eq!(lora(&["peft.train_logit_calibration=false"]), "");
    assert_snapshot!(lora(&["peft.text.mode=legacy"]), @"error: override `peft.text.mode=legacy`: found `legacy`, needed `frozen`, `full` or `lora`");
    assert_snapshot!(lora(&["peft.method=adalora"]), @"error: override `peft.method=adalora`: found `adalora`, needed `lora`");
}

#[test]
fn something_has_to_be_trained() {
    let frozen = "peft.vision.mode=frozen";
    assert_snapshot!(lora(&[frozen]), @"
    warning: override `peft.enabled=true`: both towers are frozen: only the logit scale and the logit bias are trained
      = hint: set `peft.vision.mode` or `peft.text.mode` to lora or full
    ");
    assert_snapshot!(lora(&[frozen, "peft.train_logit_calibration=false"]), @"
    error: override `peft.enabled=true`: nothing is trained: both towers and the calibration are frozen
      = hint: set `peft.vision.mode` or `peft.text.mode` to lora or full
    ");
    assert_snapshot!(lora(&["model.freeze_vision_encoder=true"]), @"
    error: override `model.freeze_vision_encoder=true`: found true, needed false with `peft.vision.mode: lora`
      = hint: `peft` alone says what is trained
    ");
    assert_eq!(lora(&["model.freeze_text_encoder=true"]), "");
    assert_snapshot!(train(&["model.freeze_vision_encoder=true", "model.freeze_text_encoder=true"]), @"warning: override `model.freeze_text_encoder=true`: both towers are frozen: only the logit scale and the logit bias are trained");
}

#[test]
fn layers_are_known_and_named_once() {
    let target = |modules: &str| lora(&[&format!("peft.vision.target_modules={modules}")]);
    assert_snapshot!(target("[q_prj, v_proj]"), @"
    error: override `peft.vision.target_modules=[q_prj, v_proj]`: `peft.vision.target_modules[0]`: found `q_prj`, needed one of q_proj, k_proj, v_proj, qkv, out_proj, proj, fc1, fc2
      = hint: did you mean `q_proj`?
    ");
    assert_snapshot!(target("[]"), @"error: override `peft.vision.target_modules=[]`: found an empty list, needed some of q_proj, k_proj, v_proj, qkv, out_proj, proj, fc1, fc2");
    assert_snapshot!(target("[proj, out_proj]"), @"error: override `peft.vision.target_modules=[proj, out_proj]`: `peft.vision.target_modules[1]`: found `out_proj`, the same layer as `proj`, needed each layer once");
    assert_snapshot!(target("[q_proj, q_proj]"), @"error: override `peft.vision.target_modules=[q_proj, q_proj]`: `peft.vision.target_modules[1]`: found `q_proj`, the same layer as `q_proj`, needed each layer once");
    assert_snapshot!(target("[v_proj, qkv]"), @"error: override `peft.vision.target_modules=[v_proj, qkv]`: `peft.vision.target_modules[1]`: found `qkv` beside `v_proj`, needed each layer once");
    assert_snapshot!(target("[qkv, k_proj]"), @"error: override `peft.vision.target_modules=[qkv, k_proj]`: `peft.vision.target_modules[1]`: found `k_proj` beside `qkv`, needed each layer once");
    // The text tower is frozen: what its block says has no effect.
    assert_eq!(lora(&["peft.text.target_modules=[nothing]", "peft.text.dropout=1"]), "");
}

#[test]
fn numbers_out_of_bounds() {
    assert_snapshot!(lora(&["peft.vision.dropout=1"]), @"error: override `peft.vision.dropout=1`: found 1, needed less than 1, at which nothing is left to learn from");
    assert_snapshot!(lora(&["peft.vision.rank=0", "peft.vision.alpha=0", "peft.vision.dropout=-0.1"]), @"
    error: override `peft.vision.rank=0`: found `0`, needed an integer of at least 1

    error: override `peft.vision.alpha=0`: found `0`, needed an integer of at least 1

    error: override `peft.vision.dropout=-0.1`: found `-0.1`, needed a number from 0 to 1
    ");
    assert_snapshot!(train(&["regularization.cosine_weight=-1", "train.triplet_margin=-1"]), @"
    error: override `regularization.cosine_weight=-1`: found `-1`, needed a number of at least 0

    error: override `train.triplet_margin=-1`: found `-1`, needed a number of at least 0
    ");
    assert_snapshot!(train(&["train.triplet_loss_weight=0.5", "dataset.train.batch_size=1"]), @"error: override `train.triplet_loss_weight=0.5`: found 0.5 with a batch of one pair, needed two pairs that can be compared");
    let two = ["train.triplet_loss_weight=0.5", "dataset.train.batch_size=1", "train.num_nodes=2"];
    assert_eq!(train(&two), "");
}

#[test]
fn added_parts_want_weights_to_start_from() {
    let on = ["peft.enabled=true", "peft.vision.mode=lora", "regularization.enabled=true"];
    assert_snapshot!(train(&on), @"
    warning: override `peft.enabled=true`: no pretrained weights: what is added stands beside random weights
      = hint: name weights with `train.pretrained_model_path`

    warning: override `regularization.enabled=true`: no pretrained weights: the model is held near random weights
      = hint: name weights with `train.pretrained_model_path`
    ");
    assert_eq!(lora(&["regularization.enabled=true"]), "");
    let weights = ["embedding_mse", "cosine", "similarity"]
        .map(|name| format!("regularization.{name}_weight=0"));
    let mut off: Vec<&str> = weights.iter().map(String::as_str).collect();
    off.push("regularization.enabled=true");
    assert_snapshot!(lora(&off), @"warning: override `regularization.enabled=true`: no effect: its three weights are 0");
}

#[test]
fn adapters_are_saved_where_there_are_some() {
    assert_eq!(lora(&["hearth.train.save_adapters=true"]), "");
    assert_snapshot!(train(&["hearth.train.save_adapters=true"]), @"error: override `hearth.train.save_adapters=true`: found true, needed `peft.enabled: true` and a tower with `mode: lora`");
}

#[test]
fn other_actions_read_merged_weights_and_none_of_this() {
    let on = ["peft.enabled=true", "peft.vision.mode=lora", "regularization.enabled=true"];
    assert_eq!(evaluate(&on), "");
    assert_eq!(inference(&on), "");
}
