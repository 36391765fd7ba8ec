//! MAE of a ViT: an encoder of visible patches, and a smaller transformer that predicts the others.
//!
//! Source: arXiv 2111.06377; `facebookresearch/mae:models_mae.py`.
//!
//! Shape letters: B batch, L patches of a picture, K visible ones, W width of the encoder, D width of
//! the decoder, P side of a patch.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use hearth_backbones::{
    Mode,
    cells::Cells,
    layers::{Block, LayerNorm, Linear, Visible, frozen_zeros, layer_norm, linear, zeros},
    vit::{VisionConfig, VisionTransformer},
};
use hearth_kernels::spread_rows;

use crate::{arch::block, autoencoder::DecoderConfig};

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct MaskedVit {
    /// The encoder.
    pub encoder: VisionTransformer,
    /// [W, D].
    pub decoder_embed: Linear,
    /// [1, 1, D], in the place of a masked patch.
    pub mask_token: Param<Tensor<3>>,
    /// [1, 1 + L, D], fixed.
    pub decoder_pos_embed: Param<Tensor<3>>,
    /// The blocks.
    pub decoder_blocks: Vec<Block>,
    /// Behind the blocks.
    pub decoder_norm: LayerNorm,
    /// [D, 3 * P * P].
    pub decoder_pred: Linear,
}

impl MaskedVit {
    /// An autoencoder whose parameters are still to be filled.
    pub fn new(config: &VisionConfig, decoder: DecoderConfig, device: &Device) -> Self {
        let DecoderConfig { depth, width, num_heads } = decoder;
        let block = block(width, num_heads);
        let tokens = config.num_tokens();
        Self {
            encoder: config.init(device),
            decoder_embed: linear(config.block.width, width, true, device),
            mask_token: zeros([1, 1, width], device),
            decoder_pos_embed: frozen_zeros([1, tokens, width], device),
            decoder_blocks: (0..depth).map(|_| block.init(device)).collect(),
            decoder_norm: layer_norm(width, block.norm_eps, device),
            decoder_pred: linear(width, 3 * config.patch_size.pow(2), true, device),
        }
    }

    /// The class token and the visible patches of `images` [B, 3, H, V]: [B, 1 + K, W].
    pub fn encode(&self, images: Tensor<4>, cells: &Cells, mode: impl Into<Mode>) -> Tensor<3> {
        self.encoder.tokens(images, Some(cells), mode)
    }

    /// All patches [B, L, 3 * P * P] of what [`Self::encode`] returned.
    pub fn decode(&self, latent: Tensor<3>, cells: &Cells) -> Tensor<3> {
        let x = self.decoder_embed.forward(latent);
        let ([batch, tokens, width], patches) = (x.dims(), cells.grid[0] * cells.grid[1]);
        let class = x.clone().slice_dim(1, 0..1);
        let seen = x.slice_dim(1, 1..tokens).reshape([batch * (tokens - 1), width]);
        let seen = spread_rows(seen, &cells.rows()).reshape([batch, patches, width]);
        let mask = cells.mask(1, &seen.device(), seen.dtype()).reshape([batch, patches, 1]);
        let dtype = seen.dtype();
        let all = seen + self.mask_token.val().cast(dtype) * (mask.neg() + 1.0);

        let x = Tensor::cat(vec![class, all], 1) + self.decoder_pos_embed.val().cast(dtype);
        let blocks = self.decoder_blocks.iter();
        let x = blocks.fold(x, |x, block| block.forward(x, &Visible::All));
        let x = self.decoder_pred.forward(self.decoder_norm.forward(x));
        x.slice_dim(1, 1..patches + 1)
    }
}
