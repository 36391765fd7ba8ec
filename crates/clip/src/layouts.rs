//! The published layouts of CLIP checkpoints as two-way tables over the names of [`Clip`].
//! Whether a file is safetensors or PyTorch's makes no difference.
//!
//! Sources: `huggingface/transformers:models/{siglip,clip}/modeling_*.py`;
//! `mlfoundations/open_clip:src/open_clip/{model,transformer}.py`; timm `vision_transformer.py`.
//!
//! [`Clip`]: crate::model::Clip

pub(crate) mod radio;
mod tao;

use hearth_data::transform::ResizeMode;
use hearth_weights::{KeyMap, Rule};

use crate::{radio::Adaptor, recipe::Recipe, registry::Family};

/// All layouts that are read; one that asks for more names stands before one that asks for less.
pub fn all() -> Vec<KeyMap> {
    let mut all = vec![transformers_siglip(), transformers_clip(), open_clip_timm(), open_clip()];
    all.extend(tao::all());
    all
}

/// Files that hold the text tower of an adaptor's teacher, alone or beside others.
pub fn text_towers(adaptor: Adaptor) -> Vec<KeyMap> {
    match adaptor {
        Adaptor::SigLip => {
            let [transformers, _] = radio::text("text_model.");
            vec![transformers, open_clip_timm()]
        }
        Adaptor::Clip => {
            let [_, open_clip] = radio::text("");
            let [_, custom] = radio::text("text.");
            vec![open_clip, custom, transformers_clip()]
        }
    }
}

/// The layout in which models of a family are saved: that of its public checkpoints, for C-RADIO that
/// of TAO's.
pub(crate) fn public(recipe: &Recipe) -> KeyMap {
    let flexible = matches!(recipe.picture.resize, ResizeMode::PatchBudget { .. });
    match (recipe.family(), &recipe.radio) {
        (_, Some(numbers)) => radio::whole(numbers),
        (Family::SigLip2, None) => transformers_siglip(),
        _ if flexible => transformers_siglip(),
        _ => open_clip(),
    }
}

/// `SiglipModel` of transformers, also for SigLIP2 at fixed resolution.
pub fn transformers_siglip() -> KeyMap {
    let vision = "vision_model";
    let mut rules = vec![
        same("logit_scale", "logit_scale"),
        same("logit_bias", "logit_bias"),
        same("visual.patch_embed.proj.{..}", "vision_model.embeddings.patch_embedding.{..}"),
        same("visual.pos_embed", "vision_model.embeddings.position_embedding.weight").rank(2),
        same("visual.norm.{..}", "vision_model.post_layernorm.{..}"),
        same("visual.attn_pool.latent", "vision_model.head.probe"),
        same("visual.attn_pool.qkv.{}", "vision_model.head.attention.in_proj_{}"),
        same("visual.attn_pool.proj.{..}", "vision_model.head.attention.out_proj.{..}"),
        same("visual.attn_pool.norm.{..}", "vision_model.head.layernorm.{..}"),
        same("visual.attn_pool.mlp.{..}", "vision_model.head.mlp.{..}"),
        same("text.head.{..}", "text_model.head.{..}"),
    ];
    rules.extend(transformers_blocks("visual", vision));
    rules.extend(transformers_text());
    KeyMap {
        name: "transformers SiglipModel".to_owned(),
        rules,
        ignored: transformers_position_ids(),
        recognised_by: names(&["vision_model.head.probe", "text_model.head.weight"]),
    }
}

/// `CLIPModel` of transformers.
pub fn transformers_clip() -> KeyMap {
    let mut rules = vec![
        same("logit_scale", "logit_scale").rank(0),
        same("visual.cls_token", "vision_model.embeddings.class_embedding").rank(1),
        same("visual.patch_embed.proj.{..}", "vision_model.embeddings.patch_embedding.{..}"),
        same("visual.pos_embed", "vision_model.embeddings.position_embedding.weight").rank(2),
        // The name is misspelled in the checkpoints.
        same("visual.norm_pre.{..}", "vision_model.pre_layrnorm.{..}"),
        same("visual.norm.{..}", "vision_model.post_layernorm.{..}"),
        same("visual.head.weight", "visual_projection.weight"),
        same("text.head.weight", "text_projection.weight"),
    ];
    rules.extend(transformers_blocks("visual", "vision_model"));
    rules.extend(transformers_text());
    KeyMap {
        name: "transformers CLIPModel".to_owned(),
        rules,
        ignored: transformers_position_ids(),
        recognised_by: names(&["visual_projection.weight", "text_projection.weight"]),
    }
}

