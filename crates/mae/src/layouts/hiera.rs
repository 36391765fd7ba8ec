//! Hiera: Meta's names, those of timm and TAO, which differ in the head, and those of transformers, which
//! count the blocks of every stage for themselves.

use hearth_weights::{Rule, WeightsFile};

use super::{Dialect, names, table};
use crate::arch::Family;

/// The stages of transformers.
const STAGES: &str = "encoder.stages.";
/// More blocks are not looked for; the largest stage of the published models has 36.
const MAX_DEPTH: usize = 100;

pub(super) fn all(depths: [usize; 4]) -> Vec<Dialect> {
    vec![tao(), meta(), transformers(depths, "hiera."), transformers(depths, "")]
}

/// The names of TAO, which are timm's, and for an autoencoder Meta's.
pub(super) fn tao() -> Dialect {
    let mut telling = telling();
    telling.push("head.norm.weight".to_owned());
    Dialect {
        name: "Hiera of timm".to_owned(),
        telling,
        mean_norm: "head.norm".to_owned(),
        head: "head.fc".to_owned(),
        ..meta()
    }
}

fn telling() -> Vec<String> {
    names("", &["pos_embed", "blocks.{}.attn.qkv.weight", "blocks.{}.proj.weight"])
}

/// The names of Meta.
fn meta() -> Dialect {
    let same = |ours: &str, rows: &[&str]| -> Vec<Rule> {
        rows.iter().map(|row| Rule::same(format!("{ours}{row}"), *row)).collect()
    };
    Dialect {
        name: "Hiera of Meta".to_owned(),
        family: Family::Hiera,
        telling: telling(),
        encoder: same("encoder.", &["patch_embed.{..}", "pos_embed", "blocks.{..}"]),
        decoder: same(
            "",
            &[
                "multi_scale_fusion_heads.{..}",
                "encoder_norm.{..}",
                "mask_token",
                "decoder_embed.{..}",
                "decoder_pos_embed",
                "decoder_blocks.{..}",
                "decoder_norm.{..}",
                "decoder_pred.{..}",
            ],
        ),
        mean_norm: "norm".to_owned(),
        site_norm: None,
        head: "head.projection".to_owned(),
    }
}

/// `base` is what stands before the names of the encoder in models that have more.
fn transformers(depths: [usize; 4], base: &str) -> Dialect {
    let mut encoder = table(
        "encoder.",
        &format!("{base}embeddings."),
        &[
            ("pos_embed", "position_embeddings"),
            ("patch_embed.proj.{..}", "patch_embeddings.projection.{..}"),
        ],
    );
    let places =
        depths.into_iter().enumerate().flat_map(|(s, depth)| (0..depth).map(move |j| (s, j)));
    for (block, (stage, place)) in places.enumerate() {
        let theirs = format!("{base}{STAGES}{stage}.layers.{place}");
        encoder.extend(block_rules(&format!("encoder.blocks.{block}"), &theirs));
    }
    let mut decoder = table(
        "",
        "decoder.",
        &[
            ("mask_token", "mask_token"),
            ("decoder_embed.{..}", "decoder_embeddings.{..}"),
            ("decoder_pos_embed", "decoder_position_embeddings"),
            ("decoder_norm.{..}", "decoder_norm.{..}"),
            ("decoder_pred.{..}", "decoder_pred.{..}"),
        ],
    );
    decoder.extend(block_rules("decoder_blocks.{}", "decoder.decoder_block.layers.{}"));
    let heads = "multi_scale_fusion_heads.{..}";
    decoder.push(Rule::same(heads, format!("multiscale_fusion.{heads}")));
    decoder.extend(table("", "", &[("encoder_norm.{..}", "encoder_norm.{..}")]));
    let shown = if base.is_empty() { ", an encoder" } else { "" };
    Dialect {
        name: format!("transformers Hiera{shown}"),
        family: Family::Hiera,
        telling: names(
            base,
            &["embeddings.position_embeddings", "encoder.stages.{}.layers.{}.attn.qkv.weight"],
        ),
        encoder,
        decoder,
        mean_norm: format!("{base}pooler.layernorm"),
        site_norm: None,
        head: "classifier".to_owned(),
    }
}

fn block_rules(ours: &str, theirs: &str) -> Vec<Rule> {
    let rows = [
        ("norm1.{..}", "layernorm_before.{..}"),
        ("norm2.{..}", "layernorm_after.{..}"),
        ("attn.{..}", "attn.{..}"),
        ("mlp.{..}", "mlp.{..}"),
        ("proj.{..}", "proj.{..}"),
    ];
    table(&format!("{ours}."), &format!("{theirs}."), &rows)
}

/// Blocks of every stage of a file that has the names of transformers.
pub(super) fn depths(file: &WeightsFile) -> [usize; 4] {
    let mut depths = [0; 4];
    for name in file.names() {
        let Some((_, place)) = name.split_once(STAGES) else { continue };
        let mut parts = place.split('.');
        let (stage, list, block) = (parts.next(), parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<usize>().ok());
        if let (Some(stage @ 0..4), Some("layers"), Some(block)) =
            (number(stage), list, number(block))
        {
            depths[stage] = depths[stage].max(block.saturating_add(1)).min(MAX_DEPTH);
        }
    }
    depths
}
