//! Where in C-RADIO's position table a patch looks: four entries and their weights.
//!
//! Source: `NVlabs/RADIO:radio/vit_patch_generator.py`.

use crate::positions::Grid;

/// Entries that one position is mixed of.
pub(super) const TAPS: usize = 4;
/// Shares of pictures that train without positions at all.
const DROPPED: f64 = 0.1;
/// Smallest part of the table's area that a crop covers.
const SMALLEST_AREA: f64 = 0.1;
/// Most extreme aspect ratio of a crop, and the inverse of its opposite.
const WIDEST: f64 = 4.0 / 3.0;

/// The random window of the table that a picture sees in training: numbers in 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionCrop {
    /// Draw of the window's size.
    pub scale: f64,
    /// Draw of its aspect ratio.
    pub aspect: f64,
    /// Draws of its place, x and y.
    pub offset: [f64; 2],
    /// Draw of whether there are positions at all.
    pub keep: f64,
}

/// Table rows and weights, [`TAPS`] for each position.
#[derive(Debug, Default)]
pub(super) struct Taps {
    pub(super) rows: Vec<i32>,
    pub(super) weights: Vec<f32>,
}

/// Two neighbours on an axis and their weights.
type Pair = [(usize, f64); 2];

impl Taps {
    /// Evaluation: the table resized to the grid's longer side, of which the upper left part is used.
    pub(super) fn add_window(&mut self, side: usize, grid: Grid) {
        let longest = grid.rows.max(grid.columns);
        let pair = |i: usize| {
            let place = (i as f64 + 0.5) * side as f64 / longest as f64 - 0.5;
            inside(place.max(0.0), side)
        };
        self.add(
            side,
            &(0..grid.rows).map(pair).collect::<Vec<_>>(),
            &(0..grid.columns).map(pair).collect::<Vec<_>>(),
        );
    }

    /// Training: a window of random size and place, stretched over the grid. A grid as large as the
    /// table sees all of it.
    pub(super) fn add_crop(&mut self, side: usize, grid: Grid, crop: &PositionCrop) {
        let [width, height] = crop.size();
        let whole = (grid.rows, grid.columns) == (side, side);
        let axis = |count: usize, size: f64, offset: f64| -> Vec<Pair> {
            let step = |i: usize| if count > 1 { i as f64 / (count - 1) as f64 } else { 0.0 };
            (0..count)
                .map(|i| match whole {
                    true => inside(i as f64, side),
                    false => {
                        let place = step(i) * size + offset * (1.0 - size);
                        open(place * (side - 1) as f64, side)
                    }
                })
                .collect()
        };
        let rows = axis(grid.rows, height, crop.offset[1]);
        let columns = axis(grid.columns, width, crop.offset[0]);
        let first = self.weights.len();
        self.add(side, &rows, &columns);
        if crop.keep <= DROPPED {
            self.weights[first..].fill(0.0);
        }
    }

    fn add(&mut self, side: usize, rows: &[Pair], columns: &[Pair]) {
        for vertical in rows {
            for horizontal in columns {
                for (row, down) in vertical {
                    for (column, right) in horizontal {
                        self.rows.push((row * side + column) as i32);
                        self.weights.push((down * right) as f32);
                    }
                }
            }
        }
    }
}

impl PositionCrop {
    /// Width and height of the window as parts of the table's.
    fn size(&self) -> [f64; 2] {
        let smallest = SMALLEST_AREA.sqrt();
        let scale = self.scale * (1.0 - smallest) + smallest;
        let aspect = ((2.0 * self.aspect - 1.0) * WIDEST.ln()).exp();
        [scale * aspect, scale / aspect].map(|size| size.clamp(0.0, 1.0))
    }
}

/// The neighbours of a place on an axis of `side` entries; beyond the ends the last entry goes on.
fn inside(place: f64, side: usize) -> Pair {
    let low = (place.floor() as usize).min(side - 1);
    let share = place - low as f64;
    [(low, 1.0 - share), ((low + 1).min(side - 1), share)]
}

/// As [`inside`], but beyond the ends there is nothing.
fn open(place: f64, side: usize) -> Pair {
    let low = place.floor();
    let share = place - low;
    [(low, 1.0 - share), (low + 1.0, share)].map(|(entry, weight)| {
        let exists = entry >= 0.0 && entry < side as f64;
        if exists { (entry as usize, weight) } else { (0, 0.0) }
    })
}
