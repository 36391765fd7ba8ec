//! A backward pass that starts from a given gradient, as `torch.Tensor.backward(gradient)` does.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, tensor::FloatTensor,
    },
    tensor::{Gradients, Shape, Tensor},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients as GraphGradients,
    ops::{Backward, Ops, unary},
};

use crate::graph::tracked;

/// Gradients of everything that `y` was computed from, where that of `y` itself is `grad`.
pub fn backward_with<const D: usize>(y: Tensor<D>, grad: Tensor<D>) -> Gradients {
    assert_eq!(y.dims(), grad.dims(), "a gradient has the shape of its tensor");
    let grad = grad.without_autodiff().into_dispatch();
    let end = Dispatch::end(y.into_dispatch(), grad);
    Tensor::<1>::from_dispatch(end).backward()
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Autodiff)]
pub(crate) trait Ends: Backend {
    /// A number [1] whose derivative by `y` is `grad`.
    fn end(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let dtype = y.dtype();
        drop(grad);
        Self::float_zeros(Shape::new([1]), &y.device(), dtype.into())
    }
}

impl Ends for Flex {}

impl<B: Ends, C: CheckpointStrategy> Ends for Autodiff<B, C> {
    fn end(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [y.node()];
        let (y, grad) = (y.into_primitive(), grad.into_primitive());
        tracked::<C, B, _, _>(End, nodes, grad.clone(), B::end(y, grad))
    }
}

#[derive(Debug)]
struct End;

impl<B: Ends> Backward<B, 1> for End {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut GraphGradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = ops.state;
        // What comes from behind is the one of the derivative of the end by itself.
        unary::<B, _>(ops.parents, ops.node, grads, |_| grad);
    }
}
