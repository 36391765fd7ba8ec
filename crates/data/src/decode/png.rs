//! PNG through the `image` crate, with Pillow's conversions: alpha dropped, high byte of 16 bits.

use std::io::{Cursor, ErrorKind};

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, ImageError};

use super::{Limits, PictureError, check_size, format};
use crate::picture::Picture;

/// What the decoder may take besides the pixels: rows, and metadata that a bomb would inflate.
const WORKING_MEMORY: u64 = 64 << 20;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let header: &[u8; 10] = bytes
        .get(16..26)
        .and_then(|header| header.try_into().ok())
        .ok_or(PictureError::Truncated { format: format::PNG })?;
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, kind] = header;
    let (width, height) =
        (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    check_size(width, height, limits)?;
    if (depth, kind) == (16, 0) {
        // Pillow clips these at 255, which makes most of them white. No scale is right for all.
        return Err(PictureError::Kind { found: "a 16-bit grey PNG".to_owned() });
    }

    let mut working = image::Limits::no_limits();
    working.max_alloc = Some(WORKING_MEMORY);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), working).map_err(failure)?;
    let (color, size) = (decoder.color_type(), decoder.total_bytes());
    // The size is known to be sane: at most 8 bytes for each of the pixels that the limits allow.
    let mut samples = vec![0; size as usize];
    decoder.read_image(&mut samples).map_err(failure)?;
    let damaged = || PictureError::Damaged {
        format: format::PNG,
        problem: "the header contradicts itself".to_owned(),
    };
    Picture::new(width, height, to_rgb(samples, color).ok_or_else(damaged)?).ok_or_else(damaged)
}

/// Drops alpha and repeats grey. `None` for a layout that PNG does not have.
fn to_rgb(samples: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let pixels = match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::La8 => samples.chunks_exact(2).flat_map(|pixel| [pixel[0]; 3]).collect(),
        ColorType::Rgba8 => without_alpha(&samples, 4),
        ColorType::La16 => high_bytes(&samples).chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::Rgb16 => high_bytes(&samples),
        ColorType::Rgba16 => without_alpha(&high_bytes(&samples), 4),
        _ => return None,
    };
    Some(pixels)
}

fn without_alpha(samples: &[u8], channels: usize) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

fn high_bytes(samples: &[u8]) -> Vec<u8> {
    samples
        .chunks_exact(2)
        .map(|pair| (u16::from_ne_bytes([pair[0], pair[1]]) >> 8) as u8)
        .collect()
}

fn failure(error: ImageError) -> PictureError {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format: format::PNG }
        }
        error => PictureError::Damaged { format: format::PNG, problem: error.to_string() },
    }
}