/// `CLIP` of open_clip: the text tower's names stand at the root.
pub fn open_clip() -> KeyMap {
    let mut rules = vec![
        same("logit_scale", "logit_scale").rank(0),
        same("logit_bias", "logit_bias").rank(0),
        same("visual.cls_token", "visual.class_embedding").rank(1),
        same("visual.patch_embed.proj.{..}", "visual.conv1.{..}"),
        same("visual.pos_embed", "visual.positional_embedding").rank(2),
        same("visual.norm_pre.{..}", "visual.ln_pre.{..}"),
        same("visual.norm.{..}", "visual.ln_post.{..}"),
        Rule::transposed("visual.head.weight", "visual.proj"),
        same("text.token_embedding.weight", "token_embedding.weight"),
        same("text.positional_embedding", "positional_embedding"),
        same("text.norm.{..}", "ln_final.{..}"),
        Rule::transposed("text.head.weight", "text_projection"),
    ];
    rules.extend(open_clip_blocks("visual.blocks", "visual.transformer.resblocks"));
    rules.extend(open_clip_blocks("text.blocks", "transformer.resblocks"));
    KeyMap {
        name: "open_clip CLIP".to_owned(),
        rules,
        // OpenAI's archives carry their sizes as tensors, and masks as attributes.
        ignored: names(&[
            "attn_mask",
            "transformer.resblocks.{}.attn_mask",
            "input_resolution",
            "context_length",
            "vocab_size",
        ]),
        recognised_by: names(&["visual.conv1.weight", "text_projection"]),
    }
}

/// `CustomTextCLIP` of open_clip with a timm tower: SigLIP2 as `timm/ViT-*-SigLIP2-*` publishes it.
pub fn open_clip_timm() -> KeyMap {
    let mut rules = vec![
        same("logit_scale", "logit_scale").rank(0),
        same("logit_bias", "logit_bias").rank(0),
        same("visual.patch_embed.{..}", "visual.trunk.patch_embed.{..}"),
        same("visual.pos_embed", "visual.trunk.pos_embed"),
        same("visual.blocks.{..}", "visual.trunk.blocks.{..}"),
        same("visual.norm.{..}", "visual.trunk.norm.{..}"),
        same("visual.attn_pool.latent", "visual.trunk.attn_pool.latent"),
        same("visual.attn_pool.proj.{..}", "visual.trunk.attn_pool.proj.{..}"),
        same("visual.attn_pool.norm.{..}", "visual.trunk.attn_pool.norm.{..}"),
        same("visual.attn_pool.mlp.{..}", "visual.trunk.attn_pool.mlp.{..}"),
        same("text.token_embedding.weight", "text.token_embedding.weight"),
        same("text.positional_embedding", "text.positional_embedding"),
        same("text.norm.{..}", "text.ln_final.{..}"),
        same("text.head.{..}", "text.text_projection.{..}"),
    ];
    for kind in ["weight", "bias"] {
        let [ours, q, kv] = [("visual", "qkv"), ("visual.trunk", "q"), ("visual.trunk", "kv")]
            .map(|(tower, part)| format!("{tower}.attn_pool.{part}.{kind}"));
        rules.push(Rule::split_parts(ours, &[(&q, 1), (&kv, 2)]));
    }
    rules.extend(open_clip_blocks("text.blocks", "text.transformer.resblocks"));
    KeyMap {
        name: "open_clip CustomTextCLIP with a timm tower".to_owned(),
        rules,
        ignored: Vec::new(),
        recognised_by: names(&["visual.trunk.attn_pool.latent", "text.text_projection.weight"]),
    }
}

/// Blocks of a transformers tower: queries, keys and values are three layers.
fn transformers_blocks(ours: &str, theirs: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (our_layer, their_layer) in [
        ("norm1", "layer_norm1"),
        ("norm2", "layer_norm2"),
        ("attn.proj", "self_attn.out_proj"),
        ("mlp.fc1", "mlp.fc1"),
        ("mlp.fc2", "mlp.fc2"),
    ] {
        rules.push(same(
            &format!("{ours}.blocks.{{}}.{our_layer}.{{..}}"),
            &format!("{theirs}.encoder.layers.{{}}.{their_layer}.{{..}}"),
        ));
    }
    let parts = ["q", "k", "v"]
        .map(|part| format!("{theirs}.encoder.layers.{{}}.self_attn.{part}_proj.{{..}}"));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    rules.push(Rule::split(format!("{ours}.blocks.{{}}.attn.qkv.{{..}}"), &parts));
    rules
}

/// What the text towers of both transformers models share, blocks included.
fn transformers_text() -> Vec<Rule> {
    let mut rules = vec![
        same("text.token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
        same("text.positional_embedding", "text_model.embeddings.position_embedding.weight"),
        same("text.norm.{..}", "text_model.final_layer_norm.{..}"),
    ];
    rules.extend(transformers_blocks("text", "text_model"));
    rules
}

/// Blocks of an open_clip tower.
fn open_clip_blocks(ours: &str, theirs: &str) -> Vec<Rule> {
    [
        ("norm1.{..}", "ln_1.{..}"),
        ("norm2.{..}", "ln_2.{..}"),
        ("attn.qkv.{}", "attn.in_proj_{}"),
        ("attn.proj.{..}", "attn.out_proj.{..}"),
        ("mlp.fc1.{..}", "mlp.c_fc.{..}"),
        ("mlp.fc2.{..}", "mlp.c_proj.{..}"),
    ]
    .map(|(our_layer, their_layer)| {
        same(&format!("{ours}.{{}}.{our_layer}"), &format!("{theirs}.{{}}.{their_layer}"))
    })
    .into()
}

/// Buffers that older files carry.
fn transformers_position_ids() -> Vec<String> {
    names(&["vision_model.embeddings.position_ids", "text_model.embeddings.position_ids"])
}

fn same(ours: &str, theirs: &str) -> Rule {
    Rule::same(ours, theirs)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
