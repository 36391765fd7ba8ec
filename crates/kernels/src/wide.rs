//! Composed forms of half types, computed in f32: sums, powers and exponentials of theirs overflow or
//! lose what is small.

use burn::{
    backend::{Backend, TensorMetadata, tensor::FloatTensor},
    tensor::{DType, FloatDType},
};

/// `compute` of the inputs in f32 where they are of a half type; its results are of their type again.
pub(crate) fn in_single<B: Backend, const N: usize, const M: usize>(
    inputs: [FloatTensor<B>; N],
    compute: impl FnOnce([FloatTensor<B>; N]) -> [FloatTensor<B>; M],
) -> [FloatTensor<B>; M] {
    let dtype = inputs[0].dtype();
    compute(inputs.map(wide::<B>)).map(|output| typed::<B>(output, dtype))
}

/// `x` in f32 where it is of a half type.
pub(crate) fn wide<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    match x.dtype() {
        DType::F16 | DType::BF16 => B::float_cast(x, FloatDType::F32),
        _ => x,
    }
}

/// `x` in the type `dtype`.
pub(crate) fn typed<B: Backend>(x: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    match x.dtype() == dtype {
        true => x,
        false => B::float_cast(x, dtype.into()),
    }
}
