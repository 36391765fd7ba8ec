//! The values of `model.type`: numbers of both towers, preparation of pictures and of texts.
//!
//! Sources: `google/siglip2-*` configurations (SigLIP2); TAO's `cv/backbone_v2/open_clip.py` (NV-CLIP);
//! `mlfoundations/open_clip:src/open_clip/model_configs` (OpenAI).

use hearth_backbones::{
    layers::{Activation, BlockConfig},
    text::{TextConfig, TextPool},
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_data::{
    resize::Filter,
    tokenizer::{TextRecipe, TextRules},
    transform::{PictureRecipe, ResizeMode},
};

use crate::model::ClipConfig;

/// Groups of model types that share layouts of weights, preparation and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// SigLIP2 at fixed resolution.
    SigLip2,
    /// open_clip's CLIPA variants as NVIDIA trains them.
    NvClip,
    /// OpenAI's and LAION's CLIP.
    OpenAi,
    /// Small models of our own. Any tokenizer serves them: their rules and the size of their vocabulary
    /// follow it.
    BuiltIn,
}

/// One value of `model.type`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelType {
    /// As written in a spec.
    pub name: &'static str,
    /// What it shares with others.
    pub family: Family,
    /// Numbers of the towers.
    pub config: ClipConfig,
    /// Preparation of pictures.
    pub picture: PictureRecipe,
    /// Preparation of texts.
    pub text: TextRecipe,
}

/// Names of all types of this release.
pub const NAMES: &[&str] = &[
    "siglip2-base-patch32-256",
    "siglip2-base-patch16-224",
    "siglip2-base-patch16-256",
    "siglip2-base-patch16-384",
    "siglip2-base-patch16-512",
    "siglip2-large-patch16-256",
    "siglip2-large-patch16-384",
    "siglip2-large-patch16-512",
    "siglip2-so400m-patch14-224",
    "siglip2-so400m-patch14-384",
    "siglip2-so400m-patch16-256",
    "siglip2-so400m-patch16-384",
    "siglip2-so400m-patch16-512",
    "ViT-L-14-SigLIP-CLIPA-84",
    "ViT-L-14-SigLIP-CLIPA-224",
    "ViT-L-14-SigLIP-CLIPA-336",
    "ViT-H-14-SigLIP-CLIPA-84",
    "ViT-H-14-SigLIP-CLIPA-224",
    "ViT-H-14-SigLIP-CLIPA-336",
    "ViT-H-14-SigLIP-CLIPA-574",
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-16",
    "ViT-B-16-quickgelu",
    "ViT-L-14",
    "ViT-L-14-quickgelu",
    "hearth-tiny",
];

/// Names that TAO knows and this release does not run.
pub const NOT_IN_THIS_RELEASE: &[&str] = &[
    "siglip2-so400m-patch16-naflex",
    "c-radio_v3-b",
    "c-radio_v3-l",
    "c-radio_v3-h",
    "c-radio_v3-g",
];

const OPENAI_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const OPENAI_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Size of Gemma's vocabulary.
const GEMMA: usize = 256_000;
/// Size of CLIP's own vocabulary.
const CLIP_BPE: usize = 49_408;
/// Size of the CLIPA embedding table; BERT uses the first 30,522 rows.
const CLIPA_VOCABULARY: usize = 32_000;
/// Size of the embedding table of the built-in model.
const TINY_VOCABULARY: usize = 128;

/// The model type called `name`.
pub fn model_type(name: &str) -> Option<ModelType> {
    let name = *NAMES.iter().find(|known| **known == name)?;
    let parts: Vec<&str> = name.split('-').collect();
    let found = match parts[..] {
        ["siglip2", size, patch, image] => siglip2(name, size, number(patch)?, number(image)?),
        ["ViT", size, "14", "SigLIP", "CLIPA", image] => nv_clip(name, size, number(image)?),
        ["ViT", size, patch] => openai(name, size, number(patch)?, Activation::Gelu),
        ["ViT", size, patch, "quickgelu"] => {
            openai(name, size, number(patch)?, Activation::QuickGelu)
        }
        _ => tiny(name),
    };
    Some(found)
}

/// What the model type called `name` shares with others.
pub(crate) fn family(name: &str) -> Family {
    model_type(name).map_or(Family::BuiltIn, |found| found.family)
}

