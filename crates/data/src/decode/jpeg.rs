//! JPEG with libjpeg-turbo's own arithmetic (in Rust), so that pixels are Pillow's.

use libjpeg_turbo_rs::{
    ComponentInfo, DecodeLimits, DecodeWarning, Decoder, FrameHeader, JpegError, PixelFormat,
    ScalingFactor,
};

use super::exif::Blocks;
use super::{Limits, PictureError, check_size, format::Format};
use crate::picture::Picture;
use crate::resize::{Piece, Window};

/// Pixels around a part whose colours may be wrong.
const MARGIN: u32 = 8;

const NEEDED: &str = "8-bit grey, RGB or CMYK";

/// Decodes as libjpeg and Pillow do: what ends early is an error, what is odd but complete is not.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    open(bytes, limits)?.whole()
}

/// A JPEG whose headers are read.
pub(super) struct File<'a> {
    bytes: &'a [u8],
    decoder: Decoder<'a>,
    width: u32,
    height: u32,
}

/// Reads the headers and refuses what cannot be decoded.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &Limits) -> Result<File<'a>, PictureError> {
    if !reaches_end_marker(bytes) {
        return Err(PictureError::Truncated { format: Format::Jpeg });
    }
    // Sizes are ours to refuse: in `check_size`, before the first allocation that depends on them.
    let decoder = headers(bytes)?;
    let header = decoder.header();
    let (width, height) = (u32::from(header.width), u32::from(header.height));
    check_size(width, height, limits)?;
    check_kind(header)?;
    Ok(File { bytes, decoder, width, height })
}

fn headers(bytes: &[u8]) -> Result<Decoder<'_>, PictureError> {
    let side = usize::from(u16::MAX);
    let limits = DecodeLimits { max_width: side, max_height: side, ..DecodeLimits::default() };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(failure)?;
    decoder.set_output_format(PixelFormat::Rgb);
    Ok(decoder)
}

impl File<'_> {
    pub(super) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn whole(mut self) -> Result<Picture, PictureError> {
        // What Pillow only warns about, the decoder refuses at first; strictness has the faster loops.
        let image = self.decoder.decode_image().or_else(|_| {
            self.decoder.set_lenient(true);
            self.decoder.decode_image()
        });
        let image = image.map_err(failure)?;
        if let Some(found) = image.warnings.into_iter().find_map(unsupported) {
            return Err(PictureError::Kind { found, needed: NEEDED });
        }
        Picture::new(self.width, self.height, image.data)
            .ok_or_else(|| damaged("the sizes contradict each other"))
    }

    /// At least `window` of the picture divided by `shrink`; all of it in its own size where the decoder
    /// makes no less of it.
    pub(super) fn piece(mut self, window: Window, shrink: u32) -> Result<Piece, PictureError> {
        // Of CMYK the decoder gives other pixels where it leaves some out.
        let inks = self.decoder.header().components.len() == 4;
        if !inks && window != Window::all(self.width, self.height) {
            if let Some(piece) = self.part(window, shrink) {
                return Ok(piece);
            }
            self.decoder = headers(self.bytes)?;
        }
        Ok(Piece { pixels: self.whole()?, left: 0, top: 0, shrink: 1 })
    }

    /// `None` for what is odd in any way: the whole picture is decoded with more patience.
    fn part(&mut self, window: Window, shrink: u32) -> Option<Piece> {
        let decoder = &mut self.decoder;
        decoder.set_scale(ScalingFactor::try_new(1, shrink).ok()?);
        let (width, height) = (self.width.div_ceil(shrink), self.height.div_ceil(shrink));
        // At the edges of a part the decoder has no neighbours to blend colours with.
        let left = window.left.saturating_sub(MARGIN);
        let right = (window.left + window.width + MARGIN).min(width);
        decoder.set_crop(left as usize, (right - left) as usize);
        // Rows in front are decoded into memory and moved once: worth it where many are left out.
        let (top, rows) = match window.height < height / 4 * 3 {
            true => (window.top, window.height),
            false => (0, height),
        };
        if rows < height {
            decoder.set_crop_y(top as usize, rows as usize);
        }
        let image = decoder.decode_image().ok().filter(|image| image.warnings.is_empty())?;
        // It may begin in front of what was asked for, and ends there.
        let left = right.checked_sub(u32::try_from(image.width).ok()?)?;
        let fits = left <= window.left && image.height == rows as usize;
        let pixels = Picture::new(right - left, rows, image.data).filter(|_| fits)?;
        Some(Piece { pixels, left, top, shrink })
    }
}

