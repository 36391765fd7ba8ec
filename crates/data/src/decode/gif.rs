//! The first frame of a GIF on its screen, with the colours that Pillow shows.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::{Limits, PictureError, check_size, colour, format::Format};
use crate::picture::Picture;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, PictureError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(
        limits.pixels.try_into().ok().map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes),
    );
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(failure)?;
    let (screen_width, screen_height) = (decoder.width(), decoder.height());
    let frame = decoder.next_frame_info().map_err(failure)?.ok_or_else(no_frame)?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;
    // A frame that leaves its screen widens it.
    let screen = [left + width, usize::from(screen_width)].into_iter().max().unwrap_or_default();
    let rows = [top + height, usize::from(screen_height)].into_iter().max().unwrap_or_default();
    check_size(screen as u32, rows as u32, limits)?;
    if width == 0 || height == 0 {
        return Err(no_frame());
    }

    let mut frame = vec![0; width * height];
    decoder.read_into_buffer(&mut frame).map_err(failure)?;
    // Around the frame lies the transparent colour, or else the first.
    let mut indices = vec![transparent.unwrap_or(0); screen * rows];
    for (row, source) in frame.chunks_exact(width).enumerate() {
        let start = (top + row) * screen + left;
        indices[start..start + width].copy_from_slice(source);
    }
    let palette = decoder.palette().map_err(failure)?.as_chunks::<3>().0;
    let pixels = colour::from_palette(indices.into_iter(), |index| {
        palette.get(usize::from(index)).copied().unwrap_or_default()
    });
    Picture::new(screen as u32, rows as u32, pixels).ok_or_else(no_frame)
}

fn no_frame() -> PictureError {
    PictureError::Damaged { format: Format::Gif, problem: "it holds no picture".to_owned() }
}

fn failure(error: DecodingError) -> PictureError {
    match error {
        DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            PictureError::Truncated { format: Format::Gif }
        }
        error => PictureError::Damaged { format: Format::Gif, problem: error.to_string() },
    }
}