/// The digits of `patch16` or `224`.
fn number(text: &str) -> Option<usize> {
    text.trim_start_matches("patch").parse().ok()
}

fn siglip2(name: &'static str, size: &str, patch_size: usize, image_size: usize) -> ModelType {
    let (width, mlp_width, depth, num_heads) = match size {
        "base" => (768, 3072, 12, 12),
        "large" => (1024, 4096, 24, 16),
        _ => (1152, 4304, 27, 16),
    };
    let activation = Activation::GeluTanh;
    let block = BlockConfig { width, num_heads, mlp_width, activation, norm_eps: 1e-6 };
    let vision = VisionConfig {
        image_size,
        patch_size,
        depth,
        block: block.clone(),
        class_token: false,
        positions: VisionPositions::Learned,
        norm_pre: false,
        patch_bias: true,
        pool: VisionPool::Map,
        projection: None,
    };
    let text = TextConfig {
        vocab_size: GEMMA,
        context_length: 64,
        depth,
        block,
        causal: false,
        pool: TextPool::Last,
        projection: width,
        projection_bias: true,
    };
    ModelType {
        name,
        family: Family::SigLip2,
        config: ClipConfig { vision, text, logit_bias: true },
        picture: PictureRecipe {
            size: image_size as u32,
            resize: ResizeMode::Squash,
            filter: Filter::Bilinear,
            mean: [0.5; 3],
            std: [0.5; 3],
        },
        text: TextRecipe { rules: TextRules::SigLip2, context_length: 64, canonicalize: false },
    }
}

fn nv_clip(name: &'static str, size: &str, image_size: usize) -> ModelType {
    let (width, depth, num_heads, embed_dim) = match size {
        "L" => (1024, 24, 16, 768),
        _ => (1280, 32, 16, 1024),
    };
    let (text_width, text_depth, text_heads) = match size {
        "L" => (768, 12, 12),
        _ => (1024, 24, 16),
    };
    let context_length = if image_size == 84 { 16 } else { 77 };
    let vision = VisionConfig {
        image_size,
        patch_size: 14,
        depth,
        block: clip_block(width, num_heads, Activation::Gelu),
        class_token: true,
        positions: VisionPositions::SinCos2d,
        norm_pre: false,
        patch_bias: false,
        pool: VisionPool::Mean,
        projection: Some(embed_dim),
    };
    let text = TextConfig {
        vocab_size: CLIPA_VOCABULARY,
        context_length,
        depth: text_depth,
        block: clip_block(text_width, text_heads, Activation::Gelu),
        causal: false,
        pool: TextPool::Last,
        projection: embed_dim,
        projection_bias: false,
    };
    ModelType {
        name,
        family: Family::NvClip,
        config: ClipConfig { vision, text, logit_bias: true },
        picture: clip_picture(image_size),
        text: TextRecipe { rules: TextRules::BertStripSep, context_length, canonicalize: false },
    }
}

fn openai(name: &'static str, size: &str, patch_size: usize, activation: Activation) -> ModelType {
    let (width, depth, num_heads) = if size == "L" { (1024, 24, 16) } else { (768, 12, 12) };
    let (text_width, text_heads, embed_dim) =
        if size == "L" { (768, 12, 768) } else { (512, 8, 512) };
    let vision = VisionConfig {
        image_size: 224,
        patch_size,
        depth,
        block: clip_block(width, num_heads, activation),
        class_token: true,
        positions: VisionPositions::Learned,
        norm_pre: true,
        patch_bias: false,
        pool: VisionPool::ClassToken,
        projection: Some(embed_dim),
    };
    let text = TextConfig {
        vocab_size: CLIP_BPE,
        context_length: 77,
        depth: 12,
        block: clip_block(text_width, text_heads, activation),
        causal: true,
        pool: TextPool::LargestId,
        projection: embed_dim,
        projection_bias: false,
    };
    ModelType {
        name,
        family: Family::OpenAi,
        config: ClipConfig { vision, text, logit_bias: false },
        picture: clip_picture(224),
        text: TextRecipe { rules: TextRules::ClipBpe, context_length: 77, canonicalize: false },
    }
}

