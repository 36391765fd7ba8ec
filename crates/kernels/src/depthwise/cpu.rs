//! Depthwise convolution on the CPU: a few channels of a few neighbouring outputs in registers.

use burn::tensor::Shape;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::cpu;

/// Channels that one vector holds.
const LANES: usize = 16;
/// Neighbouring outputs that share their reads of a kernel.
const TILE: usize = 4;

/// Kernels with their numbers in the order [K, K, C].
pub(super) struct Taps {
    values: Vec<f32>,
    side: usize,
}

/// The kernels of contiguous `weight` [C, 1, K, K], turned by half a turn if `turned`.
pub(super) fn taps(weight: &FlexTensor, turned: bool) -> Taps {
    let [channels, _, side, _]: [usize; 4] = weight.layout().shape().dims();
    let (weight, area) = (cpu::floats(weight), side * side);
    let place = |tap: usize| if turned { area - 1 - tap } else { tap };
    let values = (0..area).flat_map(|tap| (0..channels).map(move |c| (tap, c)));
    let values = values.map(|(tap, c)| weight[c * area + place(tap)]).collect();
    Taps { values, side }
}

/// `x` [B, H, W, C], contiguous. Returns the same shape.
pub(super) fn convolve(x: &FlexTensor, taps: &Taps, bias: Option<&FlexTensor>) -> FlexTensor {
    let shape = x.layout().shape().clone();
    let picture = Picture::of(x);
    let bias = bias.map(cpu::floats);
    let row = (picture.width * picture.channels).max(1);
    let out = cpu::filled(picture.values.len(), row, |start, out| {
        let (b, y) = picture.place(start / row);
        let mut sums = vec![0.0; row];
        cpu::with_vectors(
            #[inline(always)]
            || {
                if let Some(bias) = bias {
                    sums.chunks_exact_mut(bias.len()).for_each(|sums| sums.copy_from_slice(bias));
                }
                convolve_row(&picture, [b, y], taps, &mut sums);
                out.iter_mut().zip(&sums).for_each(|(out, &sum)| {
                    out.write(sum);
                });
            },
        );
    });
    cpu::tensor(out, shape)
}

/// Numbers of `x` [B, H, W, C].
struct Picture<'a> {
    values: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

impl<'a> Picture<'a> {
    fn of(x: &'a FlexTensor) -> Self {
        let [_, height, width, channels]: [usize; 4] = x.layout().shape().dims();
        Self { values: cpu::floats(x), height, width, channels }
    }

    /// Picture and row of a row counted over all pictures.
    fn place(&self, row: usize) -> (usize, usize) {
        (row / self.height, row % self.height)
    }

    /// Row `y` of picture `b`.
    fn row(&self, b: usize, y: usize) -> &'a [f32] {
        let len = self.width * self.channels;
        &self.values[(b * self.height + y) * len..][..len]
    }

    /// Rows of the kernel that lie inside around row `y`, and the row that the first of them meets.
    fn rows_around(&self, y: usize, side: usize) -> (std::ops::Range<usize>, usize) {
        let reach = side / 2;
        let from = reach.saturating_sub(y);
        let to = side.min(self.height + reach - y);
        (from..to, y + from - reach)
    }
}

/// Adds the products of row `y` of picture `b` to `sums` [W, C].
#[inline(always)]
fn convolve_row(picture: &Picture<'_>, [b, y]: [usize; 2], taps: &Taps, sums: &mut [f32]) {
    let &Picture { width, channels, .. } = picture;
    let (side, reach) = (taps.side, taps.side / 2);
    let (rows, first) = picture.rows_around(y, side);
    for (ky, row) in rows.zip(first..) {
        let input = picture.row(b, row);
        let kernel = &taps.values[ky * side * channels..][..side * channels];
        let mut c = 0;
        while c < channels {
            let lanes = if channels - c >= LANES { LANES } else { 1 };
            let mut x = 0;
            while x < width {
                let inside = x >= reach && x + TILE + reach <= width;
                let place = Tile { x, c, channels };
                match (lanes, inside) {
                    (LANES, true) => place.add::<TILE, LANES>(sums, input, kernel, 0..side),
                    (LANES, false) => {
                        place.add::<1, LANES>(sums, input, kernel, place.columns(width, side));
                    }
                    _ => place.add::<1, 1>(sums, input, kernel, place.columns(width, side)),
                }
                x += if lanes == LANES && inside { TILE } else { 1 };
            }
            c += lanes;
        }
    }
}

/// Some channels from `c` on of some outputs from `x` on.
#[derive(Clone, Copy)]
struct Tile {
    x: usize,
    c: usize,
    channels: usize,
}

impl Tile {
    /// Columns of the kernel that lie inside around column `x`.
    #[inline(always)]
    fn columns(self, width: usize, side: usize) -> std::ops::Range<usize> {
        let reach = side / 2;
        reach.saturating_sub(self.x)..side.min(width + reach - self.x)
    }

