//! Depthwise convolution with stride 1 that keeps the size, channels last.
//!
//! Source: `torch.nn.functional.conv2d` with `groups = C` and `padding = K / 2` (cross-correlation).
//! Channels last is the layout in which the layers around it, norms and linear layers, work.
//!
//! Shape letters: B batch, H height, W width, C channels, K side of the kernel, odd.

mod cpu;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ops::ConvOptions,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    cpu::in_f32,
    graph::{parents, register, tracked},
    linear::Linear,
};

/// Every channel of `x` [B, H, W, C] with its own kernel of `weight` [C, 1, K, K], plus `bias` [C].
/// Returns [B, H, W, C].
pub fn depthwise_conv(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let ([_, _, _, channels], [of, one, rows, columns]) = (x.dims(), weight.dims());
    assert!(
        of == channels && one == 1 && rows == columns && rows % 2 == 1,
        "kernels {:?} for {channels} channels",
        weight.dims()
    );
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::convolve_depthwise(x, weight, bias))
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Depthwise: Linear {
    /// See [`depthwise_conv`].
    fn convolve_depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::<Self>(x, weight, bias)
    }

    /// The gradient of x for that of the result.
    fn convolve_depthwise_backward_x(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_backward_x::<Self>(weight, grad)
    }

    /// The gradient of the kernels, which are as large as `weight`.
    fn convolve_depthwise_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_backward_weight::<Self>(x, weight, grad)
    }
}

// The composed form

fn composed<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = options(&weight);
    channels_last::<B>(B::conv2d(channels_first::<B>(x), weight, Some(bias), options))
}

fn composed_backward_x<B: Backend>(weight: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let grad = channels_first::<B>(grad);
    let options = options(&weight);
    // The input has the size of the output, and only its size matters.
    channels_last::<B>(B::conv2d_x_backward(grad.clone(), weight, grad, options))
}

fn composed_backward_weight<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let options = options(&weight);
    let (x, grad) = (channels_first::<B>(x), channels_first::<B>(grad));
    B::conv2d_weight_backward(x, weight, grad, options)
}

fn options(weight: &impl TensorMetadata) -> ConvOptions<2> {
    let [channels, _, side, _]: [usize; 4] = weight.shape().dims();
    ConvOptions::new([1, 1], [side / 2, side / 2], [1, 1], channels)
}

fn channels_first<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_permute(x, &[0, 3, 1, 2])
}

fn channels_last<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_permute(x, &[0, 2, 3, 1])
}

// The CPU

impl Depthwise for Flex {
    fn convolve_depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        in_f32(
            [x, weight, bias],
            |[x, weight, bias]| cpu::convolve(&x, &cpu::taps(&weight, false), Some(&bias)),
            |[x, weight, bias]| composed::<Self>(x, weight, bias),
        )
    }

    fn convolve_depthwise_backward_x(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        // The same with every kernel turned by half a turn.
        in_f32(
            [weight, grad],
            |[weight, grad]| cpu::convolve(&grad, &cpu::taps(&weight, true), None),
            |[weight, grad]| composed_backward_x::<Self>(weight, grad),
        )
    }

    fn convolve_depthwise_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        in_f32(
            [x, weight, grad],
            |[x, weight, grad]| cpu::weight_gradient(&x, weight.layout().shape()[2], &grad),
            |[x, weight, grad]| composed_backward_weight::<Self>(x, weight, grad),
        )
    }
}

// The graphs

impl<C: RouterChannel> Depthwise for BackendRouter<C> {
    fn convolve_depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        capture::record("hearth::depthwise_conv", vec![x, weight, bias], shape, Vec::new())
    }
}

impl<B: Depthwise, C: CheckpointStrategy> Depthwise for Autodiff<B, C> {
    fn convolve_depthwise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        let state = (x.clone(), weight.clone());
        let out = B::convolve_depthwise(x, weight, bias);
        tracked::<C, B, _, _>(Convolve, nodes, state, out)
    }
}

#[derive(Debug)]
struct Convolve;

impl<B: Depthwise> Backward<B, 3> for Convolve {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let ([of_x, of_weight, of_bias], grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let (x, weight) = ops.state;
        let by_x = of_x.map(|_| B::convolve_depthwise_backward_x(weight.clone(), grad.clone()));
        let by_weight =
            of_weight.map(|_| B::convolve_depthwise_backward_weight(x, weight, grad.clone()));
        let by_bias = of_bias.map(|_| B::project_backward_bias(grad));
        register::<B>(grads, [(of_x, by_x), (of_weight, by_weight), (of_bias, by_bias)]);
    }
}
