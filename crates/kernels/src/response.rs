//! Global response normalisation, channels last.
//!
//! Source: arXiv 2301.00808 (ConvNeXt V2), `facebookresearch/ConvNeXt-V2:models/utils.py`. The
//! response of a channel is its norm over the picture, relative to the mean over all channels.
//!
//! Shape letters: B batch, H height, W width, C channels.

use std::ops::Range;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
        get_or_init_device_settings, ir::ScalarIr, tensor::FloatTensor,
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
use rayon::prelude::*;

use crate::{
    capture, cpu,
    graph::{parents, register, tracked},
};

/// `x` (1 + `gamma` r) + `beta`, where r is the response of a channel of a picture of `x` [B, H, W, C];
/// `gamma` and `beta` are [C]. `epsilon` is added to the mean over the channels. Panics where they do
/// not fit.
pub fn response_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<4> {
    let needed = ([x.dims()[3]], x.dtype());
    assert_eq!((gamma.dims(), gamma.dtype()), needed, "gamma of a response norm");
    assert_eq!((beta.dims(), beta.dtype()), needed, "beta of a response norm");
    let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
    Tensor::from_dispatch(Dispatch::normalize_response(x, gamma, beta, epsilon))
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Responses: Backend {
    /// See [`response_norm`].
    fn normalize_response(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        composed::<Self>(x, gamma, beta, epsilon)
    }

    /// Gradients of x, gamma and beta for the gradient `grad` of the result.
    fn normalize_response_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_backward::<Self>(x, gamma, grad, epsilon).into()
    }
}

// The composed form

/// Numbers of every channel of a picture, [B, 1, C] each.
struct Energy<B: Backend> {
    /// Norm over the picture.
    norm: FloatTensor<B>,
    /// One over the mean over the channels, [B, 1, 1].
    scale: FloatTensor<B>,
    /// The product of the two.
    response: FloatTensor<B>,
}

fn composed<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let shape = x.shape();
    let x = pictures::<B>(x);
    let factor = factor::<B>(energy::<B>(x.clone(), epsilon).response, gamma);
    let y = B::float_add(B::float_mul(x, factor), per_channel::<B>(beta));
    B::float_reshape(y, shape)
}

fn composed_backward<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> [FloatTensor<B>; 3] {
    let shape = x.shape();
    let channels = shape[3];
    let (x, grad) = (pictures::<B>(x), pictures::<B>(grad));
    let Energy { norm, scale, response } = energy::<B>(x.clone(), epsilon);
    let along = B::float_sum_dim(B::float_mul(grad.clone(), x.clone()), 1);

    let of_response = B::float_mul(along.clone(), per_channel::<B>(gamma.clone()));
    let level = B::float_mean_dim(B::float_mul(of_response.clone(), response.clone()), 2);
    let of_norm = B::float_mul(B::float_sub(of_response, level), scale);
    // A channel of zeros has no direction.
    let bool_type = get_or_init_device_settings::<B>(&norm.device()).bool_dtype;
    let zero = B::float_equal_elem(norm.clone(), 0.0.into(), bool_type);
    let by_x = B::float_mask_fill(B::float_div(of_norm, norm), zero, 0.0.into());
    let of_x = B::float_add(
        B::float_mul(grad.clone(), factor::<B>(response.clone(), gamma)),
        B::float_mul(x, by_x),
    );
    let vector = |x| B::float_reshape(B::float_sum_dim(x, 0), Shape::new([channels]));
    [
        B::float_reshape(of_x, shape),
        vector(B::float_mul(along, response)),
        vector(B::float_sum_dim(grad, 1)),
    ]
}

fn energy<B: Backend>(x: FloatTensor<B>, epsilon: f64) -> Energy<B> {
    let norm = B::float_sqrt(B::float_sum_dim(B::float_mul(x.clone(), x), 1));
    let mean = B::float_add_scalar(B::float_mean_dim(norm.clone(), 2), epsilon.into());
    let scale = B::float_recip(mean);
    let response = B::float_mul(norm.clone(), scale.clone());
    Energy { norm, scale, response }
}

/// 1 + gamma r, [B, 1, C].
fn factor<B: Backend>(response: FloatTensor<B>, gamma: FloatTensor<B>) -> FloatTensor<B> {
    B::float_add_scalar(B::float_mul(response, per_channel::<B>(gamma)), 1.0.into())
}

/// [B, H, W, C] -> [B, H * W, C].
fn pictures<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, height, width, channels]: [usize; 4] = x.shape().dims();
    B::float_reshape(x, Shape::new([batch, height * width, channels]))
}

