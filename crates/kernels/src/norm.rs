//! Layer normalisation over the last axis.
//!
//! Source: arXiv 1607.06450; `torch.nn.functional.layer_norm`. The backward pass keeps the input
//! alone: mean and deviation of a row cost less to compute again than to keep.
//!
//! Shape letters: W, width of a row.

use std::mem::MaybeUninit;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ir::ScalarIr,
        tensor::FloatTensor,
    },
    tensor::{Shape, Tensor},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_flex::FlexTensor;
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    cpu::{self, reduce},
    graph::{parents, register, tracked},
    wide::in_single,
};

/// Every row of `x` [.., W] at mean 0 and variance 1, times `weight` [W], plus `bias` [W].
///
/// `epsilon` is added to the variance, which is the mean of squares (no correction). Panics where
/// weight or bias do not fit.
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    check(&x, &weight, &bias);
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(Dispatch::normalize_rows(x, weight, bias, epsilon))
}

/// Panics where weight or bias do not fit.
pub(crate) fn check<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, bias: &Tensor<1>) {
    let needed = ([x.dims()[D - 1]], x.dtype());
    assert_eq!((weight.dims(), weight.dtype()), needed, "weight of a layer norm");
    assert_eq!((bias.dims(), bias.dtype()), needed, "bias of a layer norm");
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Norms: Backend {
    /// See [`layer_norm`].
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [y] = in_single::<Self, 3, 1>([x, weight, bias], |[x, weight, bias]| {
            [composed::<Self>(x, weight, bias, epsilon)]
        });
        y
    }

    /// Gradients of x, weight and bias for the gradient `grad` of the result.
    fn normalize_rows_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [of_x, of_weight, of_bias] =
            in_single::<Self, 3, 3>([x, weight, grad], |[x, weight, grad]| {
                composed_backward::<Self>(x, weight, grad, epsilon).into()
            });
        (of_x, of_weight, of_bias)
    }
}

// The composed form

fn composed<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    B::layer_norm(x, weight, Some(bias), epsilon)
}

fn composed_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = x.shape();
    let last = shape.num_dims() - 1;
    let width = shape[last];
    let flat = Shape::new([shape.num_elements() / width.max(1), width]);
    let (x, grad) = (B::float_reshape(x, flat.clone()), B::float_reshape(grad, flat));

    let centered = B::float_sub(x.clone(), B::float_mean_dim(x, 1));
    let variance = B::float_mean_dim(B::float_mul(centered.clone(), centered.clone()), 1);
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into()));
    let normal = B::float_div(centered, deviation.clone());

    let scaled = B::float_mul(grad.clone(), B::float_reshape(weight, Shape::new([1, width])));
    let along = B::float_mean_dim(B::float_mul(scaled.clone(), normal.clone()), 1);
    let level = B::float_mean_dim(scaled.clone(), 1);
    let inner = B::float_sub(B::float_sub(scaled, level), B::float_mul(normal.clone(), along));
    let of_x = B::float_reshape(B::float_div(inner, deviation), shape);

    let over_rows = |tensor| B::float_reshape(B::float_sum_dim(tensor, 0), Shape::new([width]));
    (of_x, over_rows(B::float_mul(grad.clone(), normal)), over_rows(grad))
}

// The CPU

impl Norms for Flex {
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        cpu::in_f32(
            [x, weight, bias],
            |[x, weight, bias]| forward(&x, &weight, &bias, epsilon as f32),
            |[x, weight, bias]| composed::<Self>(x, weight, bias, epsilon),
        )
    }

    fn normalize_rows_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [of_x, of_weight, of_bias] = cpu::all_in_f32(
            [x, weight, grad],
            |[x, weight, grad]| backward(&x, &weight, &grad, epsilon as f32),
            |[x, weight, grad]| composed_backward::<Self>(x, weight, grad, epsilon).into(),
        );
        (of_x, of_weight, of_bias)
    }
}

fn forward(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor, epsilon: f32) -> FlexTensor {
    let (values, weight, bias) = (cpu::floats(x), cpu::floats(weight), cpu::floats(bias));
    let width = weight.len();
    let piece = cpu::rows_of_a_piece(width);
    let out = cpu::filled(values.len(), piece, |start, out| {
        let rows = values[start..start + out.len()].chunks_exact(width);
        let mut centered = vec![0.0; width];
        cpu::with_vectors(
            #[inline(always)]
            || {
                for (x, out) in rows.zip(out.chunks_exact_mut(width)) {
                    let scale = center(x, epsilon, &mut centered);
                    let inputs = centered.iter().zip(weight).zip(bias);
                    for (out, ((&centered, &weight), &bias)) in out.iter_mut().zip(inputs) {
                        out.write((centered * scale).mul_add(weight, bias));
                    }
                }
            },
        );
    });
    cpu::tensor(out, x.layout().shape().clone())
}

