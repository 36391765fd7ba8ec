//! Softmax and its logarithm over the last axis.
//!
//! Source: `torch.nn.functional.softmax` and `log_softmax`. The backward pass keeps the result alone.
//! A row of minus infinities has no softmax: it is not a number.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ir::ScalarIr,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, unary},
};
use burn_flex::FlexTensor;
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    cpu::{self, math, reduce},
    graph::tracked,
    wide::in_single,
};

/// e^x of every row of `x` [.., W], over its sum.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::soften(x.into_dispatch(), Kind::Softmax))
}

/// The logarithm of [`softmax`], which does not underflow.
pub fn log_softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::soften(x.into_dispatch(), Kind::Log))
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Softmax,
    Log,
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Softmax: Backend {
    /// See [`softmax`] and [`log_softmax`].
    fn soften(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        let [y] = in_single::<Self, 1, 1>([x], |[x]| [composed::<Self>(x, kind)]);
        y
    }

    /// The gradient of the input for the gradient `grad` of the result `y`.
    fn soften_backward(
        y: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self> {
        let [of_x] = in_single::<Self, 2, 1>([y, grad], |[y, grad]| {
            [composed_backward::<Self>(y, grad, kind)]
        });
        of_x
    }
}

// The composed form

fn composed<B: Backend>(x: FloatTensor<B>, kind: Kind) -> FloatTensor<B> {
    let last = x.shape().num_dims() - 1;
    match kind {
        Kind::Softmax => B::softmax(x, last),
        Kind::Log => {
            let shifted = B::float_sub(x.clone(), B::float_max_dim(x, last));
            let sum = B::float_sum_dim(B::float_exp(shifted.clone()), last);
            B::float_sub(shifted, B::float_log(sum))
        }
    }
}

fn composed_backward<B: Backend>(
    y: FloatTensor<B>,
    grad: FloatTensor<B>,
    kind: Kind,
) -> FloatTensor<B> {
    let last = y.shape().num_dims() - 1;
    match kind {
        Kind::Softmax => {
            let along = B::float_sum_dim(B::float_mul(y.clone(), grad.clone()), last);
            B::float_mul(y, B::float_sub(grad, along))
        }
        Kind::Log => {
            let sum = B::float_sum_dim(grad.clone(), last);
            B::float_sub(grad, B::float_mul(B::float_exp(y), sum))
        }
    }
}

// The CPU

impl Softmax for Flex {
    fn soften(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        cpu::in_f32([x], |[x]| forward(&x, kind), |[x]| composed::<Self>(x, kind))
    }

    fn soften_backward(
        y: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self> {
        cpu::in_f32(
            [y, grad],
            |[y, grad]| backward(&y, &grad, kind),
            |[y, grad]| composed_backward::<Self>(y, grad, kind),
        )
    }
}

fn forward(x: &FlexTensor, kind: Kind) -> FlexTensor {
    let values = cpu::floats(x);
    let width = cpu::last_side(x);
    let piece = cpu::rows_of_a_piece(width);
    let out = cpu::filled(values.len(), piece, |start, out| {
        let rows = values[start..start + out.len()].chunks_exact(width);
        let mut powers = vec![0.0; width];
        cpu::with_vectors(
            #[inline(always)]
            || {
                for (x, out) in rows.zip(out.chunks_exact_mut(width)) {
                    let greatest = reduce::greatest(x);
                    for (power, &x) in powers.iter_mut().zip(x) {
                        *power = math::exp(x - greatest);
                    }
                    let sum = reduce::sum(&powers);
                    match kind {
                        Kind::Softmax => {
                            let factor = 1.0 / sum;
                            for (out, power) in out.iter_mut().zip(&powers) {
                                out.write(power * factor);
                            }
                        }
                        Kind::Log => {
                            let level = sum.ln();
                            for (out, &x) in out.iter_mut().zip(x) {
                                out.write((x - greatest) - level);
                            }
                        }
                    }
                }
            },
        );
    });
    cpu::tensor(out, x.layout().shape().clone())
}

fn backward(y: &FlexTensor, grad: &FlexTensor, kind: Kind) -> FlexTensor {
    let (values, grads) = (cpu::floats(y), cpu::floats(grad));
    let width = cpu::last_side(y);
    let piece = cpu::rows_of_a_piece(width);
    let out = cpu::filled(values.len(), piece, |start, out| {
        let rows = values[start..start + out.len()].chunks_exact(width);
        let grads = grads[start..start + out.len()].chunks_exact(width);
        cpu::with_vectors(
            #[inline(always)]
            || {
                for ((y, grad), out) in rows.zip(grads).zip(out.chunks_exact_mut(width)) {
                    let inputs = out.iter_mut().zip(y).zip(grad);
                    match kind {
                        Kind::Softmax => {
                            let along = reduce::dot(y, grad);
                            inputs.for_each(|((out, &y), &grad)| {
                                out.write(y * (grad - along));
                            });
                        }
                        Kind::Log => {
                            let sum = reduce::sum(grad);
                            inputs.for_each(|((out, &y), &grad)| {
                                out.write(math::exp(y).mul_add(-sum, grad));
                            });
                        }
                    }
                }
            },
        );
    });
    cpu::tensor(out, y.layout().shape().clone())
}

// The graphs

impl<C: RouterChannel> Softmax for BackendRouter<C> {
    fn soften(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        let shape = x.shape();
        let name = match kind {
            Kind::Softmax => "hearth::softmax",
            Kind::Log => "hearth::log_softmax",
        };
        capture::record(name, vec![x], shape, Vec::<ScalarIr>::new())
    }
}

impl<B: Softmax, C: CheckpointStrategy> Softmax for Autodiff<B, C> {
    fn soften(x: FloatTensor<Self>, kind: Kind) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let y = B::soften(x.into_primitive(), kind);
        tracked::<C, B, _, _>(Soften { kind }, nodes, y.clone(), y)
    }
}

#[derive(Debug)]
struct Soften {
    kind: Kind,
}

impl<B: Softmax> Backward<B, 1> for Soften {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (y, kind) = (ops.state, self.kind);
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::soften_backward(y, grad, kind));
    }
}
