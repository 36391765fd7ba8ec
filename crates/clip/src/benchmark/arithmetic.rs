//! How much arithmetic a model is, counted from its numbers.
//!
//! Of one pair, in floating-point operations (a multiplication and an addition are two), with T tokens, D
//! blocks of width W with an MLP of width M, N patches of side P, and embeddings of width E:
//!
//! ```text
//! forward = sum over both towers of 2 (D (T (4 W^2 + 2 W M) + 2 T^2 W) + 3 N P^2 W + W E)
//! ```
//!
//! A text tower has no patches. Norms, softmax, activations and the heads that pool tokens are left
//! out, and so is what is computed twice (recomputed blocks, the first pass of micro-batches). A
//! training step is three forward passes of a tower that is trained whole, two of one with adapters
//! (one of them backwards, for the activations), and one of a frozen one.

use hearth_backbones::layers::BlockConfig;

use crate::{
    model::ClipConfig,
    peft::{Adaptation, Peft},
};

/// Of the forward pass and of a training step, with pictures of `patches` patches.
pub(crate) fn count(config: &ClipConfig, patches: usize, peft: &Peft) -> [f64; 2] {
    let (vision, text) = (&config.vision, &config.text);
    let cut = 3 * patches * vision.patch_size().pow(2) * vision.block().width;
    let pictures = blocks(vision.block(), vision.depth(), vision.num_tokens(patches))
        + product(cut)
        + product(vision.block().width * vision.embed_dim());
    let captions = blocks(&text.block, text.depth, text.context_length)
        + product(text.block.width * text.projection);
    [pictures + captions, passes(&peft.vision) * pictures + passes(&peft.text) * captions]
}

fn blocks(block: &BlockConfig, depth: usize, tokens: usize) -> f64 {
    let BlockConfig { width, mlp_width, .. } = *block;
    let matrices = tokens * (4 * width * width + 2 * width * mlp_width);
    depth as f64 * product(matrices + 2 * tokens * tokens * width)
}

fn product(multiplications: usize) -> f64 {
    2.0 * multiplications as f64
}

fn passes(adaptation: &Adaptation) -> f64 {
    match adaptation {
        Adaptation::Full => 3.0,
        Adaptation::Lora(_) => 2.0,
        Adaptation::Frozen => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::model_type;

    /// fvcore counts 17.58 G multiply-adds for a ViT-B/16 and open_clip's table has 41.09 GFLOPs for both
    /// towers of ViT-B-16 (2 x 17.58 + 2 x 2.96).
    #[test]
    fn vit_b_16_has_the_published_numbers() {
        let config = model_type("ViT-B-16").unwrap().config;
        let [forward, training] = count(&config, 196, &Peft::whole());
        assert!((forward / 1e9 - 41.09).abs() < 0.5, "{forward}");
        assert_eq!(training, 3.0 * forward);
        let frozen = Peft { vision: Adaptation::Frozen, ..Peft::whole() };
        let captions = (training - count(&config, 196, &frozen)[1]) / 2.0;
        assert!((captions / 1e9 - 35.16).abs() < 0.5, "{captions}");
    }
}
