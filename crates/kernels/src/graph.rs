//! What the operations of our own do with the graph of derivatives.

use burn::{
    backend::{Autodiff, Backend, Dispatch, ExtensionType, tensor::FloatTensor},
    tensor::Tensor,
};
use burn_autodiff::{
    NodeId,
    checkpoint::strategy::CheckpointStrategy,
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};

/// An input that may be missing: `Option` does not cross the dispatch of extensions.
#[derive(Debug, Clone, ExtensionType)]
pub(crate) enum Maybe<B: Backend> {
    None,
    Some(FloatTensor<B>),
}

impl Maybe<Dispatch> {
    pub(crate) fn of<const D: usize>(tensor: Option<Tensor<D>>) -> Self {
        match tensor {
            Some(tensor) => Maybe::Some(tensor.into_dispatch()),
            None => Maybe::None,
        }
    }
}

impl<B: Backend> Maybe<B> {
    pub(crate) fn is_some(&self) -> bool {
        matches!(self, Maybe::Some(_))
    }

    pub(crate) fn tensor(self) -> Option<FloatTensor<B>> {
        match self {
            Maybe::None => None,
            Maybe::Some(tensor) => Some(tensor),
        }
    }
}

impl<B: Backend, C: CheckpointStrategy> Maybe<Autodiff<B, C>> {
    /// The place of a missing input among the parents is taken by one that is there anyway.
    pub(crate) fn node_or(&self, other: &FloatTensor<Autodiff<B, C>>) -> NodeGuard {
        match self {
            Maybe::None => other.node(),
            Maybe::Some(tensor) => tensor.node(),
        }
    }

    pub(crate) fn into_inner(self) -> Maybe<B> {
        match self {
            Maybe::None => Maybe::None,
            Maybe::Some(tensor) => Maybe::Some(tensor.into_primitive()),
        }
    }
}

/// Ends an operation with the result `out`: `state` is kept for its backward pass where there will be one.
pub(crate) fn tracked<C, B, O, const N: usize>(
    operation: O,
    nodes: [NodeGuard; N],
    state: O::State,
    out: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    C: CheckpointStrategy,
    B: Backend,
    O: Backward<B, N>,
{
    match operation.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, out),
        OpsKind::UnTracked(prepared) => prepared.finish(out),
    }
}

/// The inputs of an operation that ask for a gradient.
pub(crate) fn parents<S, const N: usize>(ops: &Ops<S, N>) -> [Option<NodeId>; N] {
    ops.parents.each_ref().map(|parent| parent.as_ref().map(|parent| parent.id))
}

/// Hands every tracked parent its gradient.
pub(crate) fn register<B: Backend>(
    grads: &mut Gradients,
    pairs: impl IntoIterator<Item = (Option<NodeId>, Option<FloatTensor<B>>)>,
) {
    for (parent, grad) in pairs {
        if let (Some(parent), Some(grad)) = (parent, grad) {
            grads.register::<B>(parent, grad);
        }
    }
}
