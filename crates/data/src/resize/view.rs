//! What of a picture is shown, and at which size.

use super::kernel::Axis;
use super::{Filter, Window, passes};
use crate::picture::Picture;

/// A crop of a picture is brought to a size, and a window of that is kept. What the window does not
/// need is neither decoded nor computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The part of the picture; the kernel sees nothing around it.
    pub crop: Window,
    /// Columns that the crop becomes.
    pub width: u32,
    /// Rows that the crop becomes.
    pub height: u32,
    /// What is kept of them.
    pub window: Window,
    /// How the crop gets its size.
    pub filter: Filter,
}

/// The pixels of a picture that a view needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) pixels: Picture,
    /// Where they begin, in pixels of the picture after it was shrunk.
    pub(crate) left: u32,
    pub(crate) top: u32,
    /// By what the picture was divided before; 1 leaves it alone.
    pub(crate) shrink: u32,
}

impl View {
    /// All of a picture of the first size, in the second size.
    pub fn whole(
        from_width: u32,
        from_height: u32,
        width: u32,
        height: u32,
        filter: Filter,
    ) -> View {
        let crop = Window::all(from_width, from_height);
        View { crop, width, height, window: Window::all(width, height), filter }
    }

    /// The view of a picture.
    pub fn of(&self, picture: &Picture) -> Picture {
        let columns = self.columns(picture.width, 1).taps(self.filter);
        let rows = self.rows(picture.height, 1).taps(self.filter);
        passes::resample(picture, &columns, &rows)
    }

    /// The view of a picture of which only a piece is there; `width` and `height` are those of the
    /// picture before it was shrunk.
    pub(crate) fn of_piece(&self, piece: &Piece, width: u32, height: u32) -> Picture {
        let columns = self.columns(width, piece.shrink).taps(self.filter).behind(piece.left);
        let rows = self.rows(height, piece.shrink).taps(self.filter).behind(piece.top);
        passes::resample(&piece.pixels, &columns, &rows)
    }

    /// The largest of 1, 2, 4 and 8 by which the picture may be divided and the crop still has as many
    /// pixels as it becomes: the rule of Pillow's `Image.draft`.
    pub(crate) fn shrink(&self) -> u32 {
        let fits = |by: &u32| {
            let side = |crop: u32, size: u32| u64::from(crop) >= u64::from(*by) * u64::from(size);
            side(self.crop.width, self.width) && side(self.crop.height, self.height)
        };
        [8, 4, 2].into_iter().find(fits).unwrap_or(1)
    }

    /// The pixels that the view is made of, in a picture of this size after it was divided by `shrink`.
    pub(crate) fn needs(&self, width: u32, height: u32, shrink: u32) -> Window {
        let (left, right) = self.columns(width, shrink).reach(self.filter);
        let (top, bottom) = self.rows(height, shrink).reach(self.filter);
        Window { left, top, width: right - left, height: bottom - top }
    }

    fn columns(&self, source: u32, shrink: u32) -> Axis {
        let axis = axis(source, shrink, self.crop.left, self.crop.width, self.width);
        axis.part(self.window.left, self.window.width)
    }

    fn rows(&self, source: u32, shrink: u32) -> Axis {
        let axis = axis(source, shrink, self.crop.top, self.crop.height, self.height);
        axis.part(self.window.top, self.window.height)
    }
}

/// `length` pixels from `start` on become `output`. In a shrunk picture they begin and end anywhere,
/// and the kernel sees their neighbours.
fn axis(source: u32, shrink: u32, start: u32, length: u32, output: u32) -> Axis {
    if shrink == 1 {
        return Axis::cut(source, start, length, output);
    }
    let at = |pixel: u32| pixel as f32 / shrink as f32;
    Axis::between(source.div_ceil(shrink), at(start), at(start + length), output)
}
