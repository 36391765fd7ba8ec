//! JPEG through zune-jpeg: strictly first, leniently where that fails.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Limits, PictureError, check_size, format};
use crate::picture::Picture;

enum Failure {
    /// Final: another attempt would refuse it as well.
    Refused(PictureError),
    Broken(DecodeErrors),
}

/// Decodes as libjpeg and Pillow do: what ends early is an error, what is odd but complete is not.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    if !reaches_end_marker(bytes) {
        return Err(PictureError::Truncated { format: format::JPEG });
    }
    let strict = attempt(bytes, limits, true);
    let result = match strict {
        Err(Failure::Broken(_)) => attempt(bytes, limits, false),
        result => result,
    };
    result.map_err(|failure| match failure {
        Failure::Refused(error) => error,
        Failure::Broken(error) => {
            PictureError::Damaged { format: format::JPEG, problem: error.to_string() }
        }
    })
}

fn attempt(bytes: &[u8], limits: &Limits, strict: bool) -> Result<Picture, Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failure)?;
    let info = decoder.info().expect("the headers are decoded");
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height, limits).map_err(Failure::Refused)?;
    if !matches!(info.components, 1 | 3 | 4) {
        let found = format!("a JPEG of {} components", info.components);
        return Err(Failure::Refused(PictureError::Kind { found }));
    }
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    decoder.decode_into(&mut pixels).map_err(failure)?;
    Ok(Picture { width, height, pixels })
}

fn failure(error: DecodeErrors) -> Failure {
    match error {
        DecodeErrors::Unsupported(scheme) => {
            let found = format!("a JPEG that needs another decoder ({scheme:?})");
            Failure::Refused(PictureError::Kind { found })
        }
        error => Failure::Broken(error),
    }
}

/// True when an end-of-image marker follows the first scan. Segments before it are skipped: the
/// thumbnail inside EXIF data has an end marker of its own.
fn reaches_end_marker(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        const START_OF_SCAN: u8 = 0xDA;
        if marker == START_OF_SCAN {
            break;
        }
        at += if marker == 0xFF { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])) };
    }
    bytes.get(at..).is_some_and(|scans| scans.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]))
}
