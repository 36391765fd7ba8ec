//! Sheets of pictures: original, what the encoder saw, and what the decoder made of it.
//!
//! A masked patch of the reconstruction is the prediction; where the model predicts normalised patches,
//! it gets the mean and deviation of the patch itself, which the model does not know. A visible patch is
//! the picture's own, since nothing trains its prediction.

use burn::tensor::Tensor;
use hearth_data::picture::Picture;

use crate::{
    autoencoder::Reconstruction,
    patches::{moments, patchify, unpatchify},
};

/// What a masked patch looks like: middle grey.
const GREY: u8 = 128;
/// Pixels between the pictures of a sheet.
const GAP: usize = 2;

/// The three pictures of every sample, [B, 3, H, V] each, normalised as the model sees them.
pub struct Sheet {
    original: Tensor<4>,
    /// 1 where a pixel is masked.
    masked: Tensor<4>,
    reconstruction: Tensor<4>,
}

impl Sheet {
    /// Of `images` [B, 3, H, V]; `normalized` says what was predicted.
    pub fn new(images: Tensor<4>, prediction: &Reconstruction, normalized: bool) -> Self {
        let Reconstruction { patches, order, grid, masked } = prediction;
        let [_, _, numbers] = patches.dims();
        let own = patchify(images.clone(), (numbers / 3).isqrt(), *order);
        let predicted = if normalized {
            let (mean, deviation) = moments(own.clone());
            patches.clone() * deviation + mean
        } else {
            patches.clone()
        };
        let visible = masked.clone().neg() + 1.0;
        let pasted = own * visible + predicted * masked.clone();
        let mask = masked.clone().expand(patches.dims());
        Self {
            original: images,
            masked: unpatchify(mask, *grid, *order),
            reconstruction: unpatchify(pasted, *grid, *order),
        }
    }

    /// The pictures side by side, a row for each of at least one sample, with `mean` and `std` taken
    /// back.
    pub fn picture(&self, mean: [f64; 3], std: [f64; 3]) -> Picture {
        let [samples, _, height, width] = self.original.dims();
        let numbers = |tensor: &Tensor<4>| -> Vec<f32> {
            tensor.clone().into_data().try_to_vec().expect("pictures are f32")
        };
        let (original, reconstruction) = (numbers(&self.original), numbers(&self.reconstruction));
        let masked = numbers(&self.masked);
        let sides = [samples * height + (samples - 1) * GAP, 3 * width + 2 * GAP];
        let mut pixels = vec![255; sides[0] * sides[1] * 3];
        // Sample, channel, row and column.
        for place in 0..original.len() {
            let (channel, y, x) =
                (place / (height * width) % 3, place / width % height, place % width);
            let row = place / (3 * height * width) * (height + GAP) + y;
            let value = |from: &[f32]| {
                let value = f64::from(from[place]) * std[channel] + mean[channel];
                (value * 255.0).round() as u8
            };
            let seen = if masked[place] > 0.5 { GREY } else { value(&original) };
            let columns = [value(&original), seen, value(&reconstruction)];
            for (column, value) in columns.into_iter().enumerate() {
                pixels[(row * sides[1] + column * (width + GAP) + x) * 3 + channel] = value;
            }
        }
        Picture::new(sides[1] as u32, sides[0] as u32, pixels).expect("three values a pixel")
    }
}
