//! What an optimizer does to one parameter, in one pass over its numbers: AdamW, LAMB, a running mean,
//! and the sum of squares of a gradient.
//!
//! Sources: arXiv 1711.05101 (`torch.optim.AdamW`), arXiv 1904.00962 (`apex.optimizers.FusedLAMB`).
//! Tensors are flat, on a device without autodiff, and changed in place where nobody else holds them.

use burn::{
    backend::{
        Backend, Dispatch, Flex, TensorMetadata, backend_extension, get_or_init_device_settings,
        tensor::FloatTensor,
    },
    tensor::{DType, Shape, Tensor},
};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::{
    cpu::{self, reduce},
    wide::wide,
};

/// Numbers of one step of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the first and of the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// The moments are divided by these: 1 - beta^t at step t.
    pub corrections: [f64; 2],
    /// Scales the step to the norm of the parameter (LAMB), unless there is no weight decay.
    pub trust: bool,
}

/// A parameter and the running means of its gradient and of the square of that, all of one length.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The parameter.
    pub value: Tensor<1>,
    /// Mean of the gradient.
    pub first: Tensor<1>,
    /// Mean of its square.
    pub second: Tensor<1>,
}

/// One step of Adam with the gradient `grad` times `factor` [1]. Panics where lengths or types differ.
pub fn adam(slot: Slot, grad: Tensor<1>, factor: Tensor<1>, numbers: Adam) -> Slot {
    let Slot { value, first, second } = slot;
    let needed = (value.dims(), value.dtype());
    for other in [&first, &second, &grad] {
        assert_eq!((other.dims(), other.dtype()), needed, "gradient and moments of a parameter");
    }
    let [value, first, second] = [value, first, second].map(Tensor::into_dispatch);
    let (grad, factor) = (grad.into_dispatch(), factor.into_dispatch());
    let (value, first, second) = Dispatch::adam(value, first, second, grad, factor, numbers);
    let [value, first, second] = [value, first, second].map(Tensor::from_dispatch);
    Slot { value, first, second }
}

/// `mean` moved towards `value` by the part `1 - decay`. Panics where lengths or types differ.
pub fn average(mean: Tensor<1>, value: Tensor<1>, decay: f64) -> Tensor<1> {
    assert_eq!((mean.dims(), mean.dtype()), (value.dims(), value.dtype()), "a mean of a parameter");
    Tensor::from_dispatch(Dispatch::average(mean.into_dispatch(), value.into_dispatch(), decay))
}

/// Sum of the squares of all numbers, [1]; of half types in f32.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::sum_of_squares(x.into_dispatch()))
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"))]
pub(crate) trait Updates: Backend {
    /// See [`adam`].
    fn adam(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        numbers: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::<Self>([value, first, second], grad, factor, numbers)
    }

    /// See [`average`].
    fn average(mean: FloatTensor<Self>, value: FloatTensor<Self>, decay: f64) -> FloatTensor<Self> {
        composed_average::<Self>(mean, value, decay)
    }

    /// See [`sum_of_squares`].
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_squares::<Self>(x)
    }
}

// The composed form

fn composed<B: Backend>(
    [value, first, second]: [FloatTensor<B>; 3],
    grad: FloatTensor<B>,
    factor: FloatTensor<B>,
    numbers: Adam,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let Adam { rate, weight_decay, betas, eps, corrections, .. } = numbers;
    let times = |x: FloatTensor<B>, factor: f64| B::float_mul_scalar(x, factor.into());
    let mean = |mean: FloatTensor<B>, x: FloatTensor<B>, beta: f64| {
        B::float_add(times(mean, beta), times(x, 1.0 - beta))
    };
    let grad = B::float_mul(grad, factor);
    let first = mean(first, grad.clone(), betas[0]);
    let second = mean(second, B::float_mul(grad.clone(), grad), betas[1]);
    let root = B::float_sqrt(times(second.clone(), 1.0 / corrections[1]));
    let direction = B::float_div(
        times(first.clone(), 1.0 / corrections[0]),
        B::float_add_scalar(root, eps.into()),
    );
    let value = if numbers.scales() {
        let direction = B::float_add(direction, times(value.clone(), weight_decay));
        let trust = composed_trust::<B>(value.clone(), direction.clone());
        B::float_sub(value, times(B::float_mul(direction, trust), rate))
    } else {
        B::float_sub(times(value, 1.0 - rate * weight_decay), times(direction, rate))
    };
    (value, first, second)
}

/// |value| / |direction|, 1 where either is zero. [1].
fn composed_trust<B: Backend>(value: FloatTensor<B>, direction: FloatTensor<B>) -> FloatTensor<B> {
    let norm = |x: FloatTensor<B>| B::float_sqrt(composed_squares::<B>(x));
    let (value, direction) = (norm(value), norm(direction));
    let bool_type = get_or_init_device_settings::<B>(&value.device()).bool_dtype;
    let product = B::float_mul(value.clone(), direction.clone());
    let undefined = B::float_equal_elem(product, 0.0.into(), bool_type);
    B::float_mask_fill(B::float_div(value, direction), undefined, 1.0.into())
}

fn composed_average<B: Backend>(
    mean: FloatTensor<B>,
    value: FloatTensor<B>,
    decay: f64,
) -> FloatTensor<B> {
    let step = B::float_sub(value, mean.clone());
    B::float_add(mean, B::float_mul_scalar(step, (1.0 - decay).into()))
}

