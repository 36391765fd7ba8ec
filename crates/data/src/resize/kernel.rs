//! Which source pixels make an output pixel, and with what weight.

use super::Filter;

/// Weights are fixed point with this many binary places: with 8-bit pixels and the overshoot of the
/// cubic, sums stay within 32 bits.
pub(super) const PLACES: u32 = 32 - 8 - 2;

/// How one direction of a picture is mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Source pixels.
    source: u32,
    /// The part of the source that the output shows.
    start: f32,
    end: f32,
    /// Output pixels that this part becomes.
    output: u32,
    /// Those of them that are wanted.
    first: u32,
    count: u32,
}

/// The source pixels of one output pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taps {
    /// The first source pixel.
    pub(super) first: usize,
    /// Weights of it and its successors.
    pub(super) weights: Vec<i32>,
}

impl Axis {
    pub(super) fn whole(source: u32, output: u32) -> Axis {
        Axis::between(source, 0.0, source as f32, output)
    }

    pub(super) fn between(source: u32, start: f32, end: f32, output: u32) -> Axis {
        assert!(
            0.0 <= start && start < end && end <= source as f32 && output > 0,
            "{start} to {end} of {source} pixels cannot become {output}"
        );
        Axis { source, start, end, output, first: 0, count: output }
    }

    pub(super) fn part(self, first: u32, count: u32) -> Axis {
        assert!(
            count > 0 && first + count <= self.output,
            "no part {first}+{count} of {} pixels",
            self.output
        );
        Axis { first, count, ..self }
    }

    /// The taps of every wanted output pixel.
    pub(super) fn weights(&self, filter: Filter) -> Vec<Taps> {
        let scale = f64::from(self.end - self.start) / f64::from(self.output);
        // Shrinking widens the kernel, so that every source pixel counts.
        let widening = scale.max(1.0);
        let reach = filter.reach() * widening;
        let taps = |output: u32| {
            let centre = f64::from(self.start) + (f64::from(output) + 0.5) * scale;
            let first = (centre - reach + 0.5) as u32;
            let end = ((centre + reach + 0.5) as u32).min(self.source);
            let at = |source: u32| (f64::from(source) - centre + 0.5) * (1.0 / widening);
            let weights: Vec<f64> = (first..end).map(|source| filter.at(at(source))).collect();
            Taps { first: first as usize, weights: fixed_point(&weights) }
        };
        (self.first..self.first + self.count).map(taps).collect()
    }
}

/// Weights with the sum 1, rounded half away from zero.
fn fixed_point(weights: &[f64]) -> Vec<i32> {
    let sum: f64 = weights.iter().sum();
    let one = f64::from(1 << PLACES);
    weights.iter().map(|weight| (weight / sum * one).round() as i32).collect()
}

impl Filter {
    /// Beyond this distance the kernel is 0.
    fn reach(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn at(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic => {
                const A: f64 = -0.5;
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
        }
    }
}
