//! Pictures as patches: what a decoder predicts, and how far it is from it.
//!
//! Source: arXiv 2111.06377; `facebookresearch/mae:models_mae.py` (`patchify`, `forward_loss`) and
//! `facebookresearch/hiera:hiera/hiera_mae.py`, which puts channels first.
//!
//! Shape letters: B batch, H and V height and width, P side of a patch, L patches of a picture.

use burn::tensor::Tensor;

/// Added to the variance of a patch.
const EPSILON: f64 = 1e-6;

/// The order of the numbers of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOrder {
    /// Row, column, channel.
    ChannelsLast,
    /// Channel, row, column.
    ChannelsFirst,
}

/// `images` [B, 3, H, V] as patches [B, L, 3 * P * P], row by row.
pub fn patchify(images: Tensor<4>, side: usize, order: PatchOrder) -> Tensor<3> {
    let [batch, channels, height, width] = images.dims();
    let (rows, columns) = (height / side, width / side);
    let split = images.reshape([batch, channels, rows, side, columns, side]);
    let patches = match order {
        PatchOrder::ChannelsLast => split.permute([0, 2, 4, 3, 5, 1]),
        PatchOrder::ChannelsFirst => split.permute([0, 2, 4, 1, 3, 5]),
    };
    patches.reshape([batch, rows * columns, channels * side * side])
}

/// Pictures [B, 3, H, V] of `patches` [B, L, 3 * P * P] in `grid` rows and columns.
pub fn unpatchify(patches: Tensor<3>, grid: [usize; 2], order: PatchOrder) -> Tensor<4> {
    let ([batch, _, numbers], [rows, columns]) = (patches.dims(), grid);
    let side = (numbers / 3).isqrt();
    let images = match order {
        PatchOrder::ChannelsLast => {
            patches.reshape([batch, rows, columns, side, side, 3]).permute([0, 5, 1, 3, 2, 4])
        }
        PatchOrder::ChannelsFirst => {
            patches.reshape([batch, rows, columns, 3, side, side]).permute([0, 3, 1, 4, 2, 5])
        }
    };
    images.reshape([batch, 3, rows * side, columns * side])
}

/// Every patch of [B, L, N] at mean 0 and variance 1 (of a sample: over N - 1).
pub fn normalized(patches: Tensor<3>) -> Tensor<3> {
    let (mean, deviation) = moments(patches.clone());
    (patches - mean) / deviation
}

/// Mean and deviation of every patch of [B, L, N], [B, L, 1] each: what [`normalized`] took away.
pub fn moments(patches: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
    let count = patches.dims()[2] as f64;
    let mean = patches.clone().mean_dim(2);
    let centered = patches - mean.clone();
    let variance = (centered.clone() * centered).sum_dim(2) / (count - 1.0);
    (mean, (variance + EPSILON).sqrt())
}

/// Sum over the masked patches of the mean squared difference: [1]. `masked` [B, L, 1] is 1 where a
/// patch is masked.
pub fn masked_error(prediction: Tensor<3>, target: Tensor<3>, masked: Tensor<3>) -> Tensor<1> {
    let difference = prediction - target;
    let of_patch = (difference.clone() * difference).mean_dim(2);
    (of_patch * masked).sum()
}
