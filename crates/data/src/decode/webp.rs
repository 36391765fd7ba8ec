//! The first frame of a WebP on its canvas, decoded by the `image` crate.
//!
//! The container is read here: sizes are known before anything is decoded, and of an animation or of a
//! picture with alpha only the colours of the first frame are decoded, which is what Pillow shows.

use std::io::Cursor;

use image::codecs::webp::WebPDecoder;
use image::{ColorType, ImageDecoder, ImageError};

use super::exif::Blocks;
use super::{Limits, PictureError, check_size, colour, format::Format};
use crate::picture::Picture;

/// A piece of the file: its name and what it holds.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    name: &'a [u8; 4],
    body: &'a [u8],
}

/// A frame and where it lies on the canvas.
struct Frame<'a> {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    pixels: Chunk<'a>,
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let end = bytes.get(4..8).and_then(|size| size.first_chunk());
    let end = end.map_or(u64::MAX, |&size| 8 + u64::from(u32::from_le_bytes(size)));
    if end > bytes.len() as u64 {
        return Err(PictureError::Truncated { format: Format::WebP });
    }
    let ([width, height], frame) = layout(bytes).ok_or_else(|| damaged("it holds no picture"))?;
    check_size(width, height, limits)?;
    let is_inside = frame.left + frame.width <= width && frame.top + frame.height <= height;
    if !is_inside || size_of(frame.pixels) != Some([frame.width, frame.height]) {
        return Err(damaged("the sizes contradict each other"));
    }
    let pixels = decode_frame(&frame)?;
    let whole = [frame.width, frame.height] == [width, height];
    let pixels = if whole { pixels } else { on_canvas(&pixels, &frame, width, height) };
    Picture::new(width, height, pixels).ok_or_else(|| damaged("the sizes contradict each other"))
}

/// EXIF and XMP, which stand behind the pictures.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    let of = |name: &[u8; 4]| Some(chunks(bytes.get(12..)?).find(|chunk| chunk.name == name)?.body);
    Blocks { exif: of(b"EXIF"), xmp: of(b"XMP ") }
}

/// Width and height of the canvas, and the first frame.
fn layout(bytes: &[u8]) -> Option<([u32; 2], Frame<'_>)> {
    let first = chunks(bytes.get(12..)?).next()?;
    if first.name != b"VP8X" {
        let size @ [width, height] = size_of(first)?;
        return Some((size, Frame { left: 0, top: 0, width, height, pixels: first }));
    }
    let canvas @ [width, height] =
        [three_bytes(first.body, 4)? + 1, three_bytes(first.body, 7)? + 1];
    let is_pixels = |chunk: &Chunk<'_>| matches!(chunk.name, b"VP8 " | b"VP8L");
    let shown = chunks(&bytes[12..]).find(|chunk| is_pixels(chunk) || chunk.name == b"ANMF")?;
    if is_pixels(&shown) {
        return Some((canvas, Frame { left: 0, top: 0, width, height, pixels: shown }));
    }
    let frame = Frame {
        left: 2 * three_bytes(shown.body, 0)?,
        top: 2 * three_bytes(shown.body, 3)?,
        width: three_bytes(shown.body, 6)? + 1,
        height: three_bytes(shown.body, 9)? + 1,
        pixels: chunks(shown.body.get(16..)?).find(is_pixels)?,
    };
    Some((canvas, frame))
}

/// The chunks laid end to end, up to the first that is not whole.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (name, rest) = bytes.split_first_chunk::<4>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let size = u32::from_le_bytes(*size) as usize;
        let body = rest.get(..size)?;
        bytes = rest.get(size + size % 2..).unwrap_or_default();
        Some(Chunk { name, body })
    })
}

/// Width and height in the header of the compressed data.
fn size_of(chunk: Chunk<'_>) -> Option<[u32; 2]> {
    match chunk.name {
        b"VP8 " => {
            let &[0x9D, 0x01, 0x2A, w0, w1, h0, h1] = chunk.body.get(3..10)? else { return None };
            Some([[w0, w1], [h0, h1]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3FFF)))
        }
        b"VP8L" => {
            let (&0x2F, rest) = chunk.body.split_first()? else { return None };
            let bits = u32::from_le_bytes(*rest.first_chunk()?);
            Some([bits & 0x3FFF, bits >> 14 & 0x3FFF].map(|side| side + 1))
        }
        _ => None,
    }
}

fn three_bytes(bytes: &[u8], at: usize) -> Option<u32> {
    let &[a, b, c] = bytes.get(at..at + 3)?.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]))
}

/// RGB of the frame, decoded as a file of its own.
fn decode_frame(frame: &Frame<'_>) -> Result<Vec<u8>, PictureError> {
    let Chunk { name, body } = frame.pixels;
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let padding: &[u8] = if body.len() % 2 == 0 { &[] } else { &[0] };
    let whole = 12 + body.len() + padding.len();
    let file = [b"RIFF", &size(whole), b"WEBP", name, &size(body.len()), body, padding].concat();

    let decoder = WebPDecoder::new(Cursor::new(file)).map_err(failure)?;
    let has_alpha = decoder.color_type() == ColorType::Rgba8;
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(failure)?;
    Ok(if has_alpha { colour::first_three(&samples, 4) } else { samples })
}

/// Around a frame that is smaller than its canvas lies black.
fn on_canvas(pixels: &[u8], frame: &Frame<'_>, width: u32, height: u32) -> Vec<u8> {
    let mut canvas = vec![0; 3 * width as usize * height as usize];
    for (row, source) in pixels.chunks_exact(3 * frame.width as usize).enumerate() {
        let start = 3 * ((frame.top as usize + row) * width as usize + frame.left as usize);
        canvas[start..start + source.len()].copy_from_slice(source);
    }
    canvas
}

fn failure(error: ImageError) -> PictureError {
    damaged(&error.to_string())
}

fn damaged(problem: &str) -> PictureError {
    PictureError::Damaged { format: Format::WebP, problem: problem.to_owned() }
}