/// Less than two million parameters for 64-pixel pictures and a vocabulary of one's own, in the manner
/// of open_clip: 16 patches, their mean, no class token.
fn tiny(name: &'static str) -> ModelType {
    let block = clip_block(128, 4, Activation::Gelu);
    let vision = VisionConfig {
        image_size: 64,
        patch_size: 16,
        depth: 3,
        block: block.clone(),
        class_token: false,
        positions: VisionPositions::Learned,
        norm_pre: false,
        patch_bias: true,
        pool: VisionPool::Mean,
        projection: Some(128),
    };
    let text = TextConfig {
        vocab_size: TINY_VOCABULARY,
        context_length: 16,
        depth: 2,
        block,
        causal: false,
        pool: TextPool::Last,
        projection: 128,
        projection_bias: false,
    };
    ModelType {
        name,
        family: Family::BuiltIn,
        config: ClipConfig { vision, text, logit_bias: true },
        picture: clip_picture(64),
        text: TextRecipe { rules: TextRules::SigLip2, context_length: 16, canonicalize: false },
    }
}

fn clip_block(width: usize, num_heads: usize, activation: Activation) -> BlockConfig {
    BlockConfig { width, num_heads, mlp_width: 4 * width, activation, norm_eps: 1e-5 }
}

fn clip_picture(image_size: usize) -> PictureRecipe {
    PictureRecipe {
        size: image_size as u32,
        resize: ResizeMode::ShortestSideThenCrop,
        filter: Filter::Bicubic,
        mean: OPENAI_MEAN,
        std: OPENAI_STD,
    }
}

#[cfg(test)]
mod tests {
    use burn::{module::Module, tensor::Device};

    use super::*;

    /// Totals of transformers 5.23 (`SiglipModel`) and open_clip 3.3, built without weights.
    const PUBLISHED: &[(&str, usize)] = &[
        ("siglip2-base-patch32-256", 376_856_066),
        ("siglip2-base-patch16-224", 375_187_970),
        ("siglip2-base-patch16-256", 375_234_050),
        ("siglip2-base-patch16-384", 375_479_810),
        ("siglip2-base-patch16-512", 375_823_874),
        ("siglip2-large-patch16-256", 881_526_786),
        ("siglip2-large-patch16-384", 881_854_466),
        ("siglip2-large-patch16-512", 882_313_218),
        ("siglip2-so400m-patch14-224", 1_135_463_602),
        ("siglip2-so400m-patch14-384", 1_136_008_498),
        ("siglip2-so400m-patch16-256", 1_135_670_962),
        ("siglip2-so400m-patch16-384", 1_136_039_602),
        ("siglip2-so400m-patch16-512", 1_136_555_698),
        ("ViT-L-14-SigLIP-CLIPA-84", 413_972_994),
        ("ViT-L-14-SigLIP-CLIPA-224", 414_245_122),
        ("ViT-L-14-SigLIP-CLIPA-336", 414_572_802),
        ("ViT-H-14-SigLIP-CLIPA-224", 968_281_090),
        ("ViT-H-14-SigLIP-CLIPA-336", 968_690_690),
        ("ViT-H-14-SigLIP-CLIPA-574", 970_105_090),
        ("ViT-B-32", 151_277_313),
        ("ViT-B-16", 149_620_737),
        ("ViT-L-14", 427_616_513),
        ("ViT-L-14-quickgelu", 427_616_513),
    ];

    #[test]
    fn parameter_counts_are_the_published_ones() {
        for (name, expected) in PUBLISHED {
            let model = model_type(name).expect("a listed name").config.init(&Device::flex());
            assert_eq!(model.num_params(), *expected, "{name}");
        }
    }

    #[test]
    fn every_name_is_a_model_with_sound_numbers() {
        for name in NAMES {
            let found = model_type(name).expect("a listed name");
            assert_eq!(found.name, *name);
            found.config.check().expect(name);
            assert_eq!(found.config.vision.embed_dim(), found.config.text.projection, "{name}");
            assert_eq!(found.config.text.context_length, found.text.context_length, "{name}");
        }
        assert!(model_type("ViT-B-3").is_none());
        assert!(NOT_IN_THIS_RELEASE.iter().all(|name| model_type(name).is_none()));
    }
}
