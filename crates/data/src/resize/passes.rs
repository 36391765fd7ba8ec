//! The two passes over the pixels, in integers: the same result with any vector instructions.

use super::kernel::{PLACES, Taps};
use crate::picture::Picture;

/// Rows that the first pass takes at once, so that one weight serves many neighbouring values.
const ROWS: usize = 8;

/// Values of a row that the second pass takes at once.
const VALUES: usize = 32;

const CHANNELS: usize = 3;

/// Added before the places are cut off: rounds.
const HALF: i32 = 1 << (PLACES - 1);

/// Columns, then rows.
pub(super) fn resample(picture: &Picture, columns: &[Taps], rows: &[Taps]) -> Picture {
    // Only the source rows that the second pass reads take part in the first.
    let first = rows.iter().map(|taps| taps.first).min().unwrap_or_default();
    let end = rows.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or_default();
    let row_bytes = CHANNELS * picture.width as usize;
    let source = &picture.pixels[first * row_bytes..end * row_bytes];

    // Rows in between are padded, so that the second pass never meets a part of a vector.
    let narrow_bytes = CHANNELS * columns.len();
    let stride = narrow_bytes.next_multiple_of(VALUES);
    let mut narrow = vec![0; (end - first) * stride];
    let mut pixels = vec![0; rows.len() * narrow_bytes];
    with_vectors(
        #[inline(always)]
        || {
            columns_pass(source, row_bytes, columns, &mut narrow, stride);
            rows_pass(&narrow, stride, first, rows, &mut pixels);
        },
    );
    Picture { width: columns.len() as u32, height: rows.len() as u32, pixels }
}

/// Runs code that the compiler also wrote for AVX2, if the machine has it. Other processors either
/// have their vectors at the baseline or do without.
fn with_vectors(work: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(avx2, work);
    }
    work();
}

#[inline(always)]
fn columns_pass(
    source: &[u8],
    row_bytes: usize,
    columns: &[Taps],
    narrow: &mut [u8],
    stride: usize,
) {
    // Column by column of the block, then row by row: what has one weight lies side by side.
    let mut block = vec![[[0; CHANNELS]; ROWS]; row_bytes / CHANNELS];
    let blocks = source.chunks(ROWS * row_bytes).zip(narrow.chunks_mut(ROWS * stride));
    for (source, narrow) in blocks {
        for (row, pixels) in source.chunks_exact(row_bytes).enumerate() {
            for (column, pixel) in block.iter_mut().zip(pixels.as_chunks().0) {
                column[row] = *pixel;
            }
        }
        for (x, taps) in columns.iter().enumerate() {
            let mut sums = [HALF; ROWS * CHANNELS];
            for (weight, column) in one_by_one(&taps.weights).zip(&block[taps.first..]) {
                for (sum, &value) in sums.iter_mut().zip(column.as_flattened()) {
                    *sum += weight * i32::from(value);
                }
            }
            let values = to_pixels(sums);
            let at = CHANNELS * x..CHANNELS * (x + 1);
            for (row, pixel) in
                narrow.chunks_exact_mut(stride).zip(values.as_chunks::<CHANNELS>().0)
            {
                row[at.clone()].copy_from_slice(pixel);
            }
        }
    }
}

#[inline(always)]
fn rows_pass(narrow: &[u8], stride: usize, first: usize, rows: &[Taps], pixels: &mut [u8]) {
    let row_bytes = pixels.len() / rows.len();
    for (taps, output) in rows.iter().zip(pixels.chunks_exact_mut(row_bytes)) {
        let source = narrow[(taps.first - first) * stride..].as_chunks::<VALUES>().0;
        let parts = stride / VALUES;
        for (part, output) in output.chunks_mut(VALUES).enumerate() {
            let mut sums = [HALF; VALUES];
            for (weight, row) in one_by_one(&taps.weights).zip(source.chunks_exact(parts)) {
                for (sum, &value) in sums.iter_mut().zip(&row[part]) {
                    *sum += weight * i32::from(value);
                }
            }
            let values = to_pixels(sums);
            match output.first_chunk_mut() {
                Some(output) => *output = values,
                None => output.copy_from_slice(&values[..output.len()]),
            }
        }
    }
}

/// The weights, in a way that keeps the compiler from taking eight of them at once: it would gather
/// eight distant values for each, which takes three times as long as eight neighbours for each weight.
#[inline(always)]
fn one_by_one(weights: &[i32]) -> impl Iterator<Item = i32> {
    weights.iter().map(|&weight| std::hint::black_box(weight))
}

/// A loop: array `map` may stay outside of the vector code.
#[inline(always)]
fn to_pixels<const N: usize>(sums: [i32; N]) -> [u8; N] {
    let mut pixels = [0; N];
    for (pixel, sum) in pixels.iter_mut().zip(sums) {
        *pixel = (sum >> PLACES).clamp(0, 255) as u8;
    }
    pixels
}
