//! An autoencoder of any architecture: what it sees, predicts and is judged by.
//!
//! Shape letters: B batch, H and V height and width, L predicted patches of a picture, N numbers of a
//! patch.

use burn::{
    module::Module,
    tensor::{Device, FloatDType, Tensor},
};
use hearth_backbones::{Mode, cells::Cells, convnext::Masking};

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

/// More blocks than any decoder has, and more width: a damaged file asks for no more memory.
const MOST: [usize; 2] = [256, 16_384];

impl DecoderConfig {
    /// The decoder of an architecture: one block for ConvNeXt V2, else eight; width 512.
    pub fn of(encoder: &EncoderConfig) -> Self {
        let depth = match encoder {
            EncoderConfig::ConvNext(_) => 1,
            EncoderConfig::Hiera(_) | EncoderConfig::Vit(_) => 8,
        };
        Self::sized(depth, 512)
    }

    /// A decoder of this size: 16 heads, or half as many until they divide the width.
    pub fn sized(depth: usize, width: usize) -> Self {
        Self { depth, width, num_heads: 1 << width.trailing_zeros().min(4) }
    }

    /// Fails on numbers that describe no decoder.
    pub fn check(&self) -> Result<(), String> {
        let Self { depth, width, .. } = *self;
        let [deepest, widest] = MOST;
        if !(1..=deepest).contains(&depth) {
            return Err(format!("found {depth} blocks of a decoder, needed 1 to {deepest}"));
        }
        // Positions have a sine and a cosine of each row and column.
        if !(4..=widest).contains(&width) || !width.is_multiple_of(4) {
            return Err(format!(
                "found a decoder of width {width}, needed a multiple of 4 up to {widest}"
            ));
        }
        Ok(())
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

    /// The picture of `images` [B, 3, H, V], normalised, as predicted from the visible `cells`. `masking`
    /// is for ConvNeXt V2.
    pub fn forward(
        &self,
        images: Tensor<4>,
        cells: &Cells,
        masking: MaskMode,
        mode: impl Into<Mode>,
    ) -> Reconstruction {
        let (patches, order, split) = match self {
            Autoencoder::ConvNext(model) => {
                let latent = model.encode(images, cells, masking, mode);
                (model.decode(latent, cells, masking), PatchOrder::ChannelsLast, 1)
            }
            Autoencoder::Hiera(model) => {
                let latent = model.encode(images, cells, mode);
                let split = hearth_backbones::hiera::UNIT / hiera::PATCH;
                (model.decode(latent, cells), PatchOrder::ChannelsFirst, split)
            }
            Autoencoder::Vit(model) => {
                let latent = model.encode(images, cells, mode);
                (model.decode(latent, cells), PatchOrder::ChannelsLast, 1)
            }
        };
        let patches = patches.cast(FloatDType::F32);
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

    /// What the encoder makes of all of `images` [B, 3, H, V], row by row: [B, L, W].
    pub fn features(&self, images: Tensor<4>, mode: impl Into<Mode>) -> Tensor<3> {
        let features = match self {
            Autoencoder::ConvNext(model) => model.encoder.forward(images, Masking::Nothing, mode),
            Autoencoder::Hiera(model) => model.features(images, mode),
            Autoencoder::Vit(model) => {
                let tokens = model.encoder.tokens(images, None, mode);
                let count = tokens.dims()[1];
                tokens.slice_dim(1, 1..count)
            }
        };
        features.cast(FloatDType::F32)
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

    /// Mean squared differences over the masked pixels of `images` [B, 3, H, V]: of the prediction, and of
    /// the mean colour of what is visible, [1] each. Only predictions of pixels can be compared.
    pub fn errors(&self, images: Tensor<4>) -> [Tensor<1>; 2] {
        let mask =
            unpatchify(self.masked.clone().expand(self.patches.dims()), self.grid, self.order);
        let visible = mask.clone().neg() + 1.0;
        let total = |x: Tensor<4>| x.sum_dim(3).sum_dim(2);
        let mean = total(images.clone() * visible.clone()) / total(visible);
        let error = |predicted: Tensor<4>| {
            let difference = images.clone() - predicted;
            (difference.clone() * difference * mask.clone()).sum() / mask.clone().sum()
        };
        [error(self.images()), error(mean.expand(images.dims()))]
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
