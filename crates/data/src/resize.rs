//! Resizing exactly as Pillow does it: antialiased, columns first, rounded to 8 bits in between.
//!
//! Equal to Pillow up to version 12 in every bit. Pillow 13 runs the rows first where the height
//! shrinks much more than the width, which moves single values by up to 3; published models and TAO
//! were made before.

mod kernel;
mod passes;

use serde::{Deserialize, Serialize};

use crate::picture::Picture;
use kernel::Axis;

/// The resampling kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle; Pillow's `BILINEAR`.
    Bilinear,
    /// Cubic with a = -0.5; Pillow's `BICUBIC`.
    Bicubic,
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
    resize_window(picture, width, height, Window { left: 0, top: 0, width, height }, filter)
}

/// A part of the picture at another size: what `resize` and then a crop of `window` give, without
/// computing the rest.
pub fn resize_window(
    picture: &Picture,
    width: u32,
    height: u32,
    window: Window,
    filter: Filter,
) -> Picture {
    let columns = Axis::whole(picture.width, width).part(window.left, window.width);
    let rows = Axis::whole(picture.height, height).part(window.top, window.height);
    passes::resample(picture, &columns.weights(filter), &rows.weights(filter))
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
    passes::resample(picture, &columns.weights(filter), &rows.weights(filter))
}