/// [C] -> [1, 1, C].
fn per_channel<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let channels = x.shape()[0];
    B::float_reshape(x, Shape::new([1, 1, channels]))
}

// The CPU

impl Responses for Flex {
    fn normalize_response(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        cpu::in_f32(
            [x, gamma, beta],
            |[x, gamma, beta]| forward(&x, cpu::floats(&gamma), cpu::floats(&beta), epsilon as f32),
            |[x, gamma, beta]| composed::<Self>(x, gamma, beta, epsilon),
        )
    }

    fn normalize_response_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        cpu::all_in_f32(
            [x, gamma, grad],
            |[x, gamma, grad]| backward(&x, cpu::floats(&gamma), &grad, epsilon as f32),
            |[x, gamma, grad]| composed_backward::<Self>(x, gamma, grad, epsilon),
        )
        .into()
    }
}

fn forward(x: &FlexTensor, gamma: &[f32], beta: &[f32], epsilon: f32) -> FlexTensor {
    let (values, sizes) = (cpu::floats(x), Sizes::of(x));
    let factors: Vec<Vec<f32>> = sums(&sizes, 1, |range, sums| {
        for pixel in values[range].chunks_exact(sizes.channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum = x.mul_add(x, *sum));
        }
    })
    .into_iter()
    .map(|squares| Channels::of(&squares, epsilon).factors(gamma))
    .collect();
    let (out, _) = cpu::filled_in_groups(sizes.groups(), |b, start, out| {
        let pixels = values[b * sizes.picture + start..][..out.len()].chunks_exact(sizes.channels);
        cpu::with_vectors(
            #[inline(always)]
            || {
                for (out, pixel) in out.chunks_exact_mut(sizes.channels).zip(pixels) {
                    let numbers = pixel.iter().zip(&factors[b]).zip(beta);
                    for (out, ((&x, &factor), &beta)) in out.iter_mut().zip(numbers) {
                        out.write(x.mul_add(factor, beta));
                    }
                }
            },
        );
    });
    cpu::tensor(out, x.layout().shape().clone())
}

fn backward(x: &FlexTensor, gamma: &[f32], grad: &FlexTensor, epsilon: f32) -> [FlexTensor; 3] {
    let (values, grads, sizes) = (cpu::floats(x), cpu::floats(grad), Sizes::of(x));
    let channels = sizes.channels;
    // For every picture the sums of x^2, of the gradient times x, and of the gradient.
    let sums = sums(&sizes, 3, |range, sums| {
        let (squares, rest) = sums.split_at_mut(channels);
        let (along, level) = rest.split_at_mut(channels);
        let pixels = values[range.clone()].chunks_exact(channels);
        for (x, grad) in pixels.zip(grads[range].chunks_exact(channels)) {
            let sums = squares.iter_mut().zip(&mut *along).zip(&mut *level);
            for (((square, along), level), (&x, &grad)) in sums.zip(x.iter().zip(grad)) {
                *square = x.mul_add(x, *square);
                *along = grad.mul_add(x, *along);
                *level += grad;
            }
        }
    });

    let (mut of_gamma, mut of_beta) = (vec![0.0; channels], vec![0.0; channels]);
    // For every picture what the gradient and what x is multiplied by.
    let factors: Vec<[Vec<f32>; 2]> = sums
        .iter()
        .map(|sums| {
            let (along, level) = (&sums[channels..2 * channels], &sums[2 * channels..]);
            let of_channels = Channels::of(&sums[..channels], epsilon);
            for c in 0..channels {
                of_gamma[c] += along[c] * of_channels.response(c);
                of_beta[c] += level[c];
            }
            let by_x = of_channels.slopes(along, gamma);
            [of_channels.factors(gamma), by_x]
        })
        .collect();
    let (out, _) = cpu::filled_in_groups(sizes.groups(), |b, start, out| {
        let range = b * sizes.picture + start..b * sizes.picture + start + out.len();
        let pixels = values[range.clone()].chunks_exact(channels);
        let pixels = pixels.zip(grads[range].chunks_exact(channels));
        let [by_grad, by_x] = &factors[b];
        cpu::with_vectors(
            #[inline(always)]
            || {
                for (out, (x, grad)) in out.chunks_exact_mut(channels).zip(pixels) {
                    let numbers = x.iter().zip(grad).zip(by_x.iter().zip(by_grad));
                    for (out, ((&x, &grad), (&by_x, &by_grad))) in out.iter_mut().zip(numbers) {
                        out.write(grad.mul_add(by_grad, x * by_x));
                    }
                }
            },
        );
    });
    let vector = |values| cpu::tensor(values, Shape::new([channels]));
    [cpu::tensor(out, x.layout().shape().clone()), vector(of_gamma), vector(of_beta)]
}

