//! Gradients of one step: their global norm, and what it takes to clip it.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use hearth_kernels::sum_of_squares;

/// L2 norm over all gradients of `model`, [1]; stays on the device.
pub(crate) fn global_norm<M: Module>(
    model: &M,
    grads: &GradientsParams,
    device: &Device,
) -> Tensor<1> {
    let mut squares = Squares { grads, sum: Tensor::zeros([1], device) };
    model.visit(&mut squares);
    squares.sum.sqrt()
}

/// What scales gradients of norm `norm` [1] down to at most `max_norm`, as
/// `torch.nn.utils.clip_grad_norm_` does. [1].
pub(crate) fn clip_factor(norm: Tensor<1>, max_norm: f64) -> Tensor<1> {
    (norm + 1e-6).recip().mul_scalar(max_norm).clamp_max(1.0)
}

struct Squares<'a> {
    grads: &'a GradientsParams,
    sum: Tensor<1>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.get::<D>(param.id) {
            self.sum = self.sum.clone() + sum_of_squares(grad);
        }
    }
}
