//! How a tower computes: in which type, and what it keeps for the backward pass.

use burn::{
    module::Param,
    tensor::{DType, FloatDType, Tensor},
};

/// How a tower computes; by default in f32, keeping everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Type of what flows through the tower. Layers take the type of their input: they cast their
    /// parameters, so that gradients arrive in the type of the parameters.
    pub dtype: FloatDType,
    /// A block keeps its input only and runs again in the backward pass.
    pub recompute: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self { dtype: FloatDType::F32, recompute: false }
    }
}

/// Whether to recompute.
impl From<bool> for Mode {
    fn from(recompute: bool) -> Self {
        Self { recompute, ..Self::default() }
    }
}

/// The parameter in the type `dtype`.
pub(crate) fn typed<const D: usize>(param: &Param<Tensor<D>>, dtype: DType) -> Tensor<D> {
    param.val().cast(dtype)
}
