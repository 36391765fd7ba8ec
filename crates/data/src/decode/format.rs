//! Naming a file's format by its first bytes.

pub(super) const JPEG: &str = "JPEG";
pub(super) const PNG: &str = "PNG";
pub(super) const LFS: &str = "a Git LFS pointer instead of the picture";

/// (offset, bytes at that offset, name); the first match counts.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"\xFF\xD8\xFF", JPEG),
    (0, b"\x89PNG\r\n\x1A\n", PNG),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftyp", "an MP4 or HEIF file"),
    (0, b"\0\0\0\x0CjP  ", "JPEG 2000"),
    (0, b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0CJXL ", "JPEG XL"),
    (0, b"\xFF\x0A", "JPEG XL"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\x01\0", "an icon file"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"DDS ", "DDS"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"\x1F\x8B", "a gzip file"),
    (0, b"version https://git-lfs", LFS),
];

/// The format's name; for unknown bytes a description that helps to find out what happened.
pub(super) fn recognise(bytes: &[u8]) -> &'static str {
    for &(offset, signature, name) in SIGNATURES {
        if bytes.get(offset..).is_some_and(|rest| rest.starts_with(signature)) {
            return name;
        }
    }
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let text = String::from_utf8_lossy(start).trim_start().to_lowercase();
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
