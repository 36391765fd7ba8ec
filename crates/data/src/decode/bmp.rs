//! BMP through the `image` crate, with Pillow's arithmetic where a pixel has 16 bits.

use std::io::{Cursor, ErrorKind};

use image::codecs::bmp::BmpDecoder;
use image::{ColorType, ImageDecoder, ImageError};

use super::{Limits, PictureError, check_size, colour, format::Format};
use crate::picture::Picture;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(failure)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let color = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(failure)?;
    let mut pixels = match color {
        ColorType::L8 => colour::from_grey(&samples, 1),
        ColorType::Rgba8 => colour::first_three(&samples, 4),
        _ => samples,
    };
    if let Some(depths) = depths_of_16_bits(bytes) {
        for pixel in pixels.as_chunks_mut::<3>().0 {
            for (value, depth) in pixel.iter_mut().zip(depths) {
                *value = truncated(*value, depth);
            }
        }
    }
    Picture::new(width, height, pixels).ok_or_else(|| PictureError::Damaged {
        format: Format::Bmp,
        problem: "the header contradicts itself".to_owned(),
    })
}

/// Bits of red, green and blue where a pixel has 16 of them in all.
fn depths_of_16_bits(bytes: &[u8]) -> Option<[u32; 3]> {
    const OLDEST_HEADER: u32 = 12;
    const MASKS: u32 = 3;
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    if word(14)? == OLDEST_HEADER || word(28)? & 0xFFFF != 16 {
        return None;
    }
    if word(30)? != MASKS {
        return Some([5; 3]);
    }
    Some([word(54)?.count_ones(), word(58)?.count_ones(), word(62)?.count_ones()])
}

/// A value of few bits, stretched to 8 with rounding, as Pillow stretches it: without.
fn truncated(value: u8, depth: u32) -> u8 {
    match depth {
        5 | 6 => {
            let most = (1 << depth) - 1;
            ((u32::from(value) >> (8 - depth)) * 255 / most) as u8
        }
        _ => value,
    }
}

fn failure(error: ImageError) -> PictureError {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format: Format::Bmp }
        }
        ImageError::Unsupported(error) => PictureError::Kind {
            found: format!("a BMP that needs another decoder ({error})"),
            needed: "1 to 32 bits a pixel, uncompressed or run-length encoded",
        },
        error => PictureError::Damaged { format: Format::Bmp, problem: error.to_string() },
    }
}
