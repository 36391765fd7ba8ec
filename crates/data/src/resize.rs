//! Resizing exactly as Pillow does it: antialiased, columns first, rounded to 8 bits in between.
//!
//! Equal to Pillow up to version 12 in every bit. Pillow 13 runs the rows first where the height
//! shrinks much more than the width, which moves single values by up to 3; published models and TAO
//! were made before.

mod kernel;
mod passes;
mod view;

use serde::{Deserialize, Serialize};

use crate::picture::Picture;
use crate::random::Numbers;
use kernel::Axis;

pub(crate) use view::Piece;
pub use view::View;

/// The resampling kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle; Pillow's `BILINEAR`.
    Bilinear,
    /// Cubic with a = -0.5; Pillow's `BICUBIC`.
    Bicubic,
}

/// Which kernel one picture gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterChoice {
    /// Every picture the same.
    Always(Filter),
    /// Bilinear or bicubic, as likely as each other.
    Either,
}

impl From<Filter> for FilterChoice {
    fn from(filter: Filter) -> Self {
        FilterChoice::Always(filter)
    }
}

impl FilterChoice {
    /// Decides; takes a number only where there is a choice.
    pub(crate) fn draw(self, numbers: &mut Numbers) -> Filter {
        match self {
            FilterChoice::Always(filter) => filter,
            FilterChoice::Either if numbers.chance(0.5) => Filter::Bilinear,
            FilterChoice::Either => Filter::Bicubic,
        }
    }
}

/// A rectangle of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Window {
    /// Everything of a picture of this size.
    pub fn all(width: u32, height: u32) -> Window {
        Window { left: 0, top: 0, width, height }
    }
}

/// A rectangle of a picture in its pixels, fractions allowed; in 32 bits, as Pillow keeps a `box`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Lower edge.
    pub bottom: f32,
}

/// The picture at another size; `width` and `height` are at least 1.
pub fn resize(picture: &Picture, width: u32, height: u32, filter: Filter) -> Picture {
    View::whole(picture.width, picture.height, width, height, filter).of(picture)
}

/// A region of the picture at a size, as with Pillow's `box`: the kernel sees the pixels around the
/// region too. The region lies inside the picture and is not empty.
pub fn resize_region(
    picture: &Picture,
    region: Region,
    width: u32,
    height: u32,
    filter: Filter,
) -> Picture {
    let columns = Axis::between(picture.width, region.left, region.right, width);
    let rows = Axis::between(picture.height, region.top, region.bottom, height);
    passes::resample(picture, &columns.taps(filter), &rows.taps(filter))
}
