//! The published layouts of checkpoints as two-way tables over the names of the models.
//!
//! Sources: `facebookresearch/{mae,ConvNeXt-V2,hiera}`, whose names TAO writes too;
//! `huggingface/transformers:models/{vit_mae,convnextv2,hiera}`.

use hearth_weights::{KeyMap, Rule};

use crate::arch::Kind;

/// The names of Meta's and TAO's files of an autoencoder.
pub fn autoencoder(kind: Kind) -> KeyMap {
    let mut rules = vec![same("mask_token", "mask_token")];
    let (name, telling) = match kind {
        Kind::ConvNext(..) => {
            rules.extend(["proj.{..}", "pred.{..}"].map(|name| same(name, name)));
            rules.extend(convnext("encoder."));
            rules.extend(convnext_block("decoder.{}", "decoder.{}"));
            ("FCMAE", "encoder.stages.0.0.grn.gamma")
        }
        Kind::Hiera(..) => {
            rules.extend(hiera());
            rules.extend(decoder());
            let own = ["multi_scale_fusion_heads.{..}", "encoder_norm.{..}"];
            rules.extend(own.map(|name| same(name, name)));
            ("MAE of Hiera", "multi_scale_fusion_heads.0.weight")
        }
        Kind::Vit(..) => {
            rules.extend(vit());
            rules.extend(decoder());
            rules.push(same("encoder.norm.{..}", "norm.{..}"));
            ("MAE of ViT", "decoder_pos_embed")
        }
    };
    layout(name, rules, telling)
}

/// The names of Meta's and TAO's files of a classifier.
pub fn classifier(kind: Kind) -> KeyMap {
    let (name, rules, telling) = match kind {
        Kind::ConvNext(..) => {
            let mut rules = convnext("");
            rules.extend(["norm.{..}", "head.{..}"].map(|name| same(name, name)));
            ("ConvNeXt V2", rules, "stages.0.0.grn.gamma")
        }
        Kind::Hiera(..) => {
            let mut rules = hiera();
            rules.push(same("norm.{..}", "head.norm.{..}"));
            rules.push(same("head.{..}", "head.fc.{..}"));
            ("Hiera", rules, "head.fc.weight")
        }
        Kind::Vit(..) => {
            let mut rules = vit();
            rules.push(same("encoder.norm.{..}", "fc_norm.{..}"));
            rules.push(same("head.{..}", "head.{..}"));
            ("ViT", rules, "head.weight")
        }
    };
    layout(name, rules, telling)
}

/// An encoder of Hiera.
fn hiera() -> Vec<Rule> {
    under_encoder(&["patch_embed.{..}", "pos_embed", "blocks.{..}"])
}

/// An encoder of ViT without its norm.
fn vit() -> Vec<Rule> {
    under_encoder(&["patch_embed.{..}", "cls_token", "pos_embed", "blocks.{..}"])
}

fn under_encoder(names: &[&str]) -> Vec<Rule> {
    names.iter().map(|name| same(format!("encoder.{name}"), *name)).collect()
}

/// The transformer that predicts.
fn decoder() -> Vec<Rule> {
    let names = [
        "decoder_embed.{..}",
        "decoder_pos_embed",
        "decoder_blocks.{..}",
        "decoder_norm.{..}",
        "decoder_pred.{..}",
    ];
    names.map(|name| same(name, name)).into()
}

fn layout(name: &str, rules: Vec<Rule>, telling: &str) -> KeyMap {
    KeyMap {
        name: name.to_owned(),
        rules,
        ignored: Vec::new(),
        recognised_by: vec![telling.to_owned()],
    }
}

/// An encoder of ConvNeXt V2 whose names in the file have this prefix.
fn convnext(theirs: &str) -> Vec<Rule> {
    let rule = |a: String, b: String| same(format!("encoder.{a}"), format!("{theirs}{b}"));
    let mut rules = vec![
        rule("stem.proj.{..}".into(), "downsample_layers.0.0.{..}".into()),
        rule("stem.norm.{..}".into(), "downsample_layers.0.1.{..}".into()),
    ];
    for stage in 1..4 {
        let (a, b) = (format!("stages.{stage}.downsample"), format!("downsample_layers.{stage}"));
        rules.push(rule(format!("{a}.norm.{{..}}"), format!("{b}.0.{{..}}")));
        rules.push(rule(format!("{a}.proj.{{..}}"), format!("{b}.1.{{..}}")));
    }
    rules.extend(convnext_block(
        "encoder.stages.{}.blocks.{}",
        &format!("{theirs}stages.{{}}.{{}}"),
    ));
    rules
}

fn convnext_block(ours: &str, theirs: &str) -> Vec<Rule> {
    let rule = |a: &str, b: &str| same(format!("{ours}.{a}"), format!("{theirs}.{b}"));
    vec![
        rule("conv_dw.{..}", "dwconv.{..}"),
        rule("norm.{..}", "norm.{..}"),
        rule("mlp.fc1.{..}", "pwconv1.{..}"),
        rule("mlp.grn.{..}", "grn.{..}").rank(4),
        rule("mlp.fc2.{..}", "pwconv2.{..}"),
    ]
}

fn same(ours: impl Into<String>, theirs: impl Into<String>) -> Rule {
    Rule::same(ours, theirs)
}
