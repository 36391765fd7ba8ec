//! Depthwise convolution on the CPU: some rows of 16 channels at a time, copied with a border of
//! zeros, so that the inner loops know neither edges nor the distance between pixels.

use std::mem::MaybeUninit;

use burn::tensor::Shape;
use burn_flex::FlexTensor;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu;

/// Channels that one vector holds.
const LANES: usize = 16;
/// Rows of one piece of work: their copies stay in the second-level cache.
const ROWS: usize = 14;
/// Neighbouring outputs that are in registers together. An odd number, of which the compiler does not
/// try to make vectors; and rows of 224 / 2^n pixels are multiples of it.
const TILE: usize = 7;

/// The numbers of 16 channels; those beyond the last channel are zeros. In one cache line, since a
/// vector across two costs two loads.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Lanes([f32; LANES]);

impl Lanes {
    const ZERO: Self = Self([0.0; LANES]);

    /// The vectors of the processor that the numbers fill.
    #[inline(always)]
    fn vectors<S: Simd>(&self) -> &[S::f32s] {
        S::as_simd_f32s(&self.0).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(&mut self) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(&mut self.0).0
    }
}

/// Kernels of every 16 channels, K * K taps each.
pub(super) struct Taps {
    blocks: Vec<Vec<Lanes>>,
    side: usize,
}

/// The kernels of contiguous `weight` [C, 1, K, K], turned by half a turn if `turned`.
pub(super) fn taps(weight: &FlexTensor, turned: bool) -> Taps {
    let [channels, _, side, _]: [usize; 4] = weight.layout().shape().dims();
    let (weight, area) = (cpu::floats(weight), side * side);
    let number = |c: usize, tap: usize| {
        let tap = if turned { area - 1 - tap } else { tap };
        weight.get(c * area + tap).copied().unwrap_or(0.0)
    };
    let block = |first: usize| -> Vec<Lanes> {
        let tap = |tap| Lanes(std::array::from_fn(|lane| number(first + lane, tap)));
        (0..area).map(tap).collect()
    };
    Taps { blocks: (0..channels).step_by(LANES).map(block).collect(), side }
}

/// `x` [B, H, W, C], contiguous. Returns the same shape.
pub(super) fn convolve(x: &FlexTensor, taps: &Taps, bias: Option<&FlexTensor>) -> FlexTensor {
    let pictures = Pictures::of(x);
    let bias = bias.map(cpu::floats);
    let (row, all) = (pictures.row(), pictures.values.len());
    let sizes = [all, (pictures.height * row).max(1), (ROWS * row).max(1)];
    let (out, _) = cpu::filled_in_groups(sizes, |b, start, out| {
        let first = start / row;
        let mut border = Border::new(&pictures, taps.side / 2);
        for (block, taps_of) in taps.blocks.iter().enumerate() {
            let start = bias.map_or(Lanes::ZERO, |bias| lanes(bias, block));
            border.copy(&pictures, b, first, block);
            let border = &border;
            let out = (&mut *out, &pictures, block);
            cpu::with_simd(Convolve { border, taps: taps_of, side: taps.side, start, out });
        }
    });
    cpu::tensor(out, x.layout().shape().clone())
}

/// Numbers of `x` [B, H, W, C].
struct Pictures<'a> {
    values: &'a [f32],
    height: usize,
    width: usize,
    channels: usize,
}

impl<'a> Pictures<'a> {
    fn of(x: &'a FlexTensor) -> Self {
        let [_, height, width, channels]: [usize; 4] = x.layout().shape().dims();
        Self { values: cpu::floats(x), height, width, channels }
    }

    /// Numbers of one row.
    fn row(&self) -> usize {
        self.width * self.channels
    }

    /// 16 channels of pixel `x` in row `y` of picture `b`.
    #[inline(always)]
    fn pixel(&self, [b, y, x]: [usize; 3], block: usize) -> Lanes {
        let start = ((b * self.height + y) * self.width + x) * self.channels;
        lanes(&self.values[start..start + self.channels], block)
    }
}

