//! The values of `model.type`: numbers of both towers, preparation of pictures and of texts.
//!
//! Sources: `google/siglip2-*` configurations (SigLIP2); TAO's `cv/backbone_v2/open_clip.py` (NV-CLIP);
//! `mlfoundations/open_clip:src/open_clip/model_configs` (OpenAI).

use hearth_backbones::{
    layers::{Activation, BlockConfig},
    naflex::NaflexConfig,
    text::{TextConfig, TextPool},
    vit::{VisionConfig, VisionPool, VisionPositions},
};
use hearth_data::{
    resize::Filter,
    tokenizer::{TextRecipe, TextRules},
    transform::{PictureRecipe, ResizeMode},
};

use crate::{
    model::ClipConfig,
    radio::{Adaptor, RadioNumbers},
    vision::TowerConfig,
};

/// Groups of model types that share layouts of weights, preparation and defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// SigLIP2 at fixed resolution.
    SigLip2,
    /// open_clip's CLIPA variants as NVIDIA trains them.
    NvClip,
    /// OpenAI's and LAION's CLIP.
    OpenAi,
    /// NVIDIA's C-RADIO backbones with a text tower.
    Radio,
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

/// Names of all types.
pub const NAMES: &[&str] = &[
    "siglip2-base-patch32-256",
    "siglip2-base-patch16-224",
    "siglip2-base-patch16-256",
    "siglip2-base-patch16-384",
    "siglip2-base-patch16-512",
    "siglip2-base-patch16-naflex",
    "siglip2-large-patch16-256",
    "siglip2-large-patch16-384",
    "siglip2-large-patch16-512",
    "siglip2-so400m-patch14-224",
    "siglip2-so400m-patch14-384",
    "siglip2-so400m-patch16-256",
    "siglip2-so400m-patch16-384",
    "siglip2-so400m-patch16-512",
    "siglip2-so400m-patch16-naflex",
    "ViT-L-14-SigLIP-CLIPA-84",
    "ViT-L-14-SigLIP-CLIPA-224",
    "ViT-L-14-SigLIP-CLIPA-336",
    "ViT-H-14-SigLIP-CLIPA-84",
    "ViT-H-14-SigLIP-CLIPA-224",
    "ViT-H-14-SigLIP-CLIPA-336",
    "ViT-H-14-SigLIP-CLIPA-574",
    "c-radio_v3-b",
    "c-radio_v3-l",
    "c-radio_v3-h",
    "c-radio_v3-g",
    "ViT-B-32",
    "ViT-B-32-quickgelu",
    "ViT-B-16",
    "ViT-B-16-quickgelu",
    "ViT-L-14",
    "ViT-L-14-quickgelu",
    "hearth-small",
    "hearth-tiny",
    "hearth-tiny-naflex",
];

const OPENAI_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const OPENAI_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// Size of Gemma's vocabulary.
pub(crate) const GEMMA: usize = 256_000;
/// Size of CLIP's own vocabulary.
pub(crate) const CLIP_BPE: usize = 49_408;
/// Size of the CLIPA embedding table; BERT uses the first 30,522 rows.
const CLIPA_VOCABULARY: usize = 32_000;
/// Side of SigLIP2's position table for pictures of any aspect ratio.
const NAFLEX_TABLE: usize = 16;
/// Patches of a NaFlex picture, unless the spec says otherwise.
pub(crate) const NAFLEX_PATCHES: usize = 256;
/// Side of the pictures that TAO trains C-RADIO with.
const RADIO_IMAGE: usize = 224;
/// Size of the embedding table of the built-in model.
const TINY_VOCABULARY: usize = 128;