fn backward(
    x: &FlexTensor,
    weight: &FlexTensor,
    grad: &FlexTensor,
    epsilon: f32,
) -> [FlexTensor; 3] {
    let (values, weight, grad) = (cpu::floats(x), cpu::floats(weight), cpu::floats(grad));
    let width = weight.len();
    // Larger pieces than elsewhere, since each has sums over its rows of its own.
    let piece = 4 * cpu::rows_of_a_piece(width);
    let (of_x, sums) = cpu::filled_and(values.len(), piece, |start, out| {
        let rows = values[start..start + out.len()].chunks_exact(width);
        let grads = grad[start..start + out.len()].chunks_exact(width);
        // Of weight, then of bias.
        let mut sums = vec![0.0; 2 * width];
        let (mut centered, mut scaled) = (vec![0.0; width], vec![0.0; width]);
        cpu::with_vectors(
            #[inline(always)]
            || {
                for ((x, grad), out) in rows.zip(grads).zip(out.chunks_exact_mut(width)) {
                    let scale = center(x, epsilon, &mut centered);
                    let normal = (&centered[..], scale);
                    row_backward(normal, [weight, grad], &mut scaled, out, &mut sums);
                }
            },
        );
        sums
    });
    let sums = cpu::added(sums, 2 * width);
    let (of_weight, of_bias) = sums.split_at(width);
    let vector = |values: &[f32]| cpu::tensor(values.to_vec(), Shape::new([width]));
    [cpu::tensor(of_x, x.layout().shape().clone()), vector(of_weight), vector(of_bias)]
}

/// Writes `x` minus its mean to `centered`. Returns what makes the variance of that 1.
#[inline(always)]
fn center(x: &[f32], epsilon: f32, centered: &mut [f32]) -> f32 {
    let count = x.len() as f32;
    let mean = reduce::sum(x) / count;
    centered.iter_mut().zip(x).for_each(|(centered, x)| *centered = x - mean);
    let variance = reduce::dot(centered, centered) / count;
    1.0 / (variance + epsilon).sqrt()
}

/// Writes the gradient of one row, which is `centered` times `scale`, and adds its part of the
/// gradients of weight and bias to `sums`. `scaled` is memory for a row.
#[inline(always)]
fn row_backward(
    (centered, scale): (&[f32], f32),
    [weight, grad]: [&[f32]; 2],
    scaled: &mut [f32],
    out: &mut [MaybeUninit<f32>],
    sums: &mut [f32],
) {
    for ((scaled, weight), grad) in scaled.iter_mut().zip(weight).zip(grad) {
        *scaled = weight * grad;
    }
    let count = grad.len() as f32;
    let level = reduce::sum(scaled) / count;
    let slope = reduce::dot(scaled, centered) * scale * scale / count;
    for ((out, &scaled), &centered) in out.iter_mut().zip(&*scaled).zip(centered) {
        out.write(scale * (centered.mul_add(-slope, scaled) - level));
    }
    let (of_weight, of_bias) = sums.split_at_mut(grad.len());
    for ((of_weight, &grad), &centered) in of_weight.iter_mut().zip(grad).zip(centered) {
        *of_weight = grad.mul_add(centered * scale, *of_weight);
    }
    of_bias.iter_mut().zip(grad).for_each(|(of_bias, grad)| *of_bias += grad);
}

// The graphs

impl<C: RouterChannel> Norms for BackendRouter<C> {
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let inputs = vec![x, weight, bias];
        capture::record("hearth::layer_norm", inputs, shape, vec![ScalarIr::Float(epsilon)])
    }
}

impl<B: Norms, C: CheckpointStrategy> Norms for Autodiff<B, C> {
    fn normalize_rows(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        let state = (x.clone(), weight.clone(), epsilon);
        let out = B::normalize_rows(x, weight, bias, epsilon);
        tracked::<C, B, _, _>(LayerNorm, nodes, state, out)
    }
}

#[derive(Debug)]
struct LayerNorm;

impl<B: Norms> Backward<B, 3> for LayerNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (parents, grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let (x, weight, epsilon) = ops.state;
        let (of_x, of_weight, of_bias) = B::normalize_rows_backward(x, weight, grad, epsilon);
        let of_inputs = [of_x, of_weight, of_bias].map(Some);
        register::<B>(grads, parents.into_iter().zip(of_inputs));
    }
}
