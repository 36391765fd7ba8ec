//! The two passes over the pixels, in integers: the same result with any vector instructions.

use super::kernel::{PLACES, Taps};
use crate::picture::Picture;

/// Rows that the first pass takes at once, so that one weight serves many neighbouring values.
const ROWS: usize = 8;

const CHANNELS: usize = 3;

/// Values that a pass takes at once: three vectors of AVX2.
const VALUES: usize = ROWS * CHANNELS;

/// Bytes that are moved for a pixel; the one too many belongs to the next, which is moved later.
const MOVED: usize = 4;

/// Added before the places are cut off: rounds.
const HALF: i32 = 1 << (PLACES - 1);

/// The rows between the passes: as narrow as the output, as high as the source.
struct Between {
    bytes: Vec<u8>,
    /// Bytes of a row, padded: the second pass never meets a part of a vector.
    stride: usize,
    /// The source row that is the first.
    first: usize,
}

/// Columns, then rows.
pub(super) fn resample(picture: &Picture, columns: &Taps, rows: &Taps) -> Picture {
    // Only the source rows that the second pass reads take part in the first.
    let (first, end) = rows.reach();
    let row_bytes = CHANNELS * picture.width as usize;
    let source = &picture.pixels[first * row_bytes..end * row_bytes];

    let narrow_bytes = CHANNELS * columns.len();
    let stride = (narrow_bytes + 1).next_multiple_of(VALUES);
    let bytes = vec![0; (end - first).next_multiple_of(ROWS) * stride];
    let mut between = Between { bytes, stride, first };
    let mut pixels = vec![0; rows.len() * narrow_bytes];
    with_vectors(
        #[inline(always)]
        || {
            columns_pass(source, row_bytes, columns, &mut between);
            rows_pass(&between, rows, &mut pixels);
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
fn columns_pass(source: &[u8], row_bytes: usize, columns: &Taps, between: &mut Between) {
    let (first, end) = columns.reach();
    // Column by column, then row by row: what has one weight lies side by side.
    let mut block = vec![[0; VALUES]; end - first];
    let stride = between.stride;
    let blocks = source.chunks(ROWS * row_bytes).zip(between.bytes.chunks_exact_mut(ROWS * stride));
    for (source, narrow) in blocks {
        for (row, pixels) in source.chunks_exact(row_bytes).enumerate() {
            turn(&pixels[CHANNELS * first..CHANNELS * end], row, &mut block);
        }
        for (x, (tap, weights)) in columns.iter().enumerate() {
            let sums = weighted(weights, block[tap - first..].iter());
            let mut values = [0; VALUES + MOVED - CHANNELS];
            values[..VALUES].copy_from_slice(&to_pixels(sums));
            for row in 0..ROWS {
                let at = row * stride + CHANNELS * x;
                let value = CHANNELS * row;
                narrow[at..at + MOVED].copy_from_slice(&values[value..value + MOVED]);
            }
        }
    }
}

/// Puts the pixels of a row into their columns.
#[inline(always)]
fn turn(pixels: &[u8], row: usize, block: &mut [[u8; VALUES]]) {
    for (column, pixel) in block.iter_mut().zip(pixels.as_chunks::<CHANNELS>().0) {
        column.as_chunks_mut::<CHANNELS>().0[row] = *pixel;
    }
}

#[inline(always)]
fn rows_pass(between: &Between, rows: &Taps, pixels: &mut [u8]) {
    let row_bytes = pixels.len() / rows.len();
    let parts = between.stride / VALUES;
    let source = between.bytes.as_chunks::<VALUES>().0;
    for ((tap, weights), output) in rows.iter().zip(pixels.chunks_exact_mut(row_bytes)) {
        let source = &source[(tap - between.first) * parts..];
        for (part, output) in output.chunks_mut(VALUES).enumerate() {
            let values = to_pixels(weighted(weights, source[part..].iter().step_by(parts)));
            match output.first_chunk_mut() {
                Some(output) => *output = values,
                None => output.copy_from_slice(&values[..output.len()]),
            }
        }
    }
}

/// The sums of values times weights.
///
/// The weights come in a way that keeps the compiler from taking eight of them at once: it would gather
/// eight distant values for each, which takes three times as long as eight neighbours for each weight.
#[inline(always)]
fn weighted<'a>(weights: &[i32], values: impl Iterator<Item = &'a [u8; VALUES]>) -> [i32; VALUES] {
    let mut sums = [HALF; VALUES];
    for (&weight, values) in weights.iter().zip(values) {
        let weight = std::hint::black_box(weight);
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += weight * i32::from(value);
        }
    }
    sums
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
