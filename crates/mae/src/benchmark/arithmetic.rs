//! How much arithmetic a model is, counted from its numbers.
//!
//! Of one picture, in floating-point operations: a multiplication and an addition are two. Products of
//! matrices and convolutions count; norms, softmax, activations and what is computed twice do not. A
//! training step is three forward passes.

use crate::{
    arch::{Arch, Kind},
    masking,
    recipe::{Gives, Recipe, Reconstructions},
};

/// Of the forward pass and of a training step.
pub(crate) fn count(recipe: &Recipe) -> [f64; 2] {
    let (arch, size) = (recipe.arch(), recipe.size());
    let multiplications = match &recipe.gives {
        Gives::Classes(classes) => {
            let cells = (size / arch.cell()).pow(2);
            encoder(arch, cells, cells, 3) + width(arch) * classes.count
        }
        Gives::Reconstructions(numbers) => autoencoder(arch, size, numbers),
    };
    let forward = 2.0 * multiplications as f64;
    [forward, 3.0 * forward]
}

fn autoencoder(arch: Arch, size: usize, numbers: &Reconstructions) -> usize {
    let (cells, depth, narrow) =
        ((size / arch.cell()).pow(2), numbers.decoder_depth, numbers.decoder_width);
    let kept = masking::kept(cells, numbers.mask_ratio);
    // Tokens of the decoder, and pixels that each predicts.
    let (tokens, pixels) = match arch.kind {
        Kind::Hiera(..) => (4 * cells, 16 * 16),
        Kind::ConvNext(..) | Kind::Vit(..) => (cells, arch.cell().pow(2)),
    };
    let blocks = match arch.kind {
        Kind::ConvNext(..) => depth * tokens * (49 * narrow + 8 * narrow * narrow),
        Kind::Hiera(..) => transformer(depth, tokens, narrow),
        Kind::Vit(..) => transformer(depth, tokens + 1, narrow),
    };
    let fusion = match arch.kind {
        // Both heads see the tokens of two stages once.
        Kind::Hiera(_, first, _) => kept * width(arch) * (64 * first + 16 * 2 * first),
        Kind::ConvNext(..) | Kind::Vit(..) => 0,
    };
    let seen = tokens * kept / cells;
    encoder(arch, cells, kept, 2)
        + fusion
        + seen * width(arch) * narrow
        + blocks
        + tokens * narrow * 3 * pixels
}

/// Width of the features.
fn width(arch: Arch) -> usize {
    arch.encoder(arch.cell()).width()
}

/// An encoder that sees `kept` of `cells`; a Hiera pools in front of `pooled` stages.
fn encoder(arch: Arch, cells: usize, kept: usize, pooled: usize) -> usize {
    match arch.kind {
        Kind::Vit(depth, width, _, patch) => {
            transformer(depth, kept + 1, width) + cells * 3 * patch * patch * width
        }
        Kind::ConvNext(depths, widths, patch) => {
            let mut total = kept * 64 * 3 * patch * patch * widths[0];
            for (stage, (depth, width)) in depths.into_iter().zip(widths).enumerate() {
                let sites = kept * (8 >> stage) * (8 >> stage);
                total += depth * sites * (49 * width + 8 * width * width);
                if stage > 0 {
                    total += sites * 4 * widths[stage - 1] * width;
                }
            }
            total
        }
        Kind::Hiera(depths, first, _) => {
            cells * 64 * 3 * 49 * first + hiera(depths, first, kept, pooled)
        }
    }
}

fn hiera(depths: [usize; 4], first: usize, units: usize, pooled: usize) -> usize {
    let (mut total, mut tokens) = (0, 64);
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = first << stage;
        for block in 0..depth {
            let enters = block == 0 && stage > 0;
            let before = if enters { width / 2 } else { width };
            let queries = if enters && stage <= pooled { tokens / 4 } else { tokens };
            // The first block of a stage attends as the stage in front of it.
            let attends_all = stage - usize::from(enters) >= 2;
            let keys = if attends_all { units * tokens } else { tokens };
            let skip = if enters { tokens * before * width } else { 0 };
            let attention = 2 * queries * keys * width;
            let matrices = tokens * before * 3 * width + queries * 9 * width * width;
            total += units * (skip + attention + matrices);
            tokens = queries;
        }
    }
    total
}

fn transformer(depth: usize, tokens: usize, width: usize) -> usize {
    depth * (tokens * 12 * width * width + 2 * tokens * tokens * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autoencoder::DecoderConfig;

    /// `mae.md` 4.1, GMACs of a picture of 224: fine-tuned with 1000 classes, and masked at 0.75 (Hiera
    /// 0.6). FCMAE is dense there, so that its encoder is counted whole.
    #[test]
    fn as_published() {
        for (name, classifier, masked) in [
            ("convnextv2_atto", 0.55, 0.74),
            ("convnextv2_base", 15.35, 15.56),
            ("hiera_tiny_224", 4.90, 8.09),
            ("hiera_base_224", 9.38, 10.17),
            ("vit_base_patch16", 17.56, 9.78),
            ("vit_huge_patch14", 167.30, 48.56),
        ] {
            let arch = Arch::named(name).unwrap();
            let cells = (224 / arch.cell()).pow(2);
            let close = |found: usize, expected: f64| {
                let found = found as f64 / 1e9;
                assert!((found / expected - 1.0).abs() < 0.03, "{name}: {found} {expected}");
            };
            close(encoder(arch, cells, cells, 3) + width(arch) * 1000, classifier);
            let decoder = DecoderConfig::of(&arch.encoder(224));
            let mask_ratio = match arch.kind {
                Kind::ConvNext(..) => 0.0,
                Kind::Hiera(..) => 0.6,
                Kind::Vit(..) => 0.75,
            };
            let numbers = Reconstructions {
                decoder_depth: decoder.depth,
                decoder_width: decoder.width,
                mask_ratio,
                mask_mode: Default::default(),
                normalize: true,
            };
            close(autoencoder(arch, 224, &numbers), masked);
        }
    }
}