fn composed_squares<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let x = wide::<B>(x);
    B::float_sum(B::float_mul(x.clone(), x))
}

impl Adam {
    /// Whether the step is scaled to the norm of the parameter.
    fn scales(&self) -> bool {
        self.trust && self.weight_decay != 0.0
    }
}

// The CPU

impl Updates for Flex {
    fn adam(
        value: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        numbers: Adam,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        if value.dtype() != DType::F32 {
            return composed::<Self>([value, first, second], grad, factor, numbers);
        }
        let [mut value, mut first, mut second] = [value, first, second].map(cpu::whole);
        let (grad, factor) = (cpu::whole(grad), cpu::floats(&cpu::whole(factor))[0]);
        let slots = [&mut value, &mut first, &mut second].map(FlexTensor::storage_mut::<f32>);
        step(slots, cpu::floats(&grad), factor, numbers);
        (value, first, second)
    }

    fn average(mean: FloatTensor<Self>, value: FloatTensor<Self>, decay: f64) -> FloatTensor<Self> {
        if mean.dtype() != DType::F32 {
            return composed_average::<Self>(mean, value, decay);
        }
        let (mut mean, value) = (cpu::whole(mean), cpu::whole(value));
        let part = (1.0 - decay) as f32;
        let pieces = mean.storage_mut::<f32>().par_chunks_mut(cpu::PIECE);
        pieces.zip(cpu::floats(&value).par_chunks(cpu::PIECE)).for_each(|(mean, value)| {
            cpu::with_vectors(
                #[inline(always)]
                || {
                    for (mean, value) in mean.iter_mut().zip(value) {
                        *mean = (value - *mean).mul_add(part, *mean);
                    }
                },
            );
        });
        mean
    }

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.dtype() == DType::F64 {
            return composed_squares::<Self>(x);
        }
        let x = cpu::whole(cpu::single(x));
        let sums = cpu::floats(&x).par_chunks(cpu::PIECE).map(|piece| {
            let mut sum = 0.0;
            cpu::with_vectors(
                #[inline(always)]
                || sum = reduce::dot(piece, piece),
            );
            f64::from(sum)
        });
        let sums: Vec<f64> = sums.collect();
        cpu::tensor(vec![sums.iter().sum::<f64>() as f32], Shape::new([1]))
    }
}

/// Updates value, first and second moment in place.
fn step(slots: [&mut [f32]; 3], grad: &[f32], factor: f32, numbers: Adam) {
    let Adam { rate, weight_decay, betas, eps, corrections, .. } = numbers;
    let [beta1, beta2] = betas.map(|beta| beta as f32);
    let [rest1, rest2] = betas.map(|beta| (1.0 - beta) as f32);
    let [scale1, scale2] = corrections.map(|correction| (1.0 / correction) as f32);
    let (rate, eps, weight_decay) = (rate as f32, eps as f32, weight_decay as f32);
    let keep = if numbers.scales() { 1.0 } else { 1.0 - rate * weight_decay };

    // The moments, and the value unless it waits for its norm; where it does, the squares of value
    // and direction.
    let [value, first, second] = slots;
    let [values, firsts, seconds] =
        [&mut *value, &mut *first, &mut *second].map(|slot| slot.par_chunks_mut(cpu::PIECE));
    let grads = grad.par_chunks(cpu::PIECE);
    let pieces = values.zip(firsts).zip(seconds).zip(grads);
    let squares = pieces.map(|(((value, first), second), grad)| {
        let (mut of_value, mut of_direction) = ([0.0; 16], [0.0; 16]);
        cpu::with_vectors(
            #[inline(always)]
            || {
                let slots = value.iter_mut().zip(first).zip(second).zip(grad);
                for (i, (((value, first), second), grad)) in slots.enumerate() {
                    let grad = grad * factor;
                    *first = beta1.mul_add(*first, rest1 * grad);
                    *second = beta2.mul_add(*second, rest2 * grad * grad);
                    let direction = *first * scale1 / ((*second * scale2).sqrt() + eps);
                    if numbers.scales() {
                        let direction = weight_decay.mul_add(*value, direction);
                        of_value[i % 16] += *value * *value;
                        of_direction[i % 16] += direction * direction;
                    } else {
                        *value = keep.mul_add(*value, -rate * direction);
                    }
                }
            },
        );
        [of_value, of_direction].map(|lanes| f64::from(lanes.iter().sum::<f32>()))
    });
    let squares: Vec<[f64; 2]> = squares.collect();
    if !numbers.scales() {
        return;
    }
    let [of_value, of_direction] =
        [0, 1].map(|i| squares.iter().map(|sums| sums[i]).sum::<f64>().sqrt());
    let trust = if of_value * of_direction == 0.0 { 1.0 } else { of_value / of_direction };
    let rate = rate * trust as f32;
    let [values, firsts, seconds] =
        [value, first, second].map(|slot| slot.par_chunks_mut(cpu::PIECE));
    values.zip(firsts).zip(seconds).for_each(|((value, first), second)| {
        cpu::with_vectors(
            #[inline(always)]
            || {
                for ((value, first), second) in value.iter_mut().zip(first).zip(second) {
                    let direction = *first * scale1 / ((*second * scale2).sqrt() + eps);
                    *value -= rate * weight_decay.mul_add(*value, direction);
                }
            },
        );
    });
}
