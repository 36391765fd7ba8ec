//! Decoding no more of a picture than a view of it needs.

use super::{Decoded, Format, Orientation, PictureError, Reading, decode_format, exif, jpeg};
use crate::picture::Picture;
use crate::resize::{Piece, View};

/// What was decoded of a picture for a view of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Columns of the picture.
    pub width: u32,
    /// Rows of the picture.
    pub height: u32,
    /// What its file asks for and was not done.
    pub orientation: Orientation,
    view: View,
    piece: Piece,
}

impl Part {
    /// The view of the picture.
    pub fn view(&self) -> Picture {
        self.view.of_piece(&self.piece, self.width, self.height)
    }
}

pub(super) fn decode(
    format: Format,
    bytes: &[u8],
    reading: &Reading,
    choose: &dyn Fn(u32, u32) -> View,
) -> Result<Part, PictureError> {
    let orientation = exif::orientation(format, bytes);
    let is_turned = reading.upright && orientation != Orientation::UPRIGHT;
    if format == Format::Jpeg && !is_turned {
        return decode_jpeg(bytes, reading, orientation, choose);
    }
    let Decoded { picture, orientation } = decode_format(format, bytes, reading)?;
    let (width, height) = (picture.width, picture.height);
    let piece = Piece { pixels: picture, left: 0, top: 0, shrink: 1 };
    Ok(Part { width, height, orientation, view: choose(width, height), piece })
}

fn decode_jpeg(
    bytes: &[u8],
    reading: &Reading,
    orientation: Orientation,
    choose: &dyn Fn(u32, u32) -> View,
) -> Result<Part, PictureError> {
    let file = jpeg::open(bytes, &reading.limits)?;
    let (width, height) = file.size();
    let view = choose(width, height);
    let shrink = if reading.draft { view.shrink() } else { 1 };
    let piece = file.piece(view.needs(width, height, shrink), shrink)?;
    Ok(Part { width, height, orientation, view, piece })
}
