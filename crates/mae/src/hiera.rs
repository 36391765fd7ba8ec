//! MAE of a Hiera: an encoder of visible mask units, whose stages are joined for the decoder.
//!
//! Source: arXiv 2306.00989; `facebookresearch/hiera:hiera/hiera_mae.py`.
//!
//! Shape letters: B batch, U units of a picture, K visible ones, C width of the first stage, W of the
//! last one, D width of the decoder. A unit has 2x2 tokens behind the encoder, of 16x16 pixels each.

use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use hearth_backbones::{
    Mode,
    cells::Cells,
    hiera::{Convolution, Hiera, HieraBlock, HieraBlockConfig, HieraConfig},
    layers::{LayerNorm, Linear, layer_norm, linear, zeros},
};
use hearth_kernels::{linear as project, spread_rows};

use crate::autoencoder::DecoderConfig;

/// Tokens along a side of a unit behind the encoder.
const SIDE: usize = 2;
/// Pixels along a side of what a token of the decoder predicts.
pub(crate) const PATCH: usize = 16;
/// Added to variances.
const EPSILON: f64 = 1e-6;

/// Encoder and decoder.
#[derive(Module, Debug)]
pub struct MaskedHiera {
    /// The encoder.
    pub encoder: Hiera,
    /// From the first two stages to the last one: [W, C, 4, 4] and [W, 2C, 2, 2].
    pub multi_scale_fusion_heads: Vec<Convolution>,
    /// Behind the sum of the stages.
    pub encoder_norm: LayerNorm,
    /// [W, D].
    pub decoder_embed: Linear,
    /// [1, 1, D], in the place of the tokens of a masked unit.
    pub mask_token: Param<Tensor<3>>,
    /// [1, 4U, D], row by row of tokens.
    pub decoder_pos_embed: Param<Tensor<3>>,
    /// The blocks.
    pub decoder_blocks: Vec<HieraBlock>,
    /// Behind the blocks.
    pub decoder_norm: LayerNorm,
    /// [D, 3 * 16 * 16].
    pub decoder_pred: Linear,
}

impl MaskedHiera {
    /// An autoencoder whose parameters are still to be filled.
    pub fn new(config: &HieraConfig, decoder: DecoderConfig, device: &Device) -> Self {
        let DecoderConfig { depth, width, num_heads } = decoder;
        let block =
            HieraBlockConfig { widths: [width, width], num_heads, pools: false, global: true };
        let last = config.stage_width(3);
        let fusion = |stage: usize, side: usize| Convolution {
            weight: zeros([last, config.stage_width(stage), side, side], device),
            bias: zeros([last], device),
        };
        Self {
            encoder: config.init(device),
            multi_scale_fusion_heads: vec![fusion(0, 4), fusion(1, 2)],
            encoder_norm: layer_norm(last, EPSILON, device),
            decoder_embed: linear(last, width, true, device),
            mask_token: zeros([1, 1, width], device),
            decoder_pos_embed: zeros([1, (SIDE * config.grid()).pow(2), width], device),
            decoder_blocks: (0..depth).map(|_| block.init(device)).collect(),
            decoder_norm: layer_norm(width, EPSILON, device),
            decoder_pred: linear(width, 3 * PATCH * PATCH, true, device),
        }
    }

    /// Four tokens of every visible unit of `images` [B, 3, H, V]: [B, K, 4, W].
    pub fn encode(&self, images: Tensor<4>, cells: &Cells, mode: impl Into<Mode>) -> Tensor<4> {
        self.fused(self.encoder.forward(images, Some(cells), mode))
    }

    /// Features of all tokens of `images` [B, 3, H, V] behind the last stage, row by row: [B, 4U, W].
    pub fn features(&self, images: Tensor<4>, mode: impl Into<Mode>) -> Tensor<3> {
        let [.., height, width] = images.dims();
        let grid = [height, width].map(|side| side / hearth_backbones::hiera::UNIT);
        let x = self.fused(self.encoder.forward(images, None, mode));
        let ([batch, _, _, channels], [rows, columns]) = (x.dims(), grid);
        x.reshape([batch, rows, columns, SIDE, SIDE, channels]).swap_dims(2, 3).reshape([
            batch,
            rows * columns * SIDE * SIDE,
            channels,
        ])
    }

    /// What the stages found, in the tokens of the last: [B, K, 4, W].
    fn fused(&self, [first, second, _, last]: [Tensor<4>; 4]) -> Tensor<4> {
        let [to_first, to_second] = &self.multi_scale_fusion_heads[..] else {
            unreachable!("`new` makes two heads")
        };
        let fused = fused(to_first, first) + fused(to_second, second) + last;
        self.encoder_norm.forward(fused)
    }

    /// Patches of 16x16 [B, 4U, 3 * 16 * 16], row by row, of what [`Self::encode`] returned.
    pub fn decode(&self, latent: Tensor<4>, cells: &Cells) -> Tensor<3> {
        let x = self.decoder_embed.forward(latent);
        let ([batch, units, tokens, width], [rows, columns]) = (x.dims(), cells.grid);
        let seen = spread_rows(x.reshape([batch * units, tokens * width]), &cells.rows());
        let seen = seen.reshape([batch, rows, columns, SIDE, SIDE, width]).swap_dims(2, 3);
        let all = [batch, rows * columns * SIDE * SIDE, 1];
        let mask = cells.mask(SIDE, &seen.device(), seen.dtype()).reshape(all);
        let dtype = seen.dtype();
        let x = seen.reshape([batch, all[1], width])
            + self.mask_token.val().cast(dtype) * (mask.neg() + 1.0)
            + self.decoder_pos_embed.val().cast(dtype);

        let blocks = self.decoder_blocks.iter();
        let x = blocks.fold(x.unsqueeze_dim::<4>(1), |x, block| block.forward(x));
        let x = self.decoder_norm.forward(x.reshape([batch, all[1], width]));
        self.decoder_pred.forward(x)
    }
}

/// A convolution without overlap over the tokens of units [B, K, N, C], which lie in quarters and
/// quarters of those. Returns [B, K, 4, W].
fn fused(convolution: &Convolution, x: Tensor<4>) -> Tensor<4> {
    let [batch, units, tokens, channels] = x.dims();
    let weight = convolution.weight.val().cast(x.dtype());
    let [outputs, _, side, _] = weight.dims();
    let numbers = tokens / 4 * channels;
    let x = x.reshape([batch, units, 4, numbers]);
    let weight = match side {
        // Row and column of the half, then of the quarter in it.
        4 => weight
            .reshape([outputs, channels, 2, 2, 2, 2])
            .permute([2, 4, 3, 5, 1, 0])
            .reshape([numbers, outputs]),
        _ => weight.permute([2, 3, 1, 0]).reshape([numbers, outputs]),
    };
    let bias = convolution.bias.val().cast(x.dtype());
    project(x, weight, Some(bias))
}