    /// Adds the products of `N` outputs and `L` channels with the given columns of one row of the kernel.
    #[inline(always)]
    fn add<const N: usize, const L: usize>(
        self,
        sums: &mut [f32],
        input: &[f32],
        kernel: &[f32],
        columns: std::ops::Range<usize>,
    ) {
        let Self { x, c, channels } = self;
        let reach = kernel.len() / channels / 2;
        let mut held: [[f32; L]; N] = std::array::from_fn(|n| lanes(sums, (x + n) * channels + c));
        for kx in columns {
            let tap: [f32; L] = lanes(kernel, kx * channels + c);
            for (n, held) in held.iter_mut().enumerate() {
                let input: [f32; L] = lanes(input, (x + n + kx - reach) * channels + c);
                for l in 0..L {
                    held[l] = input[l].mul_add(tap[l], held[l]);
                }
            }
        }
        for (n, held) in held.iter().enumerate() {
            sums[(x + n) * channels + c..][..L].copy_from_slice(held);
        }
    }
}

/// `L` numbers from `start` on.
#[inline(always)]
fn lanes<const L: usize>(values: &[f32], start: usize) -> [f32; L] {
    *values[start..].first_chunk().expect("a tile lies inside its row")
}

/// The gradient of the kernels of `side` for contiguous `x` and `grad` [B, H, W, C]: [C, 1, K, K].
pub(super) fn weight_gradient(x: &FlexTensor, side: usize, grad: &FlexTensor) -> FlexTensor {
    let (x, grad) = (Picture::of(x), Picture::of(grad));
    let (channels, area) = (x.channels, side * side);
    let len = (x.width * channels).max(1);
    let rows = x.values.len() / len;
    // Sums of some rows each, [K, K, C].
    let some = rows.div_ceil(16).max(1);
    let sums = (0..rows).into_par_iter().step_by(some).map(|start| {
        let mut sums = vec![0.0; area * channels];
        cpu::with_vectors(
            #[inline(always)]
            || {
                for row in start..rows.min(start + some) {
                    let (b, y) = x.place(row);
                    add_row(&x, grad.row(b, y), [b, y], side, &mut sums);
                }
            },
        );
        sums
    });
    let sums = cpu::added(sums.collect(), area * channels);
    let ordered = (0..channels).flat_map(|c| (0..area).map(move |tap| (c, tap)));
    let values = ordered.map(|(c, tap)| sums[tap * channels + c]).collect();
    cpu::tensor(values, Shape::new([channels, 1, side, side]))
}

/// Adds what row `y` of picture `b` contributes to the kernels `sums` [K, K, C].
#[inline(always)]
fn add_row(x: &Picture<'_>, grad: &[f32], [b, y]: [usize; 2], side: usize, sums: &mut [f32]) {
    let (rows, first) = x.rows_around(y, side);
    for (ky, row) in rows.zip(first..) {
        let input = x.row(b, row);
        let kernel = &mut sums[ky * side * x.channels..][..side * x.channels];
        let mut c = 0;
        while c < x.channels {
            let lanes = if x.channels - c >= LANES { LANES } else { 1 };
            match (lanes, side) {
                (LANES, 7) => add_taps::<7, LANES>(input, grad, x, c, kernel),
                (LANES, 3) => add_taps::<3, LANES>(input, grad, x, c, kernel),
                (LANES, _) => add_any_taps::<LANES>(input, grad, x, c, kernel),
                _ => add_any_taps::<1>(input, grad, x, c, kernel),
            }
            c += lanes;
        }
    }
}

/// A row of `K` taps of `L` channels, all in registers.
#[inline(always)]
fn add_taps<const K: usize, const L: usize>(
    input: &[f32],
    grad: &[f32],
    &Picture { width, channels, .. }: &Picture<'_>,
    c: usize,
    kernel: &mut [f32],
) {
    let reach = K / 2;
    let mut held: [[f32; L]; K] = std::array::from_fn(|kx| lanes(kernel, kx * channels + c));
    let mut meet = |x: usize, kx: usize, grad: &[f32; L]| {
        let input: [f32; L] = lanes(input, (x + kx - reach) * channels + c);
        for l in 0..L {
            held[kx][l] = input[l].mul_add(grad[l], held[kx][l]);
        }
    };
    for x in 0..width {
        let grad: [f32; L] = lanes(grad, x * channels + c);
        if x >= reach && x + reach < width {
            (0..K).for_each(|kx| meet(x, kx, &grad));
        } else {
            let inside = |kx: &usize| (reach..width + reach).contains(&(x + kx));
            (0..K).filter(inside).for_each(|kx| meet(x, kx, &grad));
        }
    }
    for (kx, held) in held.iter().enumerate() {
        kernel[kx * channels + c..][..L].copy_from_slice(held);
    }
}

/// As [`add_taps`], one tap at a time.
#[inline(always)]
fn add_any_taps<const L: usize>(
    input: &[f32],
    grad: &[f32],
    &Picture { width, channels, .. }: &Picture<'_>,
    c: usize,
    kernel: &mut [f32],
) {
    let side = kernel.len() / channels;
    let reach = side / 2;
    for kx in 0..side {
        let mut held: [f32; L] = lanes(kernel, kx * channels + c);
        let (from, to) = (reach.saturating_sub(kx), width.min((width + reach).saturating_sub(kx)));
        for x in from..to {
            let grad: [f32; L] = lanes(grad, x * channels + c);
            let input: [f32; L] = lanes(input, (x + kx - reach) * channels + c);
            for l in 0..L {
                held[l] = input[l].mul_add(grad[l], held[l]);
            }
        }
        kernel[kx * channels + c..][..L].copy_from_slice(&held);
    }
}