/// How [B, H, W, C] lies in memory.
struct Sizes {
    len: usize,
    /// Numbers of a picture.
    picture: usize,
    channels: usize,
    /// Numbers of a piece of work: whole pixels.
    piece: usize,
}

impl Sizes {
    fn of(x: &FlexTensor) -> Self {
        let [batch, height, width, channels]: [usize; 4] = x.layout().shape().dims();
        let picture = height * width * channels;
        let piece = 4 * cpu::rows_of_a_piece(channels);
        Self { len: batch * picture, picture, channels, piece }
    }

    fn groups(&self) -> [usize; 3] {
        [self.len, self.picture.max(1), self.piece]
    }
}

/// For every picture the sums of `count` numbers per channel, to which `add` adds those of a range.
fn sums(
    sizes: &Sizes,
    count: usize,
    add: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<Vec<f32>> {
    let len = count * sizes.channels;
    let starts = |picture: usize| {
        let picture = picture * sizes.picture..(picture + 1) * sizes.picture;
        let end = picture.end;
        let starts: Vec<usize> = picture.step_by(sizes.piece).collect();
        starts.into_par_iter().map(move |start| start..end.min(start + sizes.piece))
    };
    let pictures = 0..sizes.len.checked_div(sizes.picture).unwrap_or(0);
    let of_picture = |picture| {
        let parts = starts(picture).map(|range| {
            let mut sums = vec![0.0; len];
            cpu::with_vectors(
                #[inline(always)]
                || add(range, &mut sums),
            );
            sums
        });
        cpu::added(parts.collect(), len)
    };
    pictures.map(of_picture).collect()
}

/// The channels of one picture.
struct Channels {
    norm: Vec<f32>,
    /// One over the mean norm.
    scale: f32,
}

impl Channels {
    /// From the sums of their squares.
    fn of(squares: &[f32], epsilon: f32) -> Self {
        let norm: Vec<f32> = squares.iter().map(|square| square.sqrt()).collect();
        let mean = norm.iter().sum::<f32>() / norm.len() as f32;
        Self { norm, scale: 1.0 / (mean + epsilon) }
    }

    fn response(&self, channel: usize) -> f32 {
        self.norm[channel] * self.scale
    }

    /// 1 + gamma r.
    fn factors(&self, gamma: &[f32]) -> Vec<f32> {
        gamma.iter().enumerate().map(|(c, gamma)| 1.0 + gamma * self.response(c)).collect()
    }

    /// What the gradient of x is in multiples of x, from the sums of the gradient times x.
    fn slopes(&self, along: &[f32], gamma: &[f32]) -> Vec<f32> {
        let of_response: Vec<f32> =
            along.iter().zip(gamma).map(|(along, gamma)| along * gamma).collect();
        let level = of_response.iter().enumerate().map(|(c, slope)| slope * self.response(c));
        let level = level.sum::<f32>() / along.len() as f32;
        let slope = |(c, slope): (usize, &f32)| match self.norm[c] {
            // A channel of zeros has no direction.
            0.0 => 0.0,
            norm => (slope - level) * self.scale / norm,
        };
        of_response.iter().enumerate().map(slope).collect()
    }
}

// The graphs

impl<C: RouterChannel> Responses for BackendRouter<C> {
    fn normalize_response(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let shape = x.shape();
        let inputs = vec![x, gamma, beta];
        capture::record("hearth::response_norm", inputs, shape, vec![ScalarIr::Float(epsilon)])
    }
}

impl<B: Responses, C: CheckpointStrategy> Responses for Autodiff<B, C> {
    fn normalize_response(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
        let state = (x.clone(), gamma.clone());
        let out = B::normalize_response(x, gamma, beta, epsilon);
        tracked::<C, B, _, _>(Normalize { epsilon }, nodes, state, out)
    }
}

#[derive(Debug)]
struct Normalize {
    epsilon: f64,
}

impl<B: Responses> Backward<B, 3> for Normalize {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (parents, grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let (x, gamma) = ops.state;
        let of_inputs = B::normalize_response_backward(x, gamma, grad, self.epsilon);
        register::<B>(grads, parents.into_iter().zip(<[_; 3]>::from(of_inputs).map(Some)));
    }
}