/// Refuses what has no conversion to 8-bit RGB, and CMYK whose inks the decoder cannot scale.
fn check_kind(header: &FrameHeader) -> Result<(), PictureError> {
    let sampling = |part: &ComponentInfo| (part.horizontal_sampling, part.vertical_sampling);
    let found = match header.components.as_slice() {
        _ if header.precision != 8 => format!("a JPEG of {} bits", header.precision),
        [_] | [_, _, _] => return Ok(()),
        [c, m, y, k] => {
            let (width, height) = sampling(c);
            let fits = |(w, h)| w > 0 && h > 0 && width % w == 0 && height % h == 0;
            if sampling(k) == (width, height) && fits(sampling(m)) && fits(sampling(y)) {
                return Ok(());
            }
            "a CMYK JPEG with unusual sampling".to_owned()
        }
        parts => format!("a JPEG of {} components", parts.len()),
    };
    Err(PictureError::Kind { found, needed: NEEDED })
}

/// What the lenient decoder would rather paint grey than refuse.
fn unsupported(warning: DecodeWarning) -> Option<String> {
    match warning {
        DecodeWarning::UnsupportedRecovered { detail } => Some(kind(&detail)),
        _ => None,
    }
}

fn failure(error: JpegError) -> PictureError {
    match error {
        JpegError::Unsupported(scheme) => {
            PictureError::Kind { found: kind(&scheme), needed: NEEDED }
        }
        error => damaged(&error.to_string()),
    }
}

fn kind(scheme: &str) -> String {
    format!("a JPEG that needs another decoder ({scheme})")
}

fn damaged(problem: &str) -> PictureError {
    PictureError::Damaged { format: Format::Jpeg, problem: problem.to_owned() }
}

/// True when an end-of-image marker follows the first scan. Segments before it are skipped: the
/// thumbnail inside EXIF data has an end marker of its own.
fn reaches_end_marker(bytes: &[u8]) -> bool {
    let mut segments = Segments { bytes, at: 2 };
    segments.by_ref().for_each(drop);
    let scans = bytes.get(segments.at..).unwrap_or_default();
    scans.windows(2).rev().any(|pair| pair == [0xFF, 0xD9])
}

/// EXIF and XMP, which stand in front of the first scan.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    const APPLICATION_1: u8 = 0xE1;
    let mut blocks = Blocks::default();
    for (_, body) in (Segments { bytes, at: 2 }).filter(|segment| segment.0 == APPLICATION_1) {
        if body.starts_with(b"Exif\0\0") {
            blocks.exif = blocks.exif.or(Some(body));
        } else if body.starts_with(b"http://ns.adobe.com/xap/1.0/\0") {
            blocks.xmp = Some(body);
        }
    }
    blocks
}

/// The segments in front of the first scan: markers and what they hold.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        const START_OF_SCAN: u8 = 0xDA;
        loop {
            let &[0xFF, marker, high, low] = self.bytes.get(self.at..self.at + 4)? else {
                return None;
            };
            match marker {
                START_OF_SCAN => return None,
                0xFF => self.at += 1, // a fill byte
                _ => {
                    let start = self.at + 4;
                    self.at += 2 + usize::from(u16::from_be_bytes([high, low]));
                    let body = self.bytes.get(start..self.at).unwrap_or_default();
                    return Some((marker, body));
                }
            }
        }
    }
}
