//! ConvNeXt V2: Meta's names, which are TAO's, those of Meta's sparse layers, timm's and those of
//! transformers.

use hearth_weights::Rule;

use super::{Dialect, names, table};
use crate::arch::Family;

/// Blocks of an encoder, by our names.
const BLOCKS: &str = "encoder.stages.{}.blocks.{}.";
/// Dimensions of most tensors of `MinkowskiEngine`'s layers: a row for every site.
const ROWS: usize = 2;

pub(super) fn all() -> Vec<Dialect> {
    let meta = ["encoder.", ""].into_iter().flat_map(|prefix| [sparse(prefix), meta(prefix)]);
    meta.chain([timm()]).chain(["convnextv2.", ""].map(transformers)).collect()
}

/// The names of Meta and TAO. `prefix` stands before those of the encoder of an autoencoder.
pub(super) fn meta(prefix: &str) -> Dialect {
    let (ours, theirs) =
        ("encoder.stages.{}.downsample.", format!("{prefix}downsample_layers.{{}}."));
    let mut encoder = meta_stem(prefix);
    encoder.extend(table(ours, &theirs, &[("norm.{..}", "0.{..}"), ("proj.{..}", "1.{..}")]));
    encoder.extend(meta_block(BLOCKS, &format!("{prefix}stages.{{}}.{{}}.")));
    Dialect {
        name: if prefix.is_empty() { "ConvNeXt V2" } else { "FCMAE" }.to_owned(),
        family: Family::ConvNext,
        telling: names(prefix, &["downsample_layers.0.0.weight", "stages.{}.{}.grn.gamma"]),
        encoder,
        decoder: meta_decoder(),
        mean_norm: "norm".to_owned(),
        site_norm: None,
        head: "head".to_owned(),
    }
}

/// The names of Meta's training code, whose encoder is of `MinkowskiEngine`'s layers: kernels and biases
/// have rows, and what the layers hold stands one step deeper.
fn sparse(prefix: &str) -> Dialect {
    let (ours, theirs) =
        ("encoder.stages.{}.downsample.", format!("{prefix}downsample_layers.{{}}."));
    let mut encoder = meta_stem(prefix);
    encoder.extend(table(ours, &theirs, &[("norm.{..}", "0.ln.{..}")]));
    encoder.extend(rows(&format!("{ours}proj."), &format!("{theirs}1.")));

    let theirs = format!("{prefix}stages.{{}}.{{}}.");
    encoder.extend(rows(&format!("{BLOCKS}conv_dw."), &format!("{theirs}dwconv.")));
    let same = [
        ("norm.{..}", "norm.ln.{..}"),
        ("mlp.fc1.{..}", "pwconv1.linear.{..}"),
        ("mlp.fc2.{..}", "pwconv2.linear.{..}"),
    ];
    encoder.extend(table(BLOCKS, &theirs, &same));
    let response = table(BLOCKS, &theirs, &[("mlp.grn.{..}", "grn.{..}")]);
    encoder.extend(response.into_iter().map(|rule| rule.rank(ROWS)));
    Dialect {
        name: format!(
            "{} of sparse layers",
            if prefix.is_empty() { "ConvNeXt V2" } else { "FCMAE" }
        ),
        telling: names(prefix, &["downsample_layers.0.0.weight", "stages.{}.{}.dwconv.kernel"]),
        encoder,
        ..meta(prefix)
    }
}

/// Kernel and bias of a convolution over sites.
fn rows(ours: &str, theirs: &str) -> [Rule; 2] {
    let kernel = Rule::reversed(format!("{ours}weight"), format!("{theirs}kernel"), 2);
    // A depthwise kernel has no dimension for its one input.
    let kernel = if theirs.ends_with("dwconv.") { kernel.rank(ROWS) } else { kernel };
    [kernel, Rule::same(format!("{ours}bias"), format!("{theirs}bias")).rank(ROWS)]
}

fn meta_stem(prefix: &str) -> Vec<Rule> {
    let theirs = format!("{prefix}downsample_layers.0.");
    table("encoder.stem.", &theirs, &[("proj.{..}", "0.{..}"), ("norm.{..}", "1.{..}")])
}

