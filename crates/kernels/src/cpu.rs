//! Loops over slices on all threads of the current pool, compiled for the vectors that the processor has.

pub(crate) mod math;

use std::mem::MaybeUninit;

use burn::{
    backend::{Flex, ops::FloatTensorOps},
    tensor::{Bytes, DType, FloatDType, Shape},
};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

/// Elements of one piece of work: 64 KiB, so that input and output stay in the second-level cache.
const PIECE: usize = 1 << 14;

/// Runs `kernel` on contiguous f32 tensors. Numbers of half the width are widened, and the result
/// narrowed again; for wider ones it is `composed`.
pub(crate) fn in_f32<const N: usize>(
    inputs: [FlexTensor; N],
    kernel: impl FnOnce([FlexTensor; N]) -> FlexTensor,
    composed: impl FnOnce([FlexTensor; N]) -> FlexTensor,
) -> FlexTensor {
    match inputs[0].dtype() {
        DType::F32 => kernel(inputs.map(|input| input.to_contiguous())),
        DType::F64 => composed(inputs),
        narrow => {
            let wide = inputs.map(|input| Flex::float_cast(input.to_contiguous(), FloatDType::F32));
            Flex::float_cast(kernel(wide), narrow.into())
        }
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

/// A contiguous f32 tensor.
pub(crate) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

/// `len` numbers that `write` makes in pieces of `piece`, given where a piece starts.
fn filled(
    len: usize,
    piece: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    let pieces = out.spare_capacity_mut()[..len].par_chunks_mut(piece).enumerate();
    pieces.for_each(|(i, out)| write(i * piece, out));
    // SAFETY: the capacity is at least `len`, the pieces cover the first `len` elements, and both
    // callers write every element of a piece: they walk it beside slices of the same length.
    #[expect(unsafe_code, reason = "zeroing what is overwritten at once is a pass over memory")]
    unsafe {
        out.set_len(len);
    }
    out
}

/// Runs `work` compiled for the widest vectors of this processor.
#[inline(always)]
pub(crate) fn with_vectors(work: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        if let Some(avx512) = pulp::x86::V4::try_new() {
            return pulp::Simd::vectorize(avx512, work);
        }
        if let Some(avx2) = pulp::x86::V3::try_new() {
            return pulp::Simd::vectorize(avx2, work);
        }
    }
    work();
}