/// Part number `block` of the numbers of all channels.
#[inline(always)]
fn lanes(channels: &[f32], block: usize) -> Lanes {
    let part = &channels[block * LANES..];
    match part.first_chunk() {
        Some(full) => Lanes(*full),
        None => Lanes(std::array::from_fn(|lane| part.get(lane).copied().unwrap_or(0.0))),
    }
}

/// Copies of some rows of 16 channels, with `reach` rows and columns of zeros on every side.
struct Border {
    pixels: Vec<Lanes>,
    reach: usize,
    /// Pixels of a row with its border.
    width: usize,
}

impl Border {
    fn new(pictures: &Pictures<'_>, reach: usize) -> Self {
        let width = pictures.width + 2 * reach;
        Self { pixels: vec![Lanes::ZERO; (ROWS + 2 * reach) * width], reach, width }
    }

    /// Copies the rows that the piece from row `first` on meets.
    #[inline(always)]
    fn copy(&mut self, pictures: &Pictures<'_>, b: usize, first: usize, block: usize) {
        let &mut Self { ref mut pixels, reach, width } = self;
        for (i, row) in pixels.chunks_exact_mut(width).enumerate() {
            let inside = (first + i).checked_sub(reach).filter(|&y| y < pictures.height);
            let row = &mut row[reach..width - reach];
            match inside {
                Some(y) => {
                    for (x, pixel) in row.iter_mut().enumerate() {
                        *pixel = pictures.pixel([b, y, x], block);
                    }
                }
                None => row.fill(Lanes::ZERO),
            }
        }
    }

    /// `N` neighbouring pixels.
    #[inline(always)]
    fn pixels<const N: usize>(&self, row: usize, column: usize) -> &[Lanes; N] {
        self.pixels[row * self.width + column..].first_chunk().expect("inside of the border")
    }
}

/// Writes 16 channels of all rows of a piece.
struct Convolve<'a> {
    border: &'a Border,
    taps: &'a [Lanes],
    side: usize,
    start: Lanes,
    out: (&'a mut [MaybeUninit<f32>], &'a Pictures<'a>, usize),
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { border, taps, side, start, out: (out, pictures, block) } = self;
        let taps = (taps, side, start);
        let tiles = pictures.width / TILE;
        for (y, out) in out.chunks_exact_mut(pictures.row()).enumerate() {
            let (of_tiles, rest) = out.split_at_mut(tiles * TILE * pictures.channels);
            for (x, out) in of_tiles.chunks_exact_mut(TILE * pictures.channels).enumerate() {
                let sums = tile::<S, TILE>(simd, border, taps, [y, x * TILE]);
                write(out, pictures.channels, block, &sums);
            }
            for (x, out) in (tiles * TILE..).zip(rest.chunks_exact_mut(pictures.channels)) {
                write(out, pictures.channels, block, &tile::<S, 1>(simd, border, taps, [y, x]));
            }
        }
    }
}

/// Writes 16 channels of neighbouring pixels.
#[inline(always)]
fn write(out: &mut [MaybeUninit<f32>], channels: usize, block: usize, sums: &[Lanes]) {
    for (out, sums) in out.chunks_exact_mut(channels).zip(sums) {
        let out = &mut out[block * LANES..];
        match out.first_chunk_mut::<LANES>() {
            Some(full) => *full = sums.0.map(MaybeUninit::new),
            None => {
                for (out, &sum) in out.iter_mut().zip(&sums.0) {
                    out.write(sum);
                }
            }
        }
    }
}

/// `N` neighbouring outputs.
#[inline(always)]
fn tile<S: Simd, const N: usize>(
    simd: S,
    border: &Border,
    (taps, side, start): (&[Lanes], usize, Lanes),
    [y, x]: [usize; 2],
) -> [Lanes; N] {
    let mut out = [start; N];
    for v in 0..LANES / S::F32_LANES {
        let mut sums = [start.vectors::<S>()[v]; N];
        for (ky, taps) in taps.chunks_exact(side).enumerate() {
            for (kx, tap) in taps.iter().enumerate() {
                let tap = tap.vectors::<S>()[v];
                let pixels: &[Lanes; N] = border.pixels(y + ky, x + kx);
                for n in 0..N {
                    sums[n] = simd.mul_add_e_f32s(pixels[n].vectors::<S>()[v], tap, sums[n]);
                }
            }
        }
        for n in 0..N {
            out[n].vectors_mut::<S>()[v] = sums[n];
        }
    }
    out
}

