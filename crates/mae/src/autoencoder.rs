//! An autoencoder of any architecture: what it sees, predicts and is judged by.
//!
//! Shape letters: B batch, H and V height and width, L predicted patches of a picture, N numbers of a
//! patch.

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use hearth_backbones::cells::Cells;

use crate::{
    arch::EncoderConfig,
    fcmae::{Fcmae, MaskMode},
    hiera::{self, MaskedHiera},
    patches::{PatchOrder, masked_error, normalized, patchify, unpatchify},
    vit::MaskedVit,
};

/// Numbers of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecoderConfig {
    /// Blocks.
    pub depth: usize,
    /// Width.
    pub width: usize,
    /// Heads; of no meaning for ConvNeXt V2.
    pub num_heads: usize,
}

/// Encoder and decoder.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a training holds one model")]
pub enum Autoencoder {
    /// ConvNeXt V2.
    ConvNext(Fcmae),
    /// Hiera.
    Hiera(MaskedHiera),
    /// ViT.
    Vit(MaskedVit),
}

/// What a decoder predicts for every patch of every picture.
#[derive(Debug, Clone)]
pub struct Reconstruction {
    /// [B, L, N].
    pub patches: Tensor<3>,
    /// Order of the N numbers.
    pub order: PatchOrder,
    /// Rows and columns of patches.
    pub grid: [usize; 2],
    /// [B, L, 1]: 1 where the encoder did not see the patch.
    pub masked: Tensor<3>,
}

impl DecoderConfig {
    /// The decoder of an architecture: one block for ConvNeXt V2, else eight; width 512.
    pub fn of(encoder: &EncoderConfig) -> Self {
        let depth = match encoder {
            EncoderConfig::ConvNext(_) => 1,
            EncoderConfig::Hiera(_) | EncoderConfig::Vit(_) => 8,
        };
        Self { depth, width: 512, num_heads: 16 }
    }
}

impl Autoencoder {
    /// An autoencoder whose parameters are still to be filled. The numbers have passed their check.
    pub fn new(encoder: &EncoderConfig, decoder: DecoderConfig, device: &Device) -> Self {
        match encoder {
            EncoderConfig::ConvNext(config) => {
                Autoencoder::ConvNext(Fcmae::new(config, decoder, device))
            }
            EncoderConfig::Hiera(config) => {
                Autoencoder::Hiera(MaskedHiera::new(config, decoder, device))
            }
            EncoderConfig::Vit(config) => Autoencoder::Vit(MaskedVit::new(config, decoder, device)),
        }
    }

    /// The picture of `images` [B, 3, H, V], normalised, as predicted from the visible `cells`. `mode` is
    /// for ConvNeXt V2. With `recompute`, blocks of the encoder run again in the backward pass.
    pub fn forward(
        &self,
        images: Tensor<4>,
        cells: &Cells,
        mode: MaskMode,
        recompute: bool,
    ) -> Reconstruction {
        let (patches, order, split) = match self {
            Autoencoder::ConvNext(model) => {
                let latent = model.encode(images, cells, mode, recompute);
                (model.decode(latent, cells, mode), PatchOrder::ChannelsLast, 1)
            }
            Autoencoder::Hiera(model) => {
                let latent = model.encode(images, cells, recompute);
                let split = hearth_backbones::hiera::UNIT / hiera::PATCH;
                (model.decode(latent, cells), PatchOrder::ChannelsFirst, split)
            }
            Autoencoder::Vit(model) => {
                let latent = model.encode(images, cells, recompute);
                (model.decode(latent, cells), PatchOrder::ChannelsLast, 1)
            }
        };
        let [batch, count, _] = patches.dims();
        let visible = cells.mask(split, &patches.device(), patches.dtype());
        let masked = visible.neg() + 1.0;
        Reconstruction {
            patches,
            order,
            grid: cells.grid.map(|side| side * split),
            masked: masked.reshape([batch, count, 1]),
        }
    }

    /// Side of a cell of the mask, pixels.
    pub fn cell(&self) -> usize {
        match self {
            Autoencoder::ConvNext(model) => model.encoder.config().cell(),
            Autoencoder::Hiera(_) => hearth_backbones::hiera::UNIT,
            Autoencoder::Vit(model) => model.encoder.config().patch_size,
        }
    }
}

impl Reconstruction {
    /// Mean over the masked patches of `images` [B, 3, H, V] of the mean squared difference: [1]. With
    /// `normalize`, from patches at mean 0 and variance 1.
    pub fn loss(&self, images: Tensor<4>, normalize: bool) -> Tensor<1> {
        let target = patchify(images, self.patch_side(), self.order);
        let target = if normalize { normalized(target) } else { target };
        let error = masked_error(self.patches.clone(), target, self.masked.clone());
        error / self.masked.clone().sum()
    }

    /// The predicted pictures [B, 3, H, V].
    pub fn images(&self) -> Tensor<4> {
        unpatchify(self.patches.clone(), self.grid, self.order)
    }

    /// Pixels along a side of a patch.
    fn patch_side(&self) -> usize {
        (self.patches.dims()[2] / 3).isqrt()
    }
}
