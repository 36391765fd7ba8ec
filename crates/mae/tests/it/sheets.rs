//! Sheets: a perfect prediction gives the picture back, whatever was predicted.

use burn::tensor::{Device, Distribution, Tensor};
use hearth_mae::{
    autoencoder::Reconstruction,
    patches::{PatchOrder, normalized, patchify},
    sheet::{draw, rows},
};

const SIDE: usize = 32;
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];

#[test]
fn a_perfect_prediction_is_the_picture() {
    let device = Device::flex();
    let images = Tensor::<4>::random([2, 3, SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), &device);
    // The first of four patches is visible.
    let masked = Tensor::<3>::from_floats(
        [[[0.0], [1.0], [1.0], [1.0]], [[0.0], [1.0], [1.0], [1.0]]],
        &device,
    );
    for order in [PatchOrder::ChannelsFirst, PatchOrder::ChannelsLast] {
        for normalizes in [false, true] {
            let target = patchify(images.clone(), SIDE / 2, order);
            let patches = if normalizes { normalized(target) } else { target };
            // Nobody looks at what is predicted for a visible patch.
            let patches = patches + (masked.clone().neg() + 1.0) * 9.0;
            let prediction =
                Reconstruction { patches, order, grid: [2, 2], masked: masked.clone() };
            let sheet = draw(&rows(images.clone(), &prediction, normalizes), MEAN, STD);
            assert_eq!([sheet.width, sheet.height], [3 * 32 + 4, 2 * 32 + 2]);
            let value = |x: u32, y: u32, channel: usize| {
                i32::from(sheet.pixels[(y * sheet.width + x) as usize * 3 + channel])
            };
            let column = SIDE as u32 + 2;
            for (y, x) in (0..32).flat_map(|y| (0..32).map(move |x| (y, x))) {
                for channel in 0..3 {
                    let original = value(x, y, channel);
                    let visible = x < 16 && y < 16;
                    let seen = if visible { original } else { 128 };
                    assert_eq!(value(x + column, y, channel), seen);
                    assert!((value(x + 2 * column, y, channel) - original).abs() <= 1);
                }
            }
        }
    }
}
