//! ViT: Meta's names, which are timm's and TAO's, and those of transformers.

use hearth_weights::Rule;

use super::{Dialect, names, table};
use crate::arch::Family;

/// How transformers names blocks and their layers.
struct Blocks {
    /// Those of an encoder.
    list: &'static str,
    /// Those of a decoder.
    decoder: &'static str,
    /// Queries, keys and values.
    parts: [&'static str; 3],
    rows: [(&'static str, &'static str); 5],
}

const SINCE_5: Blocks = Blocks {
    list: "layers",
    decoder: "decoder.decoder_layers",
    parts: ["attention.q_proj", "attention.k_proj", "attention.v_proj"],
    rows: [
        ("norm1.{..}", "layernorm_before.{..}"),
        ("norm2.{..}", "layernorm_after.{..}"),
        ("attn.proj.{..}", "attention.o_proj.{..}"),
        ("mlp.fc1.{..}", "mlp.fc1.{..}"),
        ("mlp.fc2.{..}", "mlp.fc2.{..}"),
    ],
};
const BEFORE_5: Blocks = Blocks {
    list: "encoder.layer",
    decoder: "decoder.decoder_layers",
    parts: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
    rows: [
        ("norm1.{..}", "layernorm_before.{..}"),
        ("norm2.{..}", "layernorm_after.{..}"),
        ("attn.proj.{..}", "attention.output.dense.{..}"),
        ("mlp.fc1.{..}", "intermediate.dense.{..}"),
        ("mlp.fc2.{..}", "output.dense.{..}"),
    ],
};

/// Version 5.23 turns its names into the old ones when it saves, those of the decoder into others.
const SAVED_BY_5: Blocks = Blocks { decoder: "decoder.decoder_encoder.layer", ..BEFORE_5 };

pub(super) fn all() -> Vec<Dialect> {
    let mut saved = transformers("transformers ViTMAE, saved by 5", &SAVED_BY_5, "vit.");
    saved.telling.push(format!("{}.{{}}.layernorm_before.weight", SAVED_BY_5.decoder));
    let transformers =
        |name: &str, blocks: &Blocks| ["vit.", ""].map(|base| transformers(name, blocks, base));
    let since = transformers("transformers ViTMAE", &SINCE_5);
    let before = transformers("transformers ViTMAE before 5", &BEFORE_5);
    [meta(), saved].into_iter().chain(since).chain(before).collect()
}

/// The names of Meta, timm and TAO.
pub(super) fn meta() -> Dialect {
    let same = |ours: &str, rows: &[&str]| -> Vec<Rule> {
        rows.iter().map(|row| Rule::same(format!("{ours}{row}"), *row)).collect()
    };
    let mut decoder = same(
        "",
        &[
            "mask_token",
            "decoder_embed.{..}",
            "decoder_pos_embed",
            "decoder_blocks.{..}",
            "decoder_norm.{..}",
            "decoder_pred.{..}",
        ],
    );
    decoder.extend(same("encoder.", &["norm.{..}"]));
    Dialect {
        name: "ViT of MAE".to_owned(),
        family: Family::Vit,
        telling: names("", &["cls_token", "blocks.{}.attn.qkv.weight"]),
        encoder: same("encoder.", &["patch_embed.{..}", "cls_token", "pos_embed", "blocks.{..}"]),
        decoder,
        mean_norm: "fc_norm".to_owned(),
        site_norm: Some("norm".to_owned()),
        head: "head".to_owned(),
    }
}

/// `base` is what stands before the names of the encoder in models that have more.
fn transformers(name: &str, blocks: &Blocks, base: &str) -> Dialect {
    let mut encoder = table(
        "encoder.",
        &format!("{base}embeddings."),
        &[
            ("cls_token", "cls_token"),
            ("pos_embed", "position_embeddings"),
            ("patch_embed.proj.{..}", "patch_embeddings.projection.{..}"),
        ],
    );
    let list = format!("{base}{}", blocks.list);
    encoder.extend(blocks.rules("encoder.blocks", &list));
    let mut decoder = table(
        "",
        "decoder.",
        &[
            ("mask_token", "mask_token"),
            ("decoder_embed.{..}", "decoder_embed.{..}"),
            ("decoder_pos_embed", "decoder_pos_embed"),
            ("decoder_norm.{..}", "decoder_norm.{..}"),
            ("decoder_pred.{..}", "decoder_pred.{..}"),
        ],
    );
    decoder.extend(blocks.rules("decoder_blocks", blocks.decoder));
    decoder.extend(table("encoder.", base, &[("norm.{..}", "layernorm.{..}")]));
    let telling =
        [format!("{base}embeddings.cls_token"), format!("{list}.{{}}.{}.weight", blocks.parts[0])];
    let shown = if base.is_empty() { ", an encoder" } else { "" };
    Dialect {
        name: format!("{name}{shown}"),
        family: Family::Vit,
        telling: telling.into(),
        encoder,
        decoder,
        // No model of transformers has one.
        mean_norm: "fc_norm".to_owned(),
        site_norm: Some(format!("{base}layernorm")),
        head: "classifier".to_owned(),
    }
}

impl Blocks {
    fn rules(&self, ours: &str, theirs: &str) -> Vec<Rule> {
        let mut rules = table(&format!("{ours}.{{}}."), &format!("{theirs}.{{}}."), &self.rows);
        let parts = self.parts.map(|part| format!("{theirs}.{{}}.{part}.{{..}}"));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        rules.push(Rule::split(format!("{ours}.{{}}.attn.qkv.{{..}}"), &parts));
        rules
    }
}