/// The gradient of the kernels of `side` for contiguous `x` and `grad` [B, H, W, C]: [C, 1, K, K].
pub(super) fn weight_gradient(x: &FlexTensor, side: usize, grad: &FlexTensor) -> FlexTensor {
    let (pictures, grads) = (Pictures::of(x), Pictures::of(grad));
    let (channels, area) = (pictures.channels, side * side);
    let blocks = channels.div_ceil(LANES);
    let of_picture = pictures.height.div_ceil(ROWS);
    let pieces = pictures.values.len() / (pictures.height * pictures.row()).max(1) * of_picture;
    // Sums of some pieces each, for every block of channels the taps of its kernels.
    let some = pieces.div_ceil(16).max(1);
    let sums = (0..pieces).into_par_iter().step_by(some).map(|start| {
        let mut sums = vec![Lanes::ZERO; blocks * area];
        let mut border = Border::new(&pictures, side / 2);
        for piece in start..pieces.min(start + some) {
            let (b, first) = (piece / of_picture, piece % of_picture * ROWS);
            for (block, sums) in sums.chunks_exact_mut(area).enumerate() {
                border.copy(&pictures, b, first, block);
                let (border, grads, place) = (&border, &grads, [b, first, block]);
                cpu::with_simd(AddRows { border, grads, place, side, sums });
            }
        }
        sums.into_iter().flat_map(|sums| sums.0).collect()
    });
    let sums = cpu::added(sums.collect(), blocks * area * LANES);
    let number = |c: usize, tap: usize| sums[(c / LANES * area + tap) * LANES + c % LANES];
    let values = (0..channels).flat_map(|c| (0..area).map(move |tap| (c, tap)));
    let values = values.map(|(c, tap)| number(c, tap)).collect();
    cpu::tensor(values, Shape::new([channels, 1, side, side]))
}

/// Adds what the rows of a piece contribute to the taps `sums` of 16 channels.
struct AddRows<'a> {
    border: &'a Border,
    grads: &'a Pictures<'a>,
    place: [usize; 3],
    side: usize,
    sums: &'a mut [Lanes],
}

impl WithSimd for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { border, grads, place: [b, first, block], side, sums } = self;
        let mut row = vec![Lanes::ZERO; grads.width];
        for y in first..grads.height.min(first + ROWS) {
            for (x, grad) in row.iter_mut().enumerate() {
                *grad = grads.pixel([b, y, x], block);
            }
            for (ky, sums) in sums.chunks_exact_mut(side).enumerate() {
                let at = y - first + ky;
                match side {
                    7 => add_taps::<S, 7>(simd, border, [at, 0], &row, sums),
                    3 => add_taps::<S, 3>(simd, border, [at, 0], &row, sums),
                    _ => {
                        for (kx, sum) in sums.chunks_exact_mut(1).enumerate() {
                            add_taps::<S, 1>(simd, border, [at, kx], &row, sum);
                        }
                    }
                }
            }
        }
    }
}

/// `K` neighbouring taps of a row, all in registers.
#[inline(always)]
fn add_taps<S: Simd, const K: usize>(
    simd: S,
    border: &Border,
    [row, column]: [usize; 2],
    grads: &[Lanes],
    sums: &mut [Lanes],
) {
    let sums: &mut [Lanes; K] = sums.try_into().expect("as many taps");
    for v in 0..LANES / S::F32_LANES {
        let mut held = [simd.splat_f32s(0.0); K];
        for (x, grad) in grads.iter().enumerate() {
            let grad = grad.vectors::<S>()[v];
            let pixels: &[Lanes; K] = border.pixels(row, x + column);
            for k in 0..K {
                held[k] = simd.mul_add_e_f32s(pixels[k].vectors::<S>()[v], grad, held[k]);
            }
        }
        for k in 0..K {
            let sum = &mut sums[k].vectors_mut::<S>()[v];
            *sum = simd.add_f32s(*sum, held[k]);
        }
    }
}
