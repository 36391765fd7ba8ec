//! The orientation that a file asks for, found without decoding: as Pillow's `getexif` finds it.
//!
//! EXIF first, then the XMP packet. TIFF is not here: its orientation is part of the format, and the
//! decoder applies it always, as Pillow does.

use super::format::Format;
use super::ifd::Directory;
use super::orientation::Orientation;
use super::{jpeg, png, webp};

/// Number of the tag, in TIFF too.
pub(super) const ORIENTATION: u16 = 274;

/// The blocks of a file that may say how it lies.
#[derive(Debug, Default)]
pub(super) struct Blocks<'a> {
    pub(super) exif: Option<&'a [u8]>,
    pub(super) xmp: Option<&'a [u8]>,
}

/// What the file asks for; upright where it asks for nothing, or for nonsense.
pub(super) fn orientation(format: Format, bytes: &[u8]) -> Orientation {
    let blocks = match format {
        Format::Jpeg => jpeg::blocks(bytes),
        Format::Png => png::blocks(bytes),
        Format::WebP => webp::blocks(bytes),
        Format::Gif | Format::Bmp | Format::Tiff => Blocks::default(),
    };
    let number = blocks.exif.and_then(of_exif).or_else(|| blocks.xmp.and_then(of_xmp));
    number.and_then(Orientation::from_exif).unwrap_or(Orientation::UPRIGHT)
}

fn of_exif(mut block: &[u8]) -> Option<u64> {
    while let Some(rest) = block.strip_prefix(b"Exif\0\0") {
        block = rest;
    }
    Directory::first(block)?.number(ORIENTATION)
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn of_xmp(packet: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet.windows(NAME.len()).enumerate().find_map(|(at, window)| {
        let rest = packet.get(at + NAME.len()..).filter(|_| window == NAME)?;
        let digit = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?.first()?;
        digit.is_ascii_digit().then(|| u64::from(digit - b'0'))
    })
}
