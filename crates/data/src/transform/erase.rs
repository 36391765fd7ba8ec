//! Random erasing: a box of the finished input is filled with noise, as timm's mode `pixel` does.

use crate::random::Key;
use crate::resize::Window;

/// Attempts at a box of the drawn area and shape; then nothing is erased.
const TRIES: usize = 10;

/// A box of noise in a normalised input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomErasing {
    /// Probability of a box.
    pub probability: f64,
    /// Its area as a share of the input, from and to.
    pub area: [f64; 2],
    /// Its height over its width, from and to; drawn evenly in the logarithm.
    pub aspect: [f64; 2],
}

impl RandomErasing {
    /// timm's box, 2 % to a third of the input, with this probability.
    pub fn new(probability: f64) -> RandomErasing {
        RandomErasing { probability, area: [0.02, 1.0 / 3.0], aspect: [0.3, 1.0 / 0.3] }
    }

    /// The box for one input of this size, if any: it is smaller than the input in both directions.
    pub fn draw(&self, key: &Key, width: u32, height: u32) -> Option<Window> {
        let mut numbers = key.of("erasing").rng();
        if !numbers.chance(self.probability) {
            return None;
        }
        let [low, high] = self.aspect.map(libm::log);
        for _ in 0..TRIES {
            let share = numbers.uniform(self.area[0], self.area[1]);
            let area = share * f64::from(width) * f64::from(height);
            let aspect = libm::exp(numbers.uniform(low, high));
            let h = (area * aspect).sqrt().round_ties_even() as u32;
            let w = (area / aspect).sqrt().round_ties_even() as u32;
            if (1..width).contains(&w) && (1..height).contains(&h) {
                let top = numbers.below(u64::from(height - h) + 1) as u32;
                let left = numbers.below(u64::from(width - w) + 1) as u32;
                return Some(Window { left, top, width: w, height: h });
            }
        }
        None
    }

    /// Draws for an input [3, height, width] and fills the box with standard normal numbers.
    pub fn apply(&self, key: &Key, input: &mut [f32], width: u32, height: u32) {
        assert_eq!(input.len(), 3 * width as usize * height as usize, "three planes");
        let Some(window) = self.draw(key, width, height) else { return };
        let mut numbers = key.of("erasing noise").rng();
        let (left, columns) = (window.left as usize, window.width as usize);
        for plane in input.chunks_exact_mut(width as usize * height as usize) {
            let rows = plane.chunks_exact_mut(width as usize).skip(window.top as usize);
            for row in rows.take(window.height as usize) {
                row[left..left + columns].fill_with(|| numbers.normal() as f32);
            }
        }
    }
}
