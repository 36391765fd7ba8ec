//! Every `model.arch` and its numbers.
//!
//! Source: the registries of `facebookresearch/{mae,ConvNeXt-V2,hiera}`, as TAO names them.

use hearth_backbones::{
    BackboneError,
    convnext::ConvNextConfig,
    hiera::{HieraConfig, UNIT},
    layers::BlockConfig,
    vit::{VisionConfig, VisionPool, VisionPositions},
};

/// An architecture of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arch {
    /// Value of `model.arch`.
    pub name: &'static str,
    /// Its numbers.
    pub kind: Kind,
}

/// Numbers of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ConvNeXt V2: depths and widths of its stages, side of a patch.
    ConvNext([usize; 4], [usize; 4], usize),
    /// Hiera: depths of its stages, width and heads of the first.
    Hiera([usize; 4], usize, usize),
    /// ViT: depth, width, heads, side of a patch.
    Vit(usize, usize, usize, usize),
}

/// Encoders that differ in numbers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// ConvNeXt V2.
    ConvNext,
    /// Hiera.
    Hiera,
    /// ViT.
    Vit,
}

const LARGE: [usize; 4] = [3, 3, 27, 3];

/// All of TAO's, and three of our own for small pictures.
pub const ALL: &[Arch] = &[
    convnext("convnextv2_atto", [2, 2, 6, 2], 40),
    convnext("convnextv2_femto", [2, 2, 6, 2], 48),
    convnext("convnextv2_pico", [2, 2, 6, 2], 64),
    convnext("convnextv2_nano", [2, 2, 8, 2], 80),
    convnext("convnextv2_tiny", [3, 3, 9, 3], 96),
    convnext("convnextv2_base", LARGE, 128),
    convnext("convnextv2_large", LARGE, 192),
    convnext("convnextv2_huge", LARGE, 352),
    hiera("hiera_tiny_224", [1, 2, 7, 2], 96, 1),
    hiera("hiera_small_224", [1, 2, 11, 2], 96, 1),
    hiera("hiera_base_224", [2, 3, 16, 3], 96, 1),
    hiera("hiera_large_224", [2, 6, 36, 4], 144, 2),
    hiera("hiera_huge_224", [2, 6, 36, 4], 256, 4),
    Arch { name: "vit_base_patch16", kind: Kind::Vit(12, 768, 12, 16) },
    Arch { name: "vit_large_patch16", kind: Kind::Vit(24, 1024, 16, 16) },
    Arch { name: "vit_huge_patch14", kind: Kind::Vit(32, 1280, 16, 14) },
    Arch { name: "hearth-vit-small-patch8", kind: Kind::Vit(6, 192, 6, 8) },
    Arch { name: "hearth-hiera-small", kind: Kind::Hiera([1, 1, 4, 1], 48, 1) },
    Arch {
        name: "hearth-convnextv2-small-patch2",
        kind: Kind::ConvNext([2, 2, 4, 2], [32, 64, 128, 256], 2),
    },
];

const fn convnext(name: &'static str, depths: [usize; 4], width: usize) -> Arch {
    let widths = [width, 2 * width, 4 * width, 8 * width];
    Arch { name, kind: Kind::ConvNext(depths, widths, 4) }
}

const fn hiera(name: &'static str, depths: [usize; 4], width: usize, heads: usize) -> Arch {
    Arch { name, kind: Kind::Hiera(depths, width, heads) }
}

/// Numbers of an encoder for pictures of one size.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderConfig {
    /// ConvNeXt V2, for any size.
    ConvNext(ConvNextConfig),
    /// Hiera, pooled as an autoencoder needs it.
    Hiera(HieraConfig),
    /// ViT with fixed positions and a norm behind its blocks.
    Vit(VisionConfig),
}

impl Arch {
    /// The architecture of this name.
    pub fn named(name: &str) -> Option<Arch> {
        ALL.iter().copied().find(|arch| arch.name == name)
    }

    /// Side of a cell of the mask, pixels; that of a picture is a multiple of it.
    pub fn cell(&self) -> usize {
        match self.kind {
            Kind::ConvNext(_, _, patch) => 8 * patch,
            Kind::Hiera(..) => UNIT,
            Kind::Vit(_, _, _, patch) => patch,
        }
    }

    /// The encoder of an autoencoder for pictures of `image_size`.
    pub fn encoder(&self, image_size: usize) -> EncoderConfig {
        match self.kind {
            Kind::ConvNext(depths, widths, patch_size) => {
                EncoderConfig::ConvNext(ConvNextConfig { patch_size, depths, widths })
            }
            Kind::Hiera(depths, width, num_heads) => {
                let pooled_stages = 2;
                EncoderConfig::Hiera(HieraConfig {
                    image_size,
                    depths,
                    width,
                    num_heads,
                    pooled_stages,
                })
            }
            Kind::Vit(depth, width, num_heads, patch_size) => EncoderConfig::Vit(VisionConfig {
                image_size,
                patch_size,
                depth,
                block: block(width, num_heads),
                class_token: true,
                positions: VisionPositions::SinCos2d,
                norm_pre: false,
                patch_bias: true,
                pool: VisionPool::ClassToken,
                projection: None,
            }),
        }
    }
}

impl Kind {
    /// Which encoder.
    pub fn family(&self) -> Family {
        match self {
            Kind::ConvNext(..) => Family::ConvNext,
            Kind::Hiera(..) => Family::Hiera,
            Kind::Vit(..) => Family::Vit,
        }
    }
}

impl EncoderConfig {
    /// Width of the features of a picture.
    pub fn width(&self) -> usize {
        match self {
            EncoderConfig::ConvNext(config) => config.widths[3],
            EncoderConfig::Hiera(config) => config.stage_width(3),
            EncoderConfig::Vit(config) => config.block.width,
        }
    }

    /// Fails on numbers that describe no model.
    pub fn check(&self) -> Result<(), BackboneError> {
        match self {
            EncoderConfig::ConvNext(config) => config.check(),
            EncoderConfig::Hiera(config) => config.check(),
            EncoderConfig::Vit(config) => config.check(),
        }
    }
}

/// A block of MAE's transformers: biases everywhere, MLP of four times the width, exact GELU.
pub(crate) fn block(width: usize, num_heads: usize) -> BlockConfig {
    BlockConfig { width, num_heads, mlp_width: 4 * width, ..BlockConfig::default() }
}
