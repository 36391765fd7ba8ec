//! Parameter counts and shapes of towers that are never allocated.

use burn::{module::Module, tensor::Device};
use hearth_backbones::{
    BackboneError,
    layers::{Activation, BlockConfig},
    text::{TextConfig, TextPool},
    vit::{VisionConfig, VisionPool, VisionPositions},
};

fn block(width: usize, num_heads: usize) -> BlockConfig {
    let activation = Activation::GeluTanh;
    BlockConfig {
        width,
        num_heads,
        mlp_width: 4 * width,
        activation,
        norm_eps: 1e-6,
        ..BlockConfig::default()
    }
}

fn so400m_vision(image_size: usize, patch_size: usize) -> VisionConfig {
    VisionConfig {
        image_size,
        patch_size,
        depth: 27,
        block: BlockConfig { mlp_width: 4304, ..block(1152, 16) },
        class_token: false,
        positions: VisionPositions::Learned,
        norm_pre: false,
        patch_bias: true,
        pool: VisionPool::Map,
        projection: None,
    }
}

#[test]
fn so400m_vision_towers_have_their_published_sizes() {
    for (image_size, patch_size, expected) in
        [(224, 14, 427_680_704), (384, 14, 428_225_600), (256, 16, 427_888_064)]
    {
        let config = so400m_vision(image_size, patch_size);
        assert_eq!(
            config.init(&Device::flex()).num_params(),
            expected,
            "{image_size}/{patch_size}"
        );
    }
}

#[test]
fn so400m_text_tower_has_its_published_size() {
    let config = TextConfig {
        vocab_size: 256_000,
        context_length: 64,
        depth: 27,
        block: BlockConfig { mlp_width: 4304, ..block(1152, 16) },
        causal: false,
        pool: TextPool::Last,
        projection: 1152,
        projection_bias: true,
    };
    assert_eq!(config.init(&Device::flex()).num_params(), 707_782_896);
}

#[test]
fn heads_that_do_not_divide_the_width_are_refused_with_both_numbers() {
    let mut config = so400m_vision(256, 16);
    config.block.num_heads = 10;
    let error = config.check().expect_err("1152 is no multiple of 10");
    assert!(matches!(error, BackboneError::NotDivisible { value: 1152, divisor: 10, .. }));
    assert_eq!(
        error.to_string(),
        "`vision width` is 1152, it must be a multiple of `vision heads`, which is 10"
    );
}
