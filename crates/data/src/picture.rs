//! A decoded picture: 8-bit RGB, rows from top to bottom.

/// 8-bit RGB pixels in row-major order. `width` and `height` are at least 1 and
/// `pixels.len() == 3 * width * height`; [`Picture::new`] checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[r, g, b]` of the top left pixel, then of the one to its right.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// A picture from its pixels; `None` when their number does not fit the size, or it is empty.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Option<Picture> {
        let fits = width > 0
            && height > 0
            && pixels.len() as u128 == 3 * u128::from(width) * u128::from(height);
        fits.then_some(Picture { width, height, pixels })
    }

    /// The part of the picture that starts at (`left`, `top`); the rectangle lies inside.
    pub fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Picture {
        assert!(
            width > 0 && height > 0 && left + width <= self.width && top + height <= self.height,
            "crop {width}x{height}+{left}+{top} of a {}x{} picture",
            self.width,
            self.height
        );
        let row_bytes = 3 * width as usize;
        let mut pixels = Vec::with_capacity(row_bytes * height as usize);
        for row in top..top + height {
            let start = 3 * (row as usize * self.width as usize + left as usize);
            pixels.extend_from_slice(&self.pixels[start..start + row_bytes]);
        }
        Picture { width, height, pixels }
    }

    /// Left and right change places.
    pub fn mirror(&mut self) {
        for row in self.pixels.chunks_exact_mut(3 * self.width as usize) {
            let (pixels, _) = row.as_chunks_mut::<3>();
            pixels.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_twice_is_the_same() {
        let picture = Picture { width: 3, height: 2, pixels: (0..18).collect() };
        let mut mirrored = picture.clone();
        mirrored.mirror();
        assert_eq!(mirrored.pixels[..9], [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        mirrored.mirror();
        assert_eq!(mirrored, picture);
    }
}
