//! Pictures to files.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use crate::picture::Picture;

/// `picture` as a JPEG file of `quality` 1 to 100, its colours at half the resolution as cameras write them.
pub fn jpeg(picture: &Picture, quality: u8) -> Vec<u8> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    compress(&picture.pixels, width, height, PixelFormat::Rgb, quality, Subsampling::S420)
        .expect("a picture has as many pixels as its size says")
}

/// `picture` as a PNG file.
pub fn png(picture: &Picture) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (width, height) = (picture.width, picture.height);
    PngEncoder::new(&mut bytes)
        .write_image(&picture.pixels, width, height, ExtendedColorType::Rgb8)
        .expect("a picture has as many pixels as its size says");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Reading, decode_as};

    #[test]
    fn a_picture_comes_back() {
        let pixels = (0..3 * 20 * 10).map(|i| (i / 3 % 20 * 10) as u8).collect();
        let picture = Picture::new(20, 10, pixels).unwrap();
        let decoded = decode_as(&jpeg(&picture, 90), &Reading::default()).unwrap().picture;
        assert_eq!((decoded.width, decoded.height), (20, 10));
        let differences = decoded.pixels.iter().zip(&picture.pixels).map(|(a, b)| a.abs_diff(*b));
        assert!(differences.max().unwrap() < 12);
        let decoded = decode_as(&png(&picture), &Reading::default()).unwrap().picture;
        assert_eq!(decoded, picture);
    }
}
