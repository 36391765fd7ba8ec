//! PNG through the `image` crate, with Pillow's conversions: alpha dropped, high byte of 16 bits.

use std::io::{Cursor, ErrorKind};

use image::codecs::png::PngDecoder;
use image::{ColorType, ImageDecoder, ImageError};

use super::exif::Blocks;
use super::{Limits, PictureError, check_size, colour, format::Format};
use crate::picture::Picture;

/// What the decoder may take besides the pixels: rows, and metadata that a bomb would inflate.
const WORKING_MEMORY: u64 = 64 << 20;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let header: &[u8; 8] = bytes
        .get(16..24)
        .and_then(|header| header.try_into().ok())
        .ok_or(PictureError::Truncated { format: Format::Png })?;
    let &[w0, w1, w2, w3, h0, h1, h2, h3] = header;
    let (width, height) =
        (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    check_size(width, height, limits)?;

    let mut working = image::Limits::no_limits();
    working.max_alloc = Some(WORKING_MEMORY);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), working).map_err(failure)?;
    let (color, size) = (decoder.color_type(), decoder.total_bytes());
    // The size is known to be sane: at most 8 bytes for each of the pixels that the limits allow.
    let mut samples = vec![0; size as usize];
    decoder.read_image(&mut samples).map_err(failure)?;
    let damaged = || PictureError::Damaged {
        format: Format::Png,
        problem: "the header contradicts itself".to_owned(),
    };
    Picture::new(width, height, to_rgb(samples, color).ok_or_else(damaged)?).ok_or_else(damaged)
}

/// EXIF and XMP, in front of the picture or behind it.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((kind, body, behind)) = chunk(rest) {
        match kind {
            b"eXIf" if blocks.exif.is_none() => blocks.exif = Some(body),
            b"iTXt" if body.starts_with(b"XML:com.adobe.xmp\0") => blocks.xmp = Some(body),
            _ => {}
        }
        rest = behind;
    }
    blocks
}

/// Name and content of the chunk in front, and what follows it.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (_checksum, rest) = rest.split_first_chunk::<4>()?;
    Some((kind, body, rest))
}

/// Drops alpha and repeats grey. `None` for a layout that PNG does not have.
///
/// Differs from Pillow for 16-bit grey, which it clips at 255 so that most of it is white: the high
/// byte, as everywhere else.
fn to_rgb(samples: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let pixels = match color {
        ColorType::Rgb8 => samples,
        ColorType::L8 => colour::from_grey(&samples, 1),
        ColorType::La8 => colour::from_grey(&samples, 2),
        ColorType::Rgba8 => colour::first_three(&samples, 4),
        ColorType::L16 => colour::from_grey(&colour::high_bytes(&samples), 1),
        ColorType::La16 => colour::from_grey(&colour::high_bytes(&samples), 2),
        ColorType::Rgb16 => colour::high_bytes(&samples),
        ColorType::Rgba16 => colour::first_three(&colour::high_bytes(&samples), 4),
        _ => return None,
    };
    Some(pixels)
}

fn failure(error: ImageError) -> PictureError {
    match error {
        ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format: Format::Png }
        }
        error => PictureError::Damaged { format: Format::Png, problem: error.to_string() },
    }
}
