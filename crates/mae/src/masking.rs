//! Which cells of a picture a masked encoder sees.
//!
//! Source: `facebookresearch/mae:models_mae.py` (`random_masking`): noise for every cell, sorted; the
//! cells with the least are kept. The three families differ in the order in which they keep them only.

use hearth_backbones::cells::Cells;
use hearth_data::random::Key;

/// Cells that stay visible at a mask ratio; none is kept where that leaves less than one.
pub fn kept(cells: usize, mask_ratio: f64) -> usize {
    (cells as f64 * (1.0 - mask_ratio)) as usize
}

/// The visible cells of `samples` pictures from number `first` of the batch on, by the random numbers
/// of a step.
pub fn draw(grid: [usize; 2], mask_ratio: f64, key: &Key, first: usize, samples: usize) -> Cells {
    let key = key.of("mask");
    let noise = (first..first + samples).flat_map(|sample| {
        let mut numbers = key.at(sample as u64).rng();
        (0..grid[0] * grid[1]).map(move |_| numbers.f32())
    });
    by_noise(grid, mask_ratio, &noise.collect::<Vec<f32>>())
}

/// The cells with the least of the `noise`, a number for every cell of every picture.
pub fn by_noise(grid: [usize; 2], mask_ratio: f64, noise: &[f32]) -> Cells {
    let cells = grid[0] * grid[1];
    let visible = noise.chunks_exact(cells).map(|noise| {
        let mut order: Vec<usize> = (0..cells).collect();
        order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
        order.truncate(kept(cells, mask_ratio));
        order
    });
    Cells { grid, visible: visible.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_kept_as_the_reference_keeps() {
        let cases = [(49, 0.75, 12), (49, 0.6, 19), (196, 0.75, 49), (256, 0.75, 64)];
        for (cells, ratio, expected) in cases {
            assert_eq!(kept(cells, ratio), expected, "{cells} cells, {ratio}");
        }
    }

    #[test]
    fn a_mask_belongs_to_its_picture_and_step() {
        let whole = draw([7, 7], 0.6, &Key::new(3), 0, 4);
        let part = draw([7, 7], 0.6, &Key::new(3), 2, 2);
        assert_eq!(whole.visible[2..], part.visible[..]);
        assert_ne!(whole.visible[0], whole.visible[1]);
        assert_ne!(whole, draw([7, 7], 0.6, &Key::new(4), 0, 4));
    }
}
