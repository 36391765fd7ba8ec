//! A linear layer: x W + b.
//!
//! Source: `torch.nn.functional.linear`, with the matrix transposed. The bias is in the output before
//! the product is added to it, and every thread multiplies rows of its own.
//!
//! Shape letters: M rows, I inputs, O outputs.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ops::ModuleOps,
        tensor::FloatTensor,
    },
    tensor::{DType, Shape, Tensor},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_flex::FlexTensor;
use burn_router::{BackendRouter, RouterChannel};
use rayon::prelude::*;

use crate::{
    capture,
    cpu::{
        self,
        matrix::{Before, Matrix, Target, multiply},
    },
    graph::{Maybe, parents, register, tracked},
    wide::in_single,
};

/// `x` [.., I] times `weight` [I, O], plus `bias` [O]. Returns [.., O]. Panics where they do not fit.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    check(&x, &weight, bias.as_ref());
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), Maybe::of(bias));
    Tensor::from_dispatch(Dispatch::project(x, weight, bias))
}

/// Panics where the inputs of a linear layer do not fit together.
pub(crate) fn check<const D: usize>(x: &Tensor<D>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[D - 1], inputs, "inputs of a linear layer");
    assert_eq!(x.dtype(), weight.dtype(), "type of a linear layer");
    if let Some(bias) = bias {
        assert_eq!((bias.dims(), bias.dtype()), ([outputs], x.dtype()), "bias of a linear layer");
    }
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Linear: Backend {
    /// See [`linear`].
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
    ) -> FloatTensor<Self> {
        Self::linear(x, weight, bias.tensor())
    }

    /// The gradient of x [.., I] for that of the result, `grad` [.., O].
    fn project_backward_x(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_x_backward(weight, grad)
    }

    /// The gradient of the weight.
    fn project_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_weight_backward(x, grad)
    }

    /// The gradient of the bias.
    fn project_backward_bias(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let [sum] = in_single::<Self, 1, 1>([grad], |[grad]| [Self::linear_bias_backward(grad)]);
        sum
    }
}

// The CPU

impl Linear for Flex {
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
    ) -> FloatTensor<Self> {
        if x.dtype() != DType::F32 {
            return Self::linear(x, weight, bias.tensor());
        }
        forward(&x.to_contiguous(), &weight, bias.tensor())
    }

    fn project_backward_x(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if grad.dtype() != DType::F32 {
            return Self::linear_x_backward(weight, grad);
        }
        forward(&grad.to_contiguous(), &weight.transpose(0, 1), None)
    }

    fn project_backward_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if grad.dtype() != DType::F32 {
            return Self::linear_weight_backward(x, grad);
        }
        weight_gradient(&x.to_contiguous(), &grad.to_contiguous())
    }

    fn project_backward_bias(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        cpu::in_f32(
            [grad],
            |[grad]| bias_gradient(&grad),
            |[grad]| Self::linear_bias_backward(grad),
        )
    }
}

/// `x` is contiguous.
fn forward(x: &FlexTensor, weight: &FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
    let [inputs, outputs]: [usize; 2] = weight.layout().shape().dims();
    let weight = match weight.layout().has_positive_strides() {
        true => weight.clone(),
        false => weight.to_contiguous(),
    };
    let bias = bias.map(|bias| bias.to_contiguous());
    let bias = bias.as_ref().map(cpu::floats);
    let mut shape = x.layout().shape().clone();
    let last = shape.num_dims() - 1;
    shape[last] = outputs;

    let (values, weight) = (cpu::floats(x), Matrix::of(&weight));
    let rows = shape.num_elements() / outputs.max(1);
    let piece = rows.div_ceil(rayon::current_num_threads()).max(1) * outputs.max(1);
    let out = cpu::filled(rows * outputs, piece, |start, out| {
        let rows = out.len() / outputs;
        let x = &values[start / outputs * inputs..][..rows * inputs];
        let mut before = Before::Forget;
        if let Some(bias) = bias {
            before = Before::Keep;
            for row in out.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(out, &bias)| {
                    out.write(bias);
                });
            }
        }
        let out = Target::new(out, [rows, outputs], [outputs, 1]);
        multiply(out, Matrix::dense(x, [rows, inputs]), weight, 1.0, before);
    });
    cpu::tensor(out, shape)
}

/// x^T grad: [I, O]; both contiguous.
fn weight_gradient(x: &FlexTensor, grad: &FlexTensor) -> FlexTensor {
    let (inputs, outputs) = (cpu::last_side(x), cpu::last_side(grad));
    let (x, grad) = (cpu::floats(x), cpu::floats(grad));
    let rows = grad.len() / outputs.max(1);
    let piece = inputs.div_ceil(rayon::current_num_threads()).max(1) * outputs.max(1);
    let out = cpu::filled(inputs * outputs, piece, |start, out| {
        let (first, count) = (start / outputs, out.len() / outputs);
        let x = Matrix::new(&x[first.min(x.len())..], [rows, count], [inputs, 1]);
        let grad = Matrix::dense(grad, [rows, outputs]);
        let out = Target::new(out, [count, outputs], [outputs, 1]);
        multiply(out, x.transposed(), grad, 1.0, Before::Forget);
    });
    cpu::tensor(out, Shape::new([inputs, outputs]))
}

/// Sum over all rows: [O].
fn bias_gradient(grad: &FlexTensor) -> FlexTensor {
    let outputs = cpu::last_side(grad);
    let piece = 4 * cpu::rows_of_a_piece(outputs);
    let sums = cpu::floats(grad).par_chunks(piece).map(|rows| {
        let mut sums = vec![0.0; outputs];
        cpu::with_vectors(
            #[inline(always)]
            || {
                for row in rows.chunks_exact(outputs) {
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
            },
        );
        sums
    });
    cpu::tensor(cpu::added(sums.collect(), outputs), Shape::new([outputs]))
}

// The graphs

impl<C: RouterChannel> Linear for BackendRouter<C> {
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
    ) -> FloatTensor<Self> {
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = weight.shape()[1];
        let inputs = [x, weight].into_iter().chain(bias.tensor()).collect();
        capture::record("hearth::linear", inputs, shape, Vec::new())
    }
}

impl<B: Linear, C: CheckpointStrategy> Linear for Autodiff<B, C> {
    fn project(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node_or(&x)];
        // Each is kept only where the other one is differentiated.
        let keep = [weight.is_tracked(), x.is_tracked()];
        let operation = Project { with_bias: bias.is_some() };
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let state = [keep[0].then(|| x.clone()), keep[1].then(|| weight.clone())];
        let out = B::project(x, weight, bias.into_inner());
        tracked::<C, B, _, _>(operation, nodes, state, out)
    }
}

#[derive(Debug)]
struct Project {
    with_bias: bool,
}

impl<B: Linear> Backward<B, 3> for Project {
    type State = [Option<FloatTensor<B>>; 2];

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let ([of_x, of_weight, of_bias], grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let [x, weight] = ops.state;
        let of_bias = of_bias.filter(|_| self.with_bias);
        let by_x = of_x.zip(weight).map(|(_, weight)| B::project_backward_x(weight, grad.clone()));
        let by_weight = of_weight.zip(x).map(|(_, x)| B::project_backward_weight(x, grad.clone()));
        let by_bias = of_bias.map(|_| B::project_backward_bias(grad));
        register::<B>(grads, [(of_x, by_x), (of_weight, by_weight), (of_bias, by_bias)]);
    }
}
