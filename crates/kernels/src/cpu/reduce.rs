//! Sums, products and greatest elements of slices, in vectors written out: the compiler does not always
//! make them of a loop that joins numbers.
//!
//! The order of the additions depends on the length and on the vectors of the processor alone.

use pulp::{Simd, WithSimd};

use super::inlined_simd;

/// Vectors that are joined side by side, which hides how long one addition takes.
const VECTORS: usize = 4;

/// Sum of all elements.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    inlined_simd(Sum(x))
}

/// Sum of the products of two slices of one length.
#[inline(always)]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    inlined_simd(Dot(x, &y[..x.len()]))
}

/// The greatest element, or minus infinity; not a number where it meets one is left to the caller.
#[inline(always)]
pub(crate) fn greatest(x: &[f32]) -> f32 {
    inlined_simd(Greatest(x))
}

struct Sum<'a>(&'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (x, rest) = S::as_simd_f32s(self.0);
        let sum = joined(
            (x.len(), simd.splat_f32s(0.0)),
            #[inline(always)]
            |sum, i| simd.add_f32s(sum, x[i]),
            #[inline(always)]
            |a, b| simd.add_f32s(a, b),
        );
        simd.reduce_sum_f32s(sum) + rest.iter().sum::<f32>()
    }
}

struct Dot<'a>(&'a [f32], &'a [f32]);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let ((x, rest_x), (y, rest_y)) = (S::as_simd_f32s(self.0), S::as_simd_f32s(self.1));
        let y = &y[..x.len()];
        let sum = joined(
            (x.len(), simd.splat_f32s(0.0)),
            #[inline(always)]
            |sum, i| simd.mul_add_e_f32s(x[i], y[i], sum),
            #[inline(always)]
            |a, b| simd.add_f32s(a, b),
        );
        let rest: f32 = rest_x.iter().zip(rest_y).map(|(x, y)| x * y).sum();
        simd.reduce_sum_f32s(sum) + rest
    }
}

struct Greatest<'a>(&'a [f32]);

impl WithSimd for Greatest<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (x, rest) = S::as_simd_f32s(self.0);
        let greatest = joined(
            (x.len(), simd.splat_f32s(f32::NEG_INFINITY)),
            #[inline(always)]
            |greatest, i| simd.max_f32s(x[i], greatest),
            #[inline(always)]
            |a, b| simd.max_f32s(a, b),
        );
        let greatest = simd.reduce_max_f32s(greatest);
        rest.iter().fold(greatest, |greatest, &x| if x > greatest { x } else { greatest })
    }
}

/// `step` of all vectors from 0 to `count`, some side by side, which `join` brings together.
#[inline(always)]
fn joined<V: Copy>(
    (count, start): (usize, V),
    step: impl Fn(V, usize) -> V,
    join: impl Fn(V, V) -> V,
) -> V {
    let mut vectors = [start; VECTORS];
    let whole = count - count % VECTORS;
    for first in (0..whole).step_by(VECTORS) {
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = step(*vector, first + i);
        }
    }
    let [a, b, c, d] = vectors;
    let mut all = join(join(a, b), join(c, d));
    for i in whole..count {
        all = step(all, i);
    }
    all
}