fn meta_decoder() -> Vec<Rule> {
    let mut decoder = meta_block("decoder.{}.", "decoder.{}.");
    let same = ["mask_token", "proj.{..}", "pred.{..}"];
    decoder.extend(same.map(|name| Rule::same(name, name)));
    decoder
}

fn meta_block(ours: &str, theirs: &str) -> Vec<Rule> {
    let rows = [
        ("conv_dw.{..}", "dwconv.{..}"),
        ("norm.{..}", "norm.{..}"),
        ("mlp.fc1.{..}", "pwconv1.{..}"),
        ("mlp.fc2.{..}", "pwconv2.{..}"),
    ];
    let mut rules = table(ours, theirs, &rows);
    let response = table(ours, theirs, &[("mlp.grn.{..}", "grn.{..}")]);
    rules.extend(response.into_iter().map(|rule| rule.rank(4)));
    rules
}

/// The names of timm.
fn timm() -> Dialect {
    let stem = [("proj.{..}", "0.{..}"), ("norm.{..}", "1.{..}")];
    let downsample = [("norm.{..}", "0.{..}"), ("proj.{..}", "1.{..}")];
    let mut encoder = table("encoder.stem.", "stem.", &stem);
    encoder.extend(table("encoder.stages.{}.downsample.", "stages.{}.downsample.", &downsample));
    let rows = [
        ("conv_dw.{..}", "conv_dw.{..}"),
        ("norm.{..}", "norm.{..}"),
        ("mlp.fc1.{..}", "mlp.fc1.{..}"),
        ("mlp.grn.gamma", "mlp.grn.weight"),
        ("mlp.grn.beta", "mlp.grn.bias"),
        ("mlp.fc2.{..}", "mlp.fc2.{..}"),
    ];
    encoder.extend(table(BLOCKS, "stages.{}.blocks.{}.", &rows));
    Dialect {
        name: "ConvNeXt V2 of timm".to_owned(),
        family: Family::ConvNext,
        telling: names("", &["stem.0.weight", "stages.{}.blocks.{}.mlp.grn.weight"]),
        encoder,
        decoder: Vec::new(),
        mean_norm: "head.norm".to_owned(),
        site_norm: None,
        head: "head.fc".to_owned(),
    }
}

/// `base` is what stands before the names of the encoder in models that have more.
fn transformers(base: &str) -> Dialect {
    let stem = [("proj.{..}", "patch_embeddings.{..}"), ("norm.{..}", "layernorm.{..}")];
    let mut encoder = table("encoder.stem.", &format!("{base}embeddings."), &stem);
    let stage = format!("{base}encoder.stages.{{}}.");
    let downsample = [("norm.{..}", "0.{..}"), ("proj.{..}", "1.{..}")];
    let theirs = format!("{stage}downsampling_layer.");
    encoder.extend(table("encoder.stages.{}.downsample.", &theirs, &downsample));
    let block = format!("{stage}layers.{{}}.");
    let rows = [
        ("conv_dw.{..}", "dwconv.{..}"),
        ("norm.{..}", "layernorm.{..}"),
        ("mlp.fc1.{..}", "pwconv1.{..}"),
        ("mlp.fc2.{..}", "pwconv2.{..}"),
    ];
    encoder.extend(table(BLOCKS, &block, &rows));
    let response = [("mlp.grn.gamma", "grn.weight"), ("mlp.grn.beta", "grn.bias")];
    let response = table(BLOCKS, &block, &response);
    encoder.extend(response.into_iter().map(|rule| rule.rank(4)));
    let shown = if base.is_empty() { ", an encoder" } else { "" };
    Dialect {
        name: format!("transformers ConvNextV2{shown}"),
        family: Family::ConvNext,
        telling: names(
            base,
            &["embeddings.patch_embeddings.weight", "encoder.stages.{}.layers.{}.grn.weight"],
        ),
        encoder,
        decoder: Vec::new(),
        mean_norm: format!("{base}layernorm"),
        site_norm: None,
        head: "classifier".to_owned(),
    }
}