/// The model type called `name`.
pub fn model_type(name: &str) -> Option<ModelType> {
    let name = *NAMES.iter().find(|known| **known == name)?;
    let parts: Vec<&str> = name.split('-').collect();
    let found = match parts[..] {
        ["siglip2", size, patch, "naflex"] => naflex(name, size, number(patch)?),
        ["siglip2", size, patch, image] => siglip2(name, size, number(patch)?, number(image)?),
        ["ViT", size, "14", "SigLIP", "CLIPA", image] => nv_clip(name, size, number(image)?),
        ["ViT", size, patch] => openai(name, size, number(patch)?, Activation::Gelu),
        ["ViT", size, patch, "quickgelu"] => {
            openai(name, size, number(patch)?, Activation::QuickGelu)
        }
        ["c", "radio_v3", size] => radio(name, size),
        ["hearth", "small"] => small(name),
        ["hearth", "tiny", "naflex"] => tiny_naflex(name),
        _ => tiny(name),
    };
    Some(found)
}

/// The digits of `patch16` or `224`.
fn number(text: &str) -> Option<usize> {
    text.trim_start_matches("patch").parse().ok()
}

/// Blocks of both SigLIP2 towers, and how many.
fn siglip2_block(size: &str) -> (BlockConfig, usize) {
    let (width, mlp_width, depth, num_heads) = match size {
        "base" => (768, 3072, 12, 12),
        "large" => (1024, 4096, 24, 16),
        _ => (1152, 4304, 27, 16),
    };
    let activation = Activation::GeluTanh;
    let block = BlockConfig { width, num_heads, mlp_width, activation, ..BlockConfig::default() };
    (block, depth)
}

/// Gemma's tokens through a tower that embeds as widely as it computes, or wider.
pub(crate) fn siglip2_text(block: BlockConfig, depth: usize, projection: usize) -> TextConfig {
    TextConfig {
        vocab_size: GEMMA,
        context_length: 64,
        depth,
        block,
        causal: false,
        pool: TextPool::Last,
        projection,
        projection_bias: true,
    }
}

/// Pictures of any aspect ratio, cut into [`NAFLEX_PATCHES`] patches at most.
fn naflex(name: &'static str, size: &str, patch_size: usize) -> ModelType {
    let (block, depth) = siglip2_block(size);
    let config = NaflexConfig { patch_size, table_side: NAFLEX_TABLE, depth, block: block.clone() };
    let fixed = siglip2(name, size, patch_size, NAFLEX_TABLE * patch_size);
    let resize =
        ResizeMode::PatchBudget { patch: patch_size as u32, budget: NAFLEX_PATCHES as u32 };
    ModelType {
        config: ClipConfig { vision: TowerConfig::Naflex(config), ..fixed.config },
        picture: PictureRecipe { resize, ..fixed.picture },
        ..fixed
    }
}

fn siglip2(name: &'static str, size: &str, patch_size: usize, image_size: usize) -> ModelType {
    let (block, depth) = siglip2_block(size);
    let width = block.width;
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
    ModelType {
        name,
        family: Family::SigLip2,
        config: ClipConfig {
            vision: TowerConfig::Vit(vision),
            text: siglip2_text(block, depth, width),
            logit_bias: true,
        },
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
        config: ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias: true },
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
        config: ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias: false },
        picture: clip_picture(224),
        text: TextRecipe { rules: TextRules::ClipBpe, context_length: 77, canonicalize: false },
    }
}

/// A C-RADIO backbone with the head and the text tower of its SigLIP2 teacher; [`crate::radio`] has
/// those of the other and what a file says of itself.
fn radio(name: &'static str, size: &str) -> ModelType {
    let numbers = RadioNumbers::of_type(size, Adaptor::SigLip);
    ModelType {
        name,
        family: Family::Radio,
        config: numbers.config(RADIO_IMAGE, 64),
        picture: clip_picture(RADIO_IMAGE),
        text: numbers.adaptor.text_recipe(),
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
        config: ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias: true },
        picture: clip_picture(64),
        text: TextRecipe { rules: TextRules::SigLip2, context_length: 16, canonicalize: false },
    }
}

