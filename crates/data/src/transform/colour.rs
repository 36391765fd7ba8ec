//! Changes of colour on 8-bit pixels with Pillow's arithmetic, rounding included.

use crate::picture::Picture;

/// One change of colour. A factor of 1 (a turn of 0) changes nothing but rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ColourOp {
    /// Away from (below 1: towards) black.
    Brightness(f64),
    /// Away from the mean grey.
    Contrast(f64),
    /// Away from the pixel's own grey.
    Saturation(f64),
    /// Around the colour circle; 1 is a full turn.
    Hue(f64),
}

impl ColourOp {
    /// Changes the picture.
    pub fn apply(self, picture: &mut Picture) {
        let pixels = picture.pixels.as_chunks_mut::<3>().0;
        match self {
            ColourOp::Brightness(factor) => blend(pixels, factor, |_| 0),
            ColourOp::Contrast(factor) => {
                let grey = mean_grey(pixels);
                blend(pixels, factor, |_| grey);
            }
            ColourOp::Saturation(factor) => blend(pixels, factor, luma),
            ColourOp::Hue(turn) => {
                // Eight bits are the whole circle: adding wraps around as it should.
                let steps = (turn * 255.0) as i32 as u8;
                for pixel in pixels {
                    let [hue, saturation, value] = to_hsv(*pixel);
                    *pixel = to_rgb([hue.wrapping_add(steps), saturation, value]);
                }
            }
        }
    }
}

/// Every pixel to its own grey.
pub(super) fn grayscale(picture: &mut Picture) {
    for pixel in picture.pixels.as_chunks_mut::<3>().0 {
        *pixel = [luma(*pixel); 3];
    }
}

/// ITU-R 601 grey in 16-bit fixed point.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000) >> 16) as u8
}

fn mean_grey(pixels: &[[u8; 3]]) -> u8 {
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(luma(pixel))).sum();
    (sum as f64 / pixels.len() as f64 + 0.5) as u8
}

/// From `base` (factor 0) through the pixel (factor 1) and beyond; fractions are cut off.
fn blend(pixels: &mut [[u8; 3]], factor: f64, base: impl Fn([u8; 3]) -> u8) {
    let factor = factor as f32;
    for pixel in pixels {
        let from = base(*pixel);
        *pixel = pixel.map(|value| between(from, value, factor));
    }
}

/// From `from` (factor 0) through `to` (factor 1) and beyond.
pub(super) fn between(from: u8, to: u8, factor: f32) -> u8 {
    let from = f32::from(from);
    // A float outside 0..=255 becomes the nearer of the two.
    (from + factor * (f32::from(to) - from)) as u8
}

/// Hue, saturation and value, each in 0..=255.
fn to_hsv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (largest, smallest) = (r.max(g).max(b), r.min(g).min(b));
    if largest == smallest {
        return [0, 0, largest];
    }
    let range = f32::from(largest - smallest);
    let saturation = range / f32::from(largest);
    let [red, green, blue] = [r, g, b].map(|c| f32::from(largest - c) / range);
    let sixths = if r == largest {
        blue - green
    } else if g == largest {
        (2.0 + f64::from(red) - f64::from(blue)) as f32
    } else {
        (4.0 + f64::from(green) - f64::from(red)) as f32
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, largest]
}

fn to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    // Pillow mixes two precisions; where each value is cut to 32 bits decides a few last bits.
    let sixths = f64::from(hue) * 6.0 / 255.0;
    let sector = sixths.floor();
    let within = (sixths - sector) as f32;
    let share = (f64::from(saturation) / 255.0) as f32;
    let less = |part: f64| (f64::from(value) * (1.0 - part)).round() as u8;
    let p = less(f64::from(share));
    let q = less(f64::from(share * within));
    let t = less(f64::from(share) * (1.0 - f64::from(within)));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// SHA-256 over a conversion of all 2^24 colours, against Pillow's.
    #[track_caller]
    fn check(name: &str, convert: impl Fn([u8; 3]) -> Vec<u8>) {
        let manifest =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/data/pictures/manifest.json");
        let manifest = std::fs::read_to_string(manifest).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let mut digest = Sha256::new();
        for colour in 0..1u32 << 24 {
            let [_, r, g, b] = colour.to_be_bytes();
            digest.update(convert([r, g, b]));
        }
        let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, manifest["all_colours"][name].as_str().unwrap());
    }

    #[test]
    fn grey_of_every_colour() {
        check("grey", |colour| vec![luma(colour)]);
    }

    #[test]
    fn hsv_of_every_colour() {
        check("to_hsv", |colour| to_hsv(colour).to_vec());
    }

    #[test]
    fn every_hsv_colour() {
        check("from_hsv", |colour| to_rgb(colour).to_vec());
    }
}
