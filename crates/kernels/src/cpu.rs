//! Loops over slices on all threads of the current pool, compiled for the vectors that the processor has.

pub(crate) mod math;
pub(crate) mod matrix;
pub(crate) mod reduce;

use std::mem::MaybeUninit;

use burn::{
    backend::{Flex, ops::FloatTensorOps},
    tensor::{Bytes, DType, FloatDType, Shape},
};
use burn_flex::{FlexTensor, Layout};
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

/// Elements of one piece of work: 64 KiB, so that input and output stay in the second-level cache.
pub(crate) const PIECE: usize = 1 << 14;

/// Runs `kernel` on contiguous f32 tensors. Numbers of half the width are widened, and the result
/// narrowed again; for wider ones it is `composed`.
pub(crate) fn in_f32<const N: usize>(
    inputs: [FlexTensor; N],
    kernel: impl FnOnce([FlexTensor; N]) -> FlexTensor,
    composed: impl FnOnce([FlexTensor; N]) -> FlexTensor,
) -> FlexTensor {
    let [output] = all_in_f32(inputs, |inputs| [kernel(inputs)], |inputs| [composed(inputs)]);
    output
}

/// As [`in_f32`], with several results.
pub(crate) fn all_in_f32<const N: usize, const M: usize>(
    inputs: [FlexTensor; N],
    kernel: impl FnOnce([FlexTensor; N]) -> [FlexTensor; M],
    composed: impl FnOnce([FlexTensor; N]) -> [FlexTensor; M],
) -> [FlexTensor; M] {
    let dtype = inputs[0].dtype();
    if dtype == DType::F64 {
        return composed(inputs);
    }
    kernel(inputs.map(|input| single(input).to_contiguous())).map(|output| narrowed(output, dtype))
}

/// `x` in f32, in the layout that it has or a contiguous one.
pub(crate) fn single(x: FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F32 => x,
        _ => Flex::float_cast(x.to_contiguous(), FloatDType::F32),
    }
}

/// `x`, which is f32, in the type `dtype`.
pub(crate) fn narrowed(x: FlexTensor, dtype: DType) -> FlexTensor {
    match dtype {
        DType::F32 => x,
        _ => Flex::float_cast(x.to_contiguous(), dtype.into()),
    }
}

/// `f` of every element of a contiguous f32 tensor.
pub(crate) fn map(x: &FlexTensor, f: impl Fn(f32) -> f32 + Copy + Sync) -> FlexTensor {
    let values = floats(x);
    let out = filled(values.len(), PIECE, |start, out| {
        let values = &values[start..start + out.len()];
        with_vectors(
            #[inline(always)]
            || {
                for (out, &x) in out.iter_mut().zip(values) {
                    out.write(f(x));
                }
            },
        );
    });
    tensor(out, x.layout().shape().clone())
}

/// `f` of the elements of two contiguous f32 tensors of one shape.
pub(crate) fn zip(
    x: &FlexTensor,
    y: &FlexTensor,
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) -> FlexTensor {
    let (left, right) = (floats(x), floats(y));
    assert_eq!(left.len(), right.len(), "both have one shape");
    let out = filled(left.len(), PIECE, |start, out| {
        let (left, right) = (&left[start..start + out.len()], &right[start..start + out.len()]);
        with_vectors(
            #[inline(always)]
            || {
                for ((out, &x), &y) in out.iter_mut().zip(left).zip(right) {
                    out.write(f(x, y));
                }
            },
        );
    });
    tensor(out, x.layout().shape().clone())
}

/// The elements of a contiguous f32 tensor.
pub(crate) fn floats(x: &FlexTensor) -> &[f32] {
    let (start, end) = x.layout().contiguous_offsets().expect("the caller made it contiguous");
    &x.storage::<f32>()[start..end]
}

/// `x` with its numbers in order and no others in its memory, copied unless it is so already.
pub(crate) fn whole(x: FlexTensor) -> FlexTensor {
    let (len, bytes) = (x.layout().num_elements() * x.dtype().size(), x.bytes().len());
    match x.layout().contiguous_offsets() {
        Some((0, _)) if len == bytes => x,
        _ => FlexTensor::from_data(x.to_contiguous().into_data()),
    }
}

/// A contiguous f32 tensor.
pub(crate) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// `len` numbers that `write` makes in pieces of `piece`, given where a piece starts.
///
/// `write` has to write every element of its piece.
pub(crate) fn filled(
    len: usize,
    piece: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    filled_and(len, piece, write).0
}

/// As [`filled`], with what `write` returns for every piece, in order.
pub(crate) fn filled_and<T: Send>(
    len: usize,
    piece: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    filled_in_groups([len, len.max(1), piece], |_, start, out| write(start, out))
}

/// As [`filled_and`], with groups of equal length that no piece crosses: `write` is given the number
/// of the group and where in it the piece starts.
pub(crate) fn filled_in_groups<T: Send>(
    [len, group, piece]: [usize; 3],
    write: impl Fn(usize, usize, &mut [MaybeUninit<f32>]) -> T + Sync,
) -> (Vec<f32>, Vec<T>) {
    let mut out = Vec::with_capacity(len);
    let groups = out.spare_capacity_mut()[..len].par_chunks_mut(group).enumerate();
    let pieces = groups.flat_map(|(g, out)| {
        let pieces = out.par_chunks_mut(piece).enumerate();
        pieces.map(move |(i, out)| (g, i * piece, out))
    });
    let results = pieces.map(|(g, start, out)| write(g, start, out)).collect();
    // SAFETY: the capacity is at least `len`, the pieces cover the first `len` elements, and every
    // caller writes all elements of a piece.
    #[expect(unsafe_code, reason = "zeroing what is overwritten at once is a pass over memory")]
    unsafe {
        out.set_len(len);
    }
    (out, results)
}

/// Sums over vectors of `len` numbers, in their order.
pub(crate) fn added(parts: Vec<Vec<f32>>, len: usize) -> Vec<f32> {
    let mut total = vec![0.0; len];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += value);
    }
    total
}

/// Numbers in the rows of `width` that make a piece of work.
pub(crate) fn rows_of_a_piece(width: usize) -> usize {
    PIECE.div_ceil(width.max(1)) * width.max(1)
}

/// The last side of `x`.
pub(crate) fn last_side(x: &FlexTensor) -> usize {
    x.layout().shape().as_slice().last().copied().unwrap_or(1)
}

/// Runs `work` compiled for the widest vectors of this processor, for loops of which the compiler makes
/// vector instructions.
#[inline(always)]
pub(crate) fn with_vectors(work: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(avx512) = V4::try_new() {
            return Simd::vectorize(avx512, work);
        }
        if let Some(avx2) = V3::try_new() {
            return Simd::vectorize(avx2, work);
        }
    }
    work();
}

/// As [`with_vectors`], for work that names its vector instructions.
#[inline(always)]
pub(crate) fn with_simd<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(avx512) = V4::try_new() {
            return Simd::vectorize(avx512, work);
        }
        if let Some(avx2) = V3::try_new() {
            return Simd::vectorize(avx2, work);
        }
    }
    work.with_simd(Scalar::new())
}

/// As [`with_simd`], inside of work that is compiled for the same vectors already.
#[inline(always)]
fn inlined_simd<W: WithSimd>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(avx512) = V4::try_new() {
            return work.with_simd(avx512);
        }
        if let Some(avx2) = V3::try_new() {
            return work.with_simd(avx2);
        }
    }
    work.with_simd(Scalar::new())
}
