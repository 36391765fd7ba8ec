//! Layouts of C-RADIO models: the hub's files, those of TAO and ours, and text towers of their own.
//!
//! Sources: `NVlabs/RADIO:hubconf.py`, `radio/hf_model.py`; TAO's `multimodal/clip/model/radio_clip.py`.

use hearth_weights::{KeyMap, Rule};

use super::{names, open_clip_blocks, same, transformers_blocks};
use crate::radio::{Adaptor, Container, RadioNumbers};

/// The whole model as TAO's checkpoints keep it, and ours.
pub(crate) fn whole(numbers: &RadioNumbers) -> KeyMap {
    from(&Container::tao(numbers), numbers.adaptor)
}

/// The whole model, from a file that holds the text tower too.
pub(crate) fn from(container: &Container, adaptor: Adaptor) -> KeyMap {
    let mut map = vision(container);
    map.name = "Radio-CLIP".to_owned();
    map.rules.extend([
        same("logit_scale", "logit_scale").rank(0),
        same("logit_bias", "logit_bias").rank(0),
    ]);
    let towers = text(&container.text);
    let tower = match adaptor {
        Adaptor::SigLip => towers.into_iter().next(),
        Adaptor::Clip => towers.into_iter().nth(1),
    };
    map.rules.extend(tower.expect("one table for each kind of tower").rules);
    map
}

/// The backbone and the head of one teacher.
pub(crate) fn vision(container: &Container) -> KeyMap {
    let Container { trunk, head, layer_scale, .. } = container;
    let mut rules = vec![
        same("visual.trunk.patch_generator.{..}", &format!("{trunk}patch_generator.{{..}}")),
        same("visual.head.fc1.{..}", &format!("{head}fc1.{{..}}")),
        same("visual.head.blocks.{}.norm.{..}", &format!("{head}blocks.{{}}.0.{{..}}")),
        same("visual.head.blocks.{}.linear.{..}", &format!("{head}blocks.{{}}.2.{{..}}")),
        same("visual.head.out.norm.{..}", &format!("{head}final.0.{{..}}")),
        same("visual.head.out.linear.{..}", &format!("{head}final.2.{{..}}")),
        same("visual.head.norm.{..}", &format!("{head}norm.{{..}}")),
        same("visual.head.fc2.{..}", &format!("{head}fc2.{{..}}")),
    ];
    for layer in ["norm1", "attn", "norm2", "mlp"] {
        rules.push(same(
            &format!("visual.trunk.blocks.{{}}.{layer}.{{..}}"),
            &format!("{trunk}blocks.{{}}.{layer}.{{..}}"),
        ));
    }
    for layer in ["ls1", "ls2"] {
        rules.push(same(
            &format!("visual.trunk.blocks.{{}}.{layer}.gamma"),
            &format!("{trunk}blocks.{{}}.{layer}.{layer_scale}"),
        ));
    }
    KeyMap {
        name: "C-RADIO".to_owned(),
        rules,
        ignored: names(&[
            // Left over from the architecture RADIO was built on; its own registers are in the prefix.
            &format!("{trunk}reg_token"),
            // Read on their own, or follow from the teachers.
            "input_conditioner.{..}",
            "radio_model.input_conditioner.{..}",
            "radio_model.summary_idxs",
        ]),
        recognised_by: vec![format!("{trunk}patch_generator.embedder.weight")],
    }
}

/// What such a file holds besides: other teachers, features of patches, copies under other names.
pub(crate) fn other_teachers() -> Vec<String> {
    names(&[
        "_heads.{..}",
        "_feature_projections.{..}",
        "_feature_normalizer.{..}",
        "_intermediate_feature_normalizer.{..}",
        "radio_model.adaptors.{..}",
        "radio_model.feature_normalizer.{..}",
        "adaptor.{..}",
    ])
}

/// Text towers whose names begin with `prefix`: of transformers, of open_clip.
pub(crate) fn text(prefix: &str) -> [KeyMap; 2] {
    let table = |rows: &[(&str, &str)]| -> Vec<Rule> {
        let rule = |(ours, theirs): &(&str, &str)| {
            same(&format!("text.{ours}"), &format!("{prefix}{theirs}"))
        };
        rows.iter().map(rule).collect()
    };
    let mut transformers = table(&[
        ("token_embedding.weight", "embeddings.token_embedding.weight"),
        ("positional_embedding", "embeddings.position_embedding.weight"),
        ("norm.{..}", "final_layer_norm.{..}"),
        ("head.{..}", "head.{..}"),
    ]);
    transformers.extend(transformers_blocks("text", prefix.trim_end_matches('.')));
    let mut open_clip = table(&[
        ("token_embedding.weight", "token_embedding.weight"),
        ("positional_embedding", "positional_embedding"),
        ("norm.{..}", "ln_final.{..}"),
    ]);
    open_clip.push(Rule::transposed("text.head.weight", format!("{prefix}text_projection")));
    open_clip.extend(open_clip_blocks("text.blocks", &format!("{prefix}transformer.resblocks")));
    let map = |name: &str, rules, telling: [&str; 2]| KeyMap {
        name: name.to_owned(),
        rules,
        ignored: vec![format!("{prefix}embeddings.position_ids"), format!("{prefix}attn_mask")],
        recognised_by: telling.map(|name| format!("{prefix}{name}")).into(),
    };
    [
        map("transformers text tower", transformers, ["final_layer_norm.weight", "head.weight"]),
        map("open_clip text tower", open_clip, ["ln_final.weight", "text_projection"]),
    ]
}

/// Parts of a text tower's file that are not the text tower.
pub(crate) fn other_towers() -> Vec<String> {
    names(&["vision_model.{..}", "visual.{..}", "logit_scale", "logit_bias"])
}
