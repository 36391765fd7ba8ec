//! Naming a file's format by its first bytes.

use std::fmt;

/// A format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Joint Photographic Experts Group.
    Jpeg,
    /// Portable Network Graphics.
    Png,
    /// Google's format, lossy or lossless.
    WebP,
    /// Graphics Interchange Format.
    Gif,
    /// Windows bitmap.
    Bmp,
    /// Tag Image File Format.
    Tiff,
}

/// The formats that are decoded, for messages.
pub(super) const SUPPORTED: &str = "JPEG, PNG, WebP, GIF, BMP and TIFF";

pub(super) const LFS: &str = "a Git LFS pointer instead of the picture";

impl Format {
    /// As messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// (offset, bytes at that offset, format); the first match counts.
const DECODED: &[(usize, &[u8], Format)] = &[
    (0, b"\xFF\xD8\xFF", Format::Jpeg),
    (0, b"\x89PNG\r\n\x1A\n", Format::Png),
    (8, b"WEBPVP8", Format::WebP),
    (0, b"GIF87a", Format::Gif),
    (0, b"GIF89a", Format::Gif),
    (0, b"II*\0", Format::Tiff),
    (0, b"MM\0*", Format::Tiff),
    (0, b"II+\0", Format::Tiff),
    (0, b"MM\0+", Format::Tiff),
];

/// Sizes of the header that follows the first 14 bytes of a BMP: `BM` alone begins many a text.
const BMP_HEADERS: [u8; 8] = [12, 16, 40, 52, 56, 64, 108, 124];

/// (offset, bytes at that offset, name) of what is refused; the first match counts.
const REFUSED: &[(usize, &[u8], &str)] = &[
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftyp", "an MP4 or HEIF file"),
    (0, b"\0\0\0\x0CjP  ", "JPEG 2000"),
    (0, b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0CJXL ", "JPEG XL"),
    (0, b"\xFF\x0A", "JPEG XL"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\x01\0", "an icon file"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"DDS ", "DDS"),
    (0, b"qoif", "QOI"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1F\x8B", "a gzip file"),
    (0, b"version https://git-lfs", LFS),
];

/// The format; for others a name, or a description that helps to find out what happened.
pub(super) fn recognise(bytes: &[u8]) -> Result<Format, &'static str> {
    let stands = |offset: usize, signature: &[u8]| {
        bytes.get(offset..).is_some_and(|rest| rest.starts_with(signature))
    };
    if let Some(&(_, _, format)) = DECODED.iter().find(|found| stands(found.0, found.1)) {
        return Ok(format);
    }
    if let [b'B', b'M', .., size, 0, 0, 0] = bytes.get(..18).unwrap_or_default()
        && BMP_HEADERS.contains(size)
    {
        return Ok(Format::Bmp);
    }
    let refused = REFUSED.iter().find(|found| stands(found.0, found.1));
    Err(refused.map_or_else(|| describe(bytes), |found| found.2))
}

/// What a file without a signature may be.
fn describe(bytes: &[u8]) -> &'static str {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{FEFF}').trim_start().to_lowercase();
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "an HTML page (a failed download?)"
    } else if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) {
        "SVG"
    } else if !start.is_empty() && start.iter().all(|&b| b == 0) {
        "a file that starts with zero bytes (a failed copy?)"
    } else if start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
        "text"
    } else {
        "an unknown format"
    }
}
