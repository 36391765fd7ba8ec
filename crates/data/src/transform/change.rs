//! The changes that RandAugment chooses from, on 8-bit pixels with Pillow's arithmetic.

use super::affine::{self, Matrix};
use super::colour::{self, ColourOp};
use crate::picture::Picture;
use crate::resize::Filter;

/// One change of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PictureOp {
    /// The darkest value of each channel becomes 0, the lightest 255.
    AutoContrast,
    /// The values of each channel become equally frequent.
    Equalize,
    /// Light becomes dark.
    Invert,
    /// Keeps so many leading bits: all from 8 on, none up to 0.
    Posterize(i32),
    /// Inverts values from here on.
    Solarize(u16),
    /// Adds to values below 128.
    SolarizeAdd(u8),
    /// Colour as torchvision's jitter changes it.
    Colour(ColourOp),
    /// From smoothed (0) through unchanged (1) to sharpened.
    Sharpness(f64),
    /// Turns counter-clockwise, in degrees.
    Rotate(f64),
    /// Moves every row by so many columns more than the one above.
    ShearX(f64),
    /// Moves every column by so many rows more than the one on its left.
    ShearY(f64),
    /// Moves to the left, in widths.
    TranslateX(f64),
    /// Moves up, in heights.
    TranslateY(f64),
}

/// A change with what moving pixels needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// What changes.
    pub op: PictureOp,
    /// How pixels between pixels are found.
    pub filter: Filter,
    /// What comes in from outside.
    pub fill: [u8; 3],
}

impl Change {
    /// Changes the picture; its size stays.
    pub fn apply(&self, picture: &mut Picture) {
        match self.op {
            PictureOp::AutoContrast => each_channel(picture, stretched),
            PictureOp::Equalize => each_channel(picture, equalized),
            PictureOp::Invert => values(picture, |value| 255 - value),
            PictureOp::Posterize(bits) => {
                let mask = 255u32 << (8 - bits.clamp(0, 8));
                values(picture, |value| value & mask as u8);
            }
            PictureOp::Solarize(from) => {
                values(picture, |v| if u16::from(v) < from { v } else { 255 - v });
            }
            PictureOp::SolarizeAdd(more) => {
                values(
                    picture,
                    |value| if value < 128 { value.saturating_add(more) } else { value },
                );
            }
            PictureOp::Colour(op) => op.apply(picture),
            PictureOp::Sharpness(factor) => sharpen(picture, factor as f32),
            PictureOp::Rotate(degrees) => {
                self.transform(picture, affine::rotation(degrees, picture.width, picture.height));
            }
            PictureOp::ShearX(by) => self.transform(picture, [1.0, by, 0.0, 0.0, 1.0, 0.0]),
            PictureOp::ShearY(by) => self.transform(picture, [1.0, 0.0, 0.0, by, 1.0, 0.0]),
            PictureOp::TranslateX(by) => {
                let pixels = by * f64::from(picture.width);
                self.transform(picture, [1.0, 0.0, pixels, 0.0, 1.0, 0.0]);
            }
            PictureOp::TranslateY(by) => {
                let pixels = by * f64::from(picture.height);
                self.transform(picture, [1.0, 0.0, 0.0, 0.0, 1.0, pixels]);
            }
        }
    }

    fn transform(&self, picture: &mut Picture, matrix: Matrix) {
        *picture = affine::transform(picture, matrix, self.filter, self.fill);
    }
}

/// Changes every value alike.
fn values(picture: &mut Picture, change: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| change(value as u8));
    picture.pixels.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Changes the values of each channel by a table made from how often each occurs.
fn each_channel(picture: &mut Picture, table: impl Fn(&[u32; 256]) -> [u8; 256]) {
    let pixels = picture.pixels.as_chunks_mut::<3>().0;
    let mut counts = [[0; 256]; 3];
    for pixel in &*pixels {
        for (counts, &value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    let tables = counts.each_ref().map(table);
    for pixel in pixels {
        for (table, value) in tables.iter().zip(pixel) {
            *value = table[usize::from(*value)];
        }
    }
}

/// Pillow's `ImageOps.autocontrast`.
fn stretched(counts: &[u32; 256]) -> [u8; 256] {
    let occurs = |&value: &usize| counts[value] > 0;
    let lowest = (0..256).find(occurs).unwrap_or(0);
    let highest = (0..256).rfind(occurs).unwrap_or(0);
    if highest <= lowest {
        return unchanged();
    }
    let scale = 255.0 / (highest - lowest) as f64;
    let offset = -(lowest as f64) * scale;
    std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
}

/// Pillow's `ImageOps.equalize`.
fn equalized(counts: &[u32; 256]) -> [u8; 256] {
    let last = counts.iter().rfind(|&&count| count > 0).copied().unwrap_or(0);
    let step = (counts.iter().sum::<u32>() - last) / 255;
    // A single value leaves nothing but the last: the step is 0 as well.
    if step == 0 {
        return unchanged();
    }
    let mut below = step / 2;
    counts.map(|count| {
        let value = (below / step).min(255);
        below += count;
        value as u8
    })
}

fn unchanged() -> [u8; 256] {
    std::array::from_fn(|value| value as u8)
}

/// Away from (below 1: towards) the picture smoothed by Pillow's `SMOOTH`: the eight neighbours once and
/// the pixel five times. It leaves the edge as it is, and pictures of fewer than three rows or columns.
fn sharpen(picture: &mut Picture, factor: f32) {
    let (width, height) = (picture.width as usize, picture.height as usize);
    if width < 3 || height < 3 {
        return;
    }
    let stride = 3 * width;
    let source = picture.pixels.clone();
    for row in 1..height - 1 {
        let line = |row: usize| &source[row * stride..(row + 1) * stride];
        let (above, own, below) = (line(row - 1), line(row), line(row + 1));
        let inner = row * stride + 3..(row + 1) * stride - 3;
        for (i, value) in picture.pixels[inner].iter_mut().enumerate() {
            let three =
                |line: &[u8]| u32::from(line[i]) + u32::from(line[i + 3]) + u32::from(line[i + 6]);
            let sum = three(above) + three(own) + three(below) + 4 * u32::from(own[i + 3]);
            // Rounded: thirteenths are never half way.
            let smooth = (2 * sum + 13) / 26;
            *value = colour::between(smooth as u8, *value, factor);
        }
    }
}
