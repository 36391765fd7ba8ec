//! FCMAE: a ConvNeXt V2 that sees visible cells, and one block that predicts the others.
//!
//! Source: arXiv 2301.00808; `facebookresearch/ConvNeXt-V2:models/fcmae.py`.
//!
//! Shape letters: B batch, L cells of a picture, K visible ones, C width of the encoder, D width of
//! the decoder.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use hearth_backbones::{
    Mode,
    cells::Cells,
    convnext::{ConvNext, ConvNextBlock, ConvNextConfig, Masking, Sites},
    layers::zeros,
    vit::PatchProjection,
};

use crate::autoencoder::DecoderConfig;

/// How the encoder is kept from seeing masked cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskMode {
    /// It computes on visible cells only; each picture for itself.
    #[default]
    Masked,
    /// As before, with channels of the encoder that compete over the whole batch: `MinkowskiEngine`'s
    /// layers.
    Batch,
    /// Masked cells are zero behind the stem, and the convolutions bring them back: TAO.
    Dense,
}

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct Fcmae {
    /// The encoder.
    pub encoder: ConvNext,
    /// [D, C, 1, 1].
    pub proj: PatchProjection,
    /// [1, D, 1, 1], in the place of a masked cell.
    pub mask_token: Param<Tensor<4>>,
    /// The blocks.
    pub decoder: Vec<ConvNextBlock>,
    /// [3 * P * P, D, 1, 1], P pixels along a side of a cell.
    pub pred: PatchProjection,
}

impl Fcmae {
    /// An autoencoder whose parameters are still to be filled.
    pub fn new(config: &ConvNextConfig, decoder: DecoderConfig, device: &Device) -> Self {
        let DecoderConfig { depth, width, .. } = decoder;
        Self {
            encoder: config.init(device),
            proj: PatchProjection::new([config.widths[3], width], 1, device),
            mask_token: zeros([1, width, 1, 1], device),
            decoder: (0..depth).map(|_| ConvNextBlock::new(width, device)).collect(),
            pred: PatchProjection::new([width, 3 * config.cell().pow(2)], 1, device),
        }
    }

    /// What the encoder makes of the visible cells of `images` [B, 3, H, V]: [B, K, C], or for
    /// [`MaskMode::Dense`] of all, [B, L, C].
    pub fn encode(
        &self,
        images: Tensor<4>,
        cells: &Cells,
        masking: MaskMode,
        mode: impl Into<Mode>,
    ) -> Tensor<3> {
        let masking = match masking {
            MaskMode::Masked => Masking::Cells(cells),
            MaskMode::Batch => Masking::CellsOfBatch(cells),
            MaskMode::Dense => Masking::BehindStem(cells),
        };
        self.encoder.forward(images, masking, mode)
    }

    /// Patches of all cells [B, L, 3 * P * P] of what [`Self::encode`] returned.
    pub fn decode(&self, latent: Tensor<3>, cells: &Cells, masking: MaskMode) -> Tensor<3> {
        let (batch, grid) = (cells.batch(), cells.grid);
        let all = Sites::all(batch, grid);
        let visible = match masking {
            MaskMode::Dense => all.clone(),
            MaskMode::Masked | MaskMode::Batch => Sites::of_cells(cells, 1),
        };
        let seen = visible.on_map(self.proj.forward_sites(latent, &visible));
        let mask = cells.mask(1, &seen.device(), seen.dtype());
        let token = self.mask_token.val().cast(seen.dtype()).permute([0, 2, 3, 1]);
        let map = seen * mask.clone() + token * (mask.neg() + 1.0);
        let blocks = self.decoder.iter();
        let x = blocks.fold(all.of_map(map), |x, block| block.forward(x, &all, false));
        self.pred.forward_sites(x, &all)
    }
}
