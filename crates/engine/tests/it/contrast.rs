//! The losses against values computed by hand in f64.

use burn::tensor::{Device, Tensor};
use hearth_engine::contrastive::{Contrast, batch_loss};

const IMAGES: [[f32; 2]; 3] = [[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
const TEXTS: [[f32; 2]; 3] = [[0.8, 0.6], [0.6, 0.8], [-0.6, 0.8]];

fn logits(scale: f64, bias: f64) -> [[f64; 3]; 3] {
    let dot = |a: [f32; 2], b: [f32; 2]| {
        f64::from(a[0]) * f64::from(b[0]) + f64::from(a[1]) * f64::from(b[1])
    };
    IMAGES.map(|image| TEXTS.map(|text| scale.exp() * dot(image, text) + bias))
}

fn loss(contrast: Contrast, scale: f32, bias: Option<f32>) -> f64 {
    let device = Device::flex();
    let vector = |value: f32| Tensor::<1>::from_data([value], &device);
    let images = Tensor::<2>::from_data(IMAGES, &device);
    let texts = Tensor::<2>::from_data(TEXTS, &device);
    f64::from(
        batch_loss(contrast, images, texts, vector(scale), bias.map(vector)).into_scalar::<f32>(),
    )
}

#[test]
fn siglip_is_a_sum_of_binary_decisions_per_image() {
    let logits = logits(2.25, -10.0);
    let mut expected = 0.0;
    for (i, row) in logits.iter().enumerate() {
        for (j, z) in row.iter().enumerate() {
            let signed = if i == j { *z } else { -z };
            expected += (1.0 + (-signed).exp()).ln();
        }
    }
    let found = loss(Contrast::SigLip, 2.25, Some(-10.0));
    assert!((found - expected / 3.0).abs() < 1e-5 * expected, "{found} {expected}");
}

#[test]
fn clip_is_the_mean_of_two_cross_entropies() {
    let logits = logits(2.6592, 0.0);
    let mut expected = 0.0;
    for (i, own) in logits.iter().enumerate() {
        let row: f64 = own.iter().map(|z| z.exp()).sum();
        let column: f64 = logits.iter().map(|row| row[i].exp()).sum();
        expected += 0.5 * (row.ln() + column.ln()) - own[i];
    }
    let found = loss(Contrast::Clip, 2.6592, None);
    assert!((found - expected / 3.0).abs() < 1e-5 * expected, "{found} {expected}");
}

#[test]
fn extreme_calibrations_stay_finite() {
    for contrast in [Contrast::SigLip, Contrast::Clip] {
        for (scale, bias) in [(4.6052, -30.0), (4.6052, 100.0), (0.0, -1000.0)] {
            assert!(loss(contrast, scale, Some(bias)).is_finite(), "{contrast:?} {scale} {bias}");
        }
    }
}
