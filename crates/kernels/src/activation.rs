//! Activations of MLPs: GELU, its tanh approximation, QuickGELU and SiLU.
//!
//! Sources: arXiv 1606.08415; `torch.nn.GELU`; `openai/CLIP:clip/model.py` (QuickGELU). All but the
//! exact GELU are x * sigmoid(a x + b x^3), since (1 + tanh u) / 2 = sigmoid(2 u).

use std::f32::consts::FRAC_1_SQRT_2;

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
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    cpu::{self, math},
    graph::tracked,
    wide::in_single,
};

/// The non-linearity of an MLP. It belongs to the weights: another one gives plausible, worse results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x * Phi(x) through the error function.
    Gelu,
    /// The tanh approximation of GELU (`gelu_pytorch_tanh`).
    GeluTanh,
    /// x * sigmoid(1.702 x), OpenAI's CLIP.
    QuickGelu,
    /// x * sigmoid(x).
    Silu,
}

/// `function` of every element of `x`.
pub fn activate<const D: usize>(x: Tensor<D>, function: Activation) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::activate(x.into_dispatch(), function))
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Activations: Backend {
    /// `function` of every element of `x`.
    fn activate(x: FloatTensor<Self>, function: Activation) -> FloatTensor<Self> {
        let [y] = in_single::<Self, 1, 1>([x], |[x]| [composed::<Self>(x, function)]);
        y
    }

    /// `grad` times the derivative of `function` at `x`.
    fn activate_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        function: Activation,
    ) -> FloatTensor<Self> {
        let [of_x] = in_single::<Self, 2, 1>([x, grad], |[x, grad]| {
            [composed_backward::<Self>(x, grad, function)]
        });
        of_x
    }
}

/// a x + b x^3, what the sigmoid of an activation is taken of.
#[derive(Clone, Copy)]
struct Cubic {
    a: f64,
    b: f64,
}

impl Activation {
    /// `None` for the exact GELU, which has none.
    fn sigmoid_argument(self) -> Option<Cubic> {
        match self {
            Activation::Gelu => None,
            Activation::GeluTanh => {
                let a = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
                Some(Cubic { a, b: 0.044_715 * a })
            }
            Activation::QuickGelu => Some(Cubic { a: 1.702, b: 0.0 }),
            Activation::Silu => Some(Cubic { a: 1.0, b: 0.0 }),
        }
    }
}

// The composed form

fn composed<B: Backend>(x: FloatTensor<B>, function: Activation) -> FloatTensor<B> {
    match function.sigmoid_argument() {
        None => B::gelu(x),
        Some(argument) => B::float_mul(gate::<B>(x.clone(), argument), x),
    }
}

fn composed_backward<B: Backend>(
    x: FloatTensor<B>,
    grad: FloatTensor<B>,
    function: Activation,
) -> FloatTensor<B> {
    let Some(argument) = function.sigmoid_argument() else {
        return composed_gelu_backward::<B>(x, grad);
    };
    // s (1 + x (1 - s) z'), with z the argument of the sigmoid s
    let gate = gate::<B>(x.clone(), argument);
    let slope = B::float_mul(even::<B>(x.clone(), 3.0 * argument.b, argument.a), x);
    let rest = B::float_add_scalar(B::float_neg(gate.clone()), 1.0.into());
    let inner = B::float_add_scalar(B::float_mul(slope, rest), 1.0.into());
    B::float_mul(B::float_mul(gate, inner), grad)
}

/// The framework's own differentiates the approximation by tanh on some devices.
fn composed_gelu_backward<B: Backend>(x: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
    let times = |x, factor: f64| B::float_mul_scalar(x, factor.into());
    let erf = B::float_erf(times(x.clone(), std::f64::consts::FRAC_1_SQRT_2));
    let normal = B::float_add_scalar(times(erf, 0.5), 0.5.into());
    let power = B::float_exp(times(B::float_mul(x.clone(), x.clone()), -0.5));
    let density = times(power, (std::f64::consts::TAU).sqrt().recip());
    B::float_mul(grad, B::float_add(normal, B::float_mul(x, density)))
}

/// The sigmoid of the argument at `x`.
fn gate<B: Backend>(x: FloatTensor<B>, Cubic { a, b }: Cubic) -> FloatTensor<B> {
    B::sigmoid(B::float_mul(even::<B>(x.clone(), b, a), x))
}

/// s x^2 + c.
fn even<B: Backend>(x: FloatTensor<B>, s: f64, c: f64) -> FloatTensor<B> {
    let square = B::float_mul(x.clone(), x);
    B::float_add_scalar(B::float_mul_scalar(square, s.into()), c.into())
}

// The CPU

impl Activations for Flex {
    fn activate(x: FloatTensor<Self>, function: Activation) -> FloatTensor<Self> {
        cpu::in_f32(
            [x],
            |[x]| match function.sigmoid_argument() {
                None => cpu::map(&x, |x| x * normal(x)),
                Some(Cubic { a, b }) => {
                    let (a, b) = (a as f32, b as f32);
                    cpu::map(&x, move |x| {
                        // Finite, since 0 times infinity is not a number.
                        let y = x.clamp(f32::MIN, f32::MAX);
                        x * math::sigmoid(y * (b * y).mul_add(y, a))
                    })
                }
            },
            |[x]| composed::<Self>(x, function),
        )
    }

    fn activate_backward(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        function: Activation,
    ) -> FloatTensor<Self> {
        cpu::in_f32(
            [x, grad],
            |[x, grad]| match function.sigmoid_argument() {
                None => cpu::zip(&x, &grad, |x, grad| {
                    // 1 / sqrt(2 pi)
                    const DENSITY: f32 = 0.398_942_3;
                    let density = DENSITY * math::exp(-0.5 * x * x);
                    grad * x.mul_add(density, normal(x))
                }),
                Some(Cubic { a, b }) => {
                    let (a, b) = (a as f32, b as f32);
                    cpu::zip(&x, &grad, move |x, grad| {
                        let gate = math::sigmoid(x * (b * x).mul_add(x, a));
                        // Finite, since the factor beside it is 0 where it overflows.
                        let slope = (x * (3.0 * b * x).mul_add(x, a)).clamp(f32::MIN, f32::MAX);
                        grad * gate * slope.mul_add(1.0 - gate, 1.0)
                    })
                }
            },
            |[x, grad]| composed_backward::<Self>(x, grad, function),
        )
    }
}

/// Phi, the distribution function of the standard normal distribution.
#[inline(always)]
fn normal(x: f32) -> f32 {
    math::erf(x * FRAC_1_SQRT_2).mul_add(0.5, 0.5)
}

// The graphs

impl<C: RouterChannel> Activations for BackendRouter<C> {
    fn activate(x: FloatTensor<Self>, function: Activation) -> FloatTensor<Self> {
        let shape = x.shape();
        capture::record("hearth::activate", vec![x], shape, vec![ScalarIr::UInt(function as u64)])
    }
}

impl<B: Activations, C: CheckpointStrategy> Activations for Autodiff<B, C> {
    fn activate(x: FloatTensor<Self>, function: Activation) -> FloatTensor<Self> {
        let nodes = [x.node()];
        let x = x.into_primitive();
        let state = (x.clone(), function);
        tracked::<C, B, _, _>(Activate, nodes, state, B::activate(x, function))
    }
}

#[derive(Debug)]
struct Activate;

impl<B: Activations> Backward<B, 1> for Activate {
    type State = (FloatTensor<B>, Activation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (x, function) = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |grad| B::activate_backward(x, grad, function));
    }
}
