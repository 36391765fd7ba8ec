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

/// The three pictures of a sample, [3, H, V] each, normalised as the model sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// H and V.
    pub sides: [usize; 2],
    /// The picture.
    pub original: Vec<f32>,
    /// 1 where a pixel is masked.
    pub masked: Vec<f32>,
    /// With predictions in the masked patches.
    pub reconstruction: Vec<f32>,
}

/// The rows of `images` [B, 3, H, V]; `normalized` says what was predicted.
pub fn rows(images: Tensor<4>, prediction: &Reconstruction, normalized: bool) -> Vec<Row> {
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
    let [_, channels, height, width] = images.dims();
    let [original, masked, reconstruction] =
        [images, unpatchify(mask, *grid, *order), unpatchify(pasted, *grid, *order)]
            .map(|tensor| tensor.into_data().try_to_vec::<f32>().expect("pictures are f32"));
    let each = channels * height * width;
    let chunks = original.chunks(each).zip(masked.chunks(each)).zip(reconstruction.chunks(each));
    chunks
        .map(|((original, masked), reconstruction)| Row {
            sides: [height, width],
            original: original.to_vec(),
            masked: masked.to_vec(),
            reconstruction: reconstruction.to_vec(),
        })
        .collect()
}

/// The pictures side by side, a line for each of at least one row of equal sides, with `mean` and `std`
/// taken back.
pub fn draw(rows: &[Row], mean: [f64; 3], std: [f64; 3]) -> Picture {
    let [height, width] = rows[0].sides;
    let sides = [rows.len() * height + (rows.len() - 1) * GAP, 3 * width + 2 * GAP];
    let mut pixels = vec![255; sides[0] * sides[1] * 3];
    for (line, row) in rows.iter().enumerate() {
        for place in 0..row.original.len() {
            let channel = place / (height * width);
            let (y, x) = (place / width % height, place % width);
            let value = |from: &[f32]| {
                let value = f64::from(from[place]) * std[channel] + mean[channel];
                (value * 255.0).round() as u8
            };
            let seen = if row.masked[place] > 0.5 { GREY } else { value(&row.original) };
            let columns = [value(&row.original), seen, value(&row.reconstruction)];
            for (column, value) in columns.into_iter().enumerate() {
                let at = (line * (height + GAP) + y) * sides[1] + column * (width + GAP) + x;
                pixels[at * 3 + channel] = value;
            }
        }
    }
    Picture::new(sides[1] as u32, sides[0] as u32, pixels).expect("three values a pixel")
}
