//! Which way up a picture is stored, and turning it upright as `PIL.ImageOps.exif_transpose` does.

use crate::picture::Picture;

/// How the stored rows and columns lie: EXIF's numbers 1 (upright) to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation(u8);

impl Orientation {
    /// Nothing to turn; what files say that say nothing.
    pub const UPRIGHT: Orientation = Orientation(1);

    /// `None` for numbers that EXIF does not define.
    pub fn from_exif(number: u64) -> Option<Orientation> {
        let number = u8::try_from(number).ok()?;
        (1..=8).contains(&number).then_some(Orientation(number))
    }

    /// EXIF's number.
    pub fn to_exif(self) -> u8 {
        self.0
    }

    /// The picture as it was meant to be seen.
    pub fn turn(self, picture: Picture) -> Picture {
        if self == Orientation::UPRIGHT {
            return picture;
        }
        let (right, bottom) = (picture.width - 1, picture.height - 1);
        let is_on_its_side = self.0 >= 5;
        let (width, height) = match is_on_its_side {
            true => (picture.height, picture.width),
            false => (picture.width, picture.height),
        };
        let mut pixels = Vec::with_capacity(picture.pixels.len());
        for y in 0..height {
            for x in 0..width {
                let (column, row) = match self.0 {
                    2 => (right - x, y),
                    3 => (right - x, bottom - y),
                    4 => (x, bottom - y),
                    5 => (y, x),
                    6 => (y, bottom - x),
                    7 => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                let at = 3 * (row as usize * picture.width as usize + column as usize);
                pixels.extend_from_slice(&picture.pixels[at..at + 3]);
            }
        }
        Picture { width, height, pixels }
    }
}
