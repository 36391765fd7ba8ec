//! TIFF with JPEG inside: every strip or tile is a JPEG, the tables common to all stand apart.

use super::super::ifd::Directory;
use super::super::{Limits, PictureError, jpeg};
use super::{Colours, Layout, damaged, kind, tag, truncated};
use crate::picture::Picture;

/// Longest common tables: a JPEG's quantization and Huffman tables are some hundred bytes.
const LONGEST_TABLES: usize = 64 << 10;

/// The size of the parts, and where their data stand.
struct Parts {
    width: u32,
    height: u32,
    places: Vec<(u64, u64)>,
}

pub(super) fn decode(
    directory: &Directory<'_>,
    layout: &Layout,
    bytes: &[u8],
) -> Result<Picture, PictureError> {
    // What Adobe's marker says of the colours, so that the JPEG decoder need not guess.
    let transform = match layout.colours {
        Colours::YCbCr => Some(1),
        Colours::Rgb => Some(0),
        Colours::Grey => None,
        Colours::Palette | Colours::Cmyk => return Err(kind("a CMYK TIFF with JPEG inside")),
    };
    if layout.is_planar || layout.bits != 8 {
        return Err(kind("a TIFF with JPEG inside, plane by plane or not of 8 bits"));
    }
    let parts = parts(directory, layout);
    // Parts that share their bytes would cost far more than a file of this size should.
    let total = parts.places.iter().fold(0_u64, |sum, &(_, length)| sum.saturating_add(length));
    if total > bytes.len() as u64 {
        return Err(damaged("its parts are larger than the file"));
    }
    let head = head(directory, transform)?;
    let across = layout.width.div_ceil(parts.width);
    if parts.places.len() as u64
        != u64::from(across) * u64::from(layout.height.div_ceil(parts.height))
    {
        return Err(damaged("the number of parts contradicts the size"));
    }
    let limits = Limits {
        side: parts.width.max(parts.height),
        pixels: u64::from(parts.width) * u64::from(parts.height),
        bytes: u64::MAX,
    };
    let mut pixels = vec![0; 3 * layout.width as usize * layout.height as usize];
    for (number, &(offset, length)) in parts.places.iter().enumerate() {
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let part = end.and_then(|end| bytes.get(offset as usize..end)).ok_or_else(truncated)?;
        let stream = [&head, part.strip_prefix(b"\xFF\xD8").unwrap_or(part)].concat();
        let part = jpeg::decode(&stream, &limits)?;
        let number = number as u32;
        let (left, top) = (number % across * parts.width, number / across * parts.height);
        let width = (layout.width - left).min(parts.width);
        let height = (layout.height - top).min(parts.height);
        if part.width < width || part.height < height {
            return Err(damaged("a part is smaller than its place"));
        }
        for row in 0..height {
            let target = 3 * ((top + row) as usize * layout.width as usize + left as usize);
            let source = 3 * row as usize * part.width as usize;
            let length = 3 * width as usize;
            pixels[target..target + length].copy_from_slice(&part.pixels[source..source + length]);
        }
    }
    Picture::new(layout.width, layout.height, pixels)
        .ok_or_else(|| damaged("the sizes contradict each other"))
}

fn parts(directory: &Directory<'_>, layout: &Layout) -> Parts {
    let number = |tag| directory.number(tag).and_then(|number| u32::try_from(number).ok());
    let numbers = |tag| directory.numbers(tag).unwrap_or_default();
    let (width, height, offsets, lengths) = match number(tag::TILE_WIDTH) {
        Some(width) => {
            (width, number(tag::TILE_HEIGHT).unwrap_or(0), tag::TILE_OFFSETS, tag::TILE_BYTES)
        }
        None => {
            let rows = number(tag::ROWS_PER_STRIP).unwrap_or(layout.height).min(layout.height);
            (layout.width, rows, tag::STRIP_OFFSETS, tag::STRIP_BYTES)
        }
    };
    let places = numbers(offsets).into_iter().zip(numbers(lengths)).collect();
    Parts { width: width.max(1), height: height.max(1), places }
}

/// Start of image, Adobe's marker and the common tables.
fn head(directory: &Directory<'_>, transform: Option<u8>) -> Result<Vec<u8>, PictureError> {
    let mut head = b"\xFF\xD8".to_vec();
    if let Some(transform) = transform {
        head.extend_from_slice(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0");
        head.push(transform);
    }
    let tables = directory.raw(tag::JPEG_TABLES).unwrap_or_default();
    if tables.len() > LONGEST_TABLES {
        let found = tables.len();
        return Err(damaged(&format!(
            "found {found} bytes of JPEG tables, at most {LONGEST_TABLES} are read"
        )));
    }
    let tables = tables.strip_prefix(b"\xFF\xD8").unwrap_or(tables);
    head.extend_from_slice(tables.strip_suffix(b"\xFF\xD9").unwrap_or(tables));
    Ok(head)
}
