//! Which source pixels make an output pixel, and with what weight.

use std::ops::Range;

use super::Filter;

/// Weights are fixed point with this many binary places: with 8-bit pixels and the overshoot of the
/// cubic, sums stay within 32 bits.
pub(super) const PLACES: u32 = 32 - 8 - 2;

/// How one direction of a picture is mapped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Source pixels in front of those that the kernel sees.
    hidden: u32,
    /// Source pixels that the kernel sees.
    source: u32,
    /// The part of them that the output shows.
    start: f32,
    end: f32,
    /// Output pixels that this part becomes.
    output: u32,
    /// Those of them that are wanted.
    first: u32,
    count: u32,
}

/// The source pixels of each output pixel, and their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Taps {
    /// The first source pixel of each output pixel, and where its weights begin and end.
    spans: Vec<(usize, Range<usize>)>,
    weights: Vec<i32>,
}

impl Axis {
    /// `length` pixels from `start` on, as if there were no others.
    pub(super) fn cut(source: u32, start: u32, length: u32, output: u32) -> Axis {
        assert!(
            u64::from(start) + u64::from(length) <= u64::from(source),
            "no {length} pixels behind {start} of {source}"
        );
        Axis { hidden: start, ..Axis::between(length, 0.0, length as f32, output) }
    }

    pub(super) fn between(source: u32, start: f32, end: f32, output: u32) -> Axis {
        assert!(
            0.0 <= start && start < end && end <= source as f32 && output > 0,
            "{start} to {end} of {source} pixels cannot become {output}"
        );
        Axis { hidden: 0, source, start, end, output, first: 0, count: output }
    }

    pub(super) fn part(self, first: u32, count: u32) -> Axis {
        assert!(
            count > 0 && first + count <= self.output,
            "no part {first}+{count} of {} pixels",
            self.output
        );
        Axis { first, count, ..self }
    }

    /// The source pixels from the first to behind the last that any wanted output pixel is made of.
    pub(super) fn reach(&self, filter: Filter) -> (u32, u32) {
        let (first, _) = self.span(self.first, filter);
        let (_, end) = self.span(self.first + self.count - 1, filter);
        (self.hidden + first, self.hidden + end)
    }

    /// The taps of every wanted output pixel.
    pub(super) fn taps(&self, filter: Filter) -> Taps {
        let mut taps = Taps { spans: Vec::with_capacity(self.count as usize), weights: Vec::new() };
        let mut weights = Vec::new();
        for output in self.first..self.first + self.count {
            let (first, end) = self.span(output, filter);
            let centre = self.centre(output);
            let at = |source: u32| (f64::from(source) - centre + 0.5) * (1.0 / self.widening());
            weights.clear();
            weights.extend((first..end).map(|source| filter.at(at(source))));
            let start = taps.weights.len();
            taps.weights.extend(fixed_point(&weights));
            taps.spans.push(((self.hidden + first) as usize, start..taps.weights.len()));
        }
        taps
    }

    /// The first source pixel of an output pixel and the one behind its last, as the kernel counts.
    fn span(&self, output: u32, filter: Filter) -> (u32, u32) {
        let (centre, reach) = (self.centre(output), filter.reach() * self.widening());
        let first = (centre - reach + 0.5) as u32;
        (first, ((centre + reach + 0.5) as u32).min(self.source))
    }

    fn centre(&self, output: u32) -> f64 {
        f64::from(self.start) + (f64::from(output) + 0.5) * self.scale()
    }

    fn scale(&self) -> f64 {
        f64::from(self.end - self.start) / f64::from(self.output)
    }

    /// Shrinking widens the kernel, so that every source pixel counts.
    fn widening(&self) -> f64 {
        self.scale().max(1.0)
    }
}

impl Taps {
    /// How many output pixels there are.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// For each output pixel its first source pixel and the weights of it and its successors.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans.iter().map(|(first, weights)| (*first, &self.weights[weights.clone()]))
    }

    /// The first source pixel of all, and the one behind the last.
    pub(super) fn reach(&self) -> (usize, usize) {
        let first = self.spans.iter().map(|(first, _)| *first).min();
        let end = self.spans.iter().map(|(first, weights)| first + weights.len()).max();
        (first.unwrap_or_default(), end.unwrap_or_default())
    }

    /// The same where the first `hidden` source pixels are missing.
    pub(super) fn behind(mut self, hidden: u32) -> Taps {
        self.spans.iter_mut().for_each(|(first, _)| *first -= hidden as usize);
        self
    }
}

/// Weights with the sum 1, rounded half away from zero.
fn fixed_point(weights: &[f64]) -> impl Iterator<Item = i32> {
    let sum: f64 = weights.iter().sum();
    let one = f64::from(1 << PLACES);
    weights.iter().map(move |weight| (weight / sum * one).round() as i32)
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