/// For a few thousand photographs and no pretrained weights: narrow, so that it generalises, with small
/// patches, and captions as the mean of their words, which no block mixes.
fn small(name: &'static str) -> ModelType {
    let block = clip_block(64, 2, Activation::Gelu);
    let tiny = tiny(name);
    let vision = VisionConfig {
        image_size: 64,
        patch_size: 8,
        depth: 2,
        block: block.clone(),
        class_token: false,
        positions: VisionPositions::Learned,
        norm_pre: false,
        patch_bias: true,
        pool: VisionPool::Mean,
        projection: Some(64),
    };
    let text = TextConfig {
        depth: 0,
        block,
        pool: TextPool::Mean,
        projection: 64,
        ..tiny.config.text.clone()
    };
    ModelType {
        config: ClipConfig { vision: TowerConfig::Vit(vision), text, logit_bias: true },
        ..tiny
    }
}

/// [`tiny`] for pictures of any aspect ratio, in the manner of SigLIP2.
fn tiny_naflex(name: &'static str) -> ModelType {
    let square = tiny(name);
    let activation = Activation::GeluTanh;
    let block = BlockConfig {
        width: 128,
        num_heads: 4,
        mlp_width: 512,
        activation,
        ..BlockConfig::default()
    };
    let config = NaflexConfig { patch_size: 16, table_side: 4, depth: 3, block };
    ModelType {
        config: ClipConfig { vision: TowerConfig::Naflex(config), ..square.config },
        picture: PictureRecipe {
            resize: ResizeMode::PatchBudget { patch: 16, budget: 16 },
            filter: Filter::Bilinear,
            mean: [0.5; 3],
            std: [0.5; 3],
            ..square.picture
        },
        ..square
    }
}

fn clip_block(width: usize, num_heads: usize, activation: Activation) -> BlockConfig {
    BlockConfig {
        width,
        num_heads,
        mlp_width: 4 * width,
        activation,
        norm_eps: 1e-5,
        ..BlockConfig::default()
    }
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
    use crate::vision::VisionTower;

    /// Totals of transformers 5.23 (`SiglipModel`) and open_clip 3.3, built without weights.
    const PUBLISHED: &[(&str, usize)] = &[
        ("siglip2-base-patch32-256", 376_856_066),
        ("siglip2-base-patch16-224", 375_187_970),
        ("siglip2-base-patch16-256", 375_234_050),
        ("siglip2-base-patch16-384", 375_479_810),
        ("siglip2-base-patch16-512", 375_823_874),
        ("siglip2-base-patch16-naflex", 375_234_050),
        ("siglip2-large-patch16-256", 881_526_786),
        ("siglip2-large-patch16-384", 881_854_466),
        ("siglip2-large-patch16-512", 882_313_218),
        ("siglip2-so400m-patch14-224", 1_135_463_602),
        ("siglip2-so400m-patch14-384", 1_136_008_498),
        ("siglip2-so400m-patch16-256", 1_135_670_962),
        ("siglip2-so400m-patch16-384", 1_136_039_602),
        ("siglip2-so400m-patch16-512", 1_136_555_698),
        ("siglip2-so400m-patch16-naflex", 1_135_670_962),
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

    /// Backbones of C-RADIO, instantiated by NVlabs/RADIO without their leftover register tokens, and the
    /// SigLIP2 text towers beside them.
    const RADIO: &[(&str, usize, usize)] = &[
        ("c-radio_v3-b", 98_254_848 - 4 * 768, 707_782_896),
        ("c-radio_v3-l", 319_934_464 - 4 * 1024, 707_782_896),
        ("c-radio_v3-h", 651_642_880, 708_225_648),
        ("c-radio_v3-g", 1_159_618_560, 707_782_896),
    ];

    #[test]
    fn radio_has_the_published_backbones_and_text_towers() {
        for (name, backbone, text) in RADIO {
            let model = model_type(name).expect("a listed name").config.init(&Device::flex());
            let VisionTower::Radio(tower) = &model.visual else { panic!("{name}: another tower") };
            assert_eq!(tower.trunk.num_params(), *backbone, "{name}");
            assert_eq!(model.text.num_params(), *text, "{name}");
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
    }
}
