//! What the operations of our own do with the graph of derivatives.

use burn::backend::{Backend, tensor::FloatTensor};
use burn_autodiff::{NodeId, grads::Gradients};

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
