//! Attention from the operations that every backend has, forward and backward.

use burn::{
    backend::{
        Backend, TensorMetadata, get_or_init_device_settings,
        tensor::{BoolTensor, FloatTensor},
    },
    tensor::{Shape, Slice, TensorData},
};

use super::Pass;
use crate::{
    graph::Maybe,
    wide::{typed, wide},
};

/// Stands for minus infinity, so that a row of nothing else has a softmax.
const HIDDEN: f64 = -1e30;

/// [B, A, Q, D].
pub(super) fn forward<B: Backend>(
    [q, k, v]: [FloatTensor<B>; 3],
    bias: Maybe<B>,
    causal: bool,
) -> FloatTensor<B> {
    let p = probabilities::<B>(scaled::<B>(q), k, bias, causal);
    B::float_matmul(typed::<B>(p, v.dtype()), v)
}

/// Gradients of the three inputs, and of the bias if it is asked for.
pub(super) fn backward<B: Backend>(
    [q, k, v]: [FloatTensor<B>; 3],
    bias: Maybe<B>,
    grad: FloatTensor<B>,
    Pass { causal, of_bias }: Pass,
) -> ([FloatTensor<B>; 3], Option<FloatTensor<B>>) {
    let sides = match &bias {
        Maybe::Some(bias) if of_bias => Some(bias.shape()),
        _ => None,
    };
    let dtype = q.dtype();
    let q = scaled::<B>(q);
    let p = probabilities::<B>(q.clone(), k.clone(), bias, causal);
    let narrow = B::float_transpose(typed::<B>(p.clone(), dtype));
    let of_v = B::float_matmul(narrow, grad.clone());

    let of_p = wide::<B>(B::float_matmul(grad, B::float_transpose(v)));
    let along = B::float_sum_dim(B::float_mul(p.clone(), of_p.clone()), 3);
    let of_scores = B::float_mul(p, B::float_sub(of_p, along));
    let of_bias = sides.map(|sides| typed::<B>(summed_to::<B>(of_scores.clone(), &sides), dtype));

    let of_scores = typed::<B>(of_scores, dtype);
    let of_q = scaled::<B>(B::float_matmul(of_scores.clone(), k));
    let of_k = B::float_matmul(B::float_transpose(of_scores), q);
    ([of_q, of_k, of_v], of_bias)
}

/// `x` [B, N, C * W] as C tensors [B, A, N, D].
pub(super) fn heads_of<B: Backend, const C: usize>(
    x: FloatTensor<B>,
    heads: usize,
) -> [FloatTensor<B>; C] {
    let [batch, tokens, width]: [usize; 3] = x.shape().dims();
    let split = Shape::new([batch, tokens, C, heads, width / (C * heads)]);
    let split = B::float_permute(B::float_reshape(x, split), &[2, 0, 3, 1, 4]);
    std::array::from_fn(|i| {
        let mut slices = vec![Slice::full(); 5];
        slices[0] = Slice::new(i as isize, Some(i as isize + 1), 1);
        let one = B::float_slice(split.clone(), &slices);
        let shape = one.shape();
        B::float_reshape(one, Shape::from(shape.as_slice()[1..].to_vec()))
    })
}

/// [B, A, N, D] -> [B, N, W].
pub(super) fn join<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, heads, tokens, width]: [usize; 4] = x.shape().dims();
    let x = B::float_swap_dims(x, 1, 2);
    B::float_reshape(x, Shape::new([batch, tokens, heads * width]))
}

/// [B, A, Q, K], in f32 for half types; `q` is [`scaled`].
fn probabilities<B: Backend>(
    q: FloatTensor<B>,
    k: FloatTensor<B>,
    bias: Maybe<B>,
    causal: bool,
) -> FloatTensor<B> {
    let mut scores = wide::<B>(B::float_matmul(q, B::float_transpose(k)));
    let least = HIDDEN.into();
    let hides = causal || bias.is_some();
    if let Maybe::Some(bias) = bias {
        let shape = scores.shape();
        let [batch, heads, queries, keys]: [usize; 4] = shape.dims();
        let [groups, a, q, k]: [usize; 4] = bias.shape().dims();
        let grouped = Shape::new([batch / groups.max(1), groups, heads, queries, keys]);
        let bias = B::float_reshape(wide::<B>(bias), Shape::new([1, groups, a, q, k]));
        scores = B::float_reshape(B::float_add(B::float_reshape(scores, grouped), bias), shape);
    }
    if causal {
        let future = future::<B>(&scores);
        scores = B::float_mask_fill(scores, future, least);
    }
    if !hides {
        return B::softmax(scores, 3);
    }
    // Finite, so that a row of hidden keys has a softmax, which is then taken away.
    let scores = B::float_clamp_min(scores, least);
    let bool_type = get_or_init_device_settings::<B>(&scores.device()).bool_dtype;
    let hidden = B::float_lower_equal_elem(scores.clone(), least, bool_type);
    B::float_mask_fill(B::softmax(scores, 3), hidden, 0.0.into())
}

/// [B, A, Q, K], true where a key comes after the query.
fn future<B: Backend>(scores: &FloatTensor<B>) -> BoolTensor<B> {
    let shape = scores.shape();
    let [_, _, queries, keys]: [usize; 4] = shape.dims();
    let values: Vec<bool> = (0..queries).flat_map(|q| (0..keys).map(move |k| k > q)).collect();
    let device = scores.device();
    // Devices store truth in their own ways and take it in no other.
    let stored = get_or_init_device_settings::<B>(&device).bool_dtype;
    let data = TensorData::new(values, [1, 1, queries, keys]).convert_dtype(stored.into());
    B::bool_expand(B::bool_from_data(data, &device), shape)
}

/// Sums of `x` [B, A, Q, K] over what a tensor of `shape` was repeated along.
fn summed_to<B: Backend>(x: FloatTensor<B>, shape: &Shape) -> FloatTensor<B> {
    let [batch, heads, queries, keys]: [usize; 4] = x.shape().dims();
    let groups = shape[0];
    let grouped = Shape::new([batch / groups, groups * heads * queries * keys]);
    let mut sum = B::float_sum_dim(B::float_reshape(x, grouped), 0);
    sum = B::float_reshape(sum, Shape::new([groups, heads, queries, keys]));
    for axis in [1, 2] {
        if shape[axis] == 1 {
            sum = B::float_sum_dim(sum, axis);
        }
    }
    sum
}

/// `x` [B, A, N, D] over sqrt(D): before the product, which would overflow f16.
fn scaled<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let scale = 1.0 / (x.shape()[3] as f64).sqrt();
    B::float_mul_scalar(x, scale.into())
}

#[cfg(test)]
mod tests {
    use burn::{
        backend::Flex,
        tensor::{Device, FloatDType, Tensor, TensorData},
    };

    use super::*;

    /// [2, 2, 5, 16] in `dtype`.
    fn input(phase: f32, dtype: FloatDType) -> FloatTensor<Flex> {
        let values: Vec<f32> =
            (0..320).map(|i| (i as f32 * i as f32 * 0.37 + phase).sin()).collect();
        let data = TensorData::new(values, [2, 2, 5, 16]);
        primitive(Tensor::<4>::from_data(data, &Device::flex()).cast(dtype))
    }

    fn primitive<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Flex> {
        tensor.try_into_primitive::<Flex>().expect("a tensor of the CPU")
    }

    /// The value, and the gradients of everything. One key is hidden.
    fn results(dtype: FloatDType) -> Vec<Vec<f32>> {
        let inputs = || [0.1, 0.2, 0.3].map(|phase| input(phase, dtype));
        let bias = TensorData::new(vec![0.5, f32::NEG_INFINITY, -1.0, 0.0, 2.0], [1, 1, 1, 5]);
        let bias = primitive(Tensor::<4>::from_data(bias, &Device::flex()).cast(dtype));
        let pass = Pass { causal: true, of_bias: true };
        let value = forward::<Flex>(inputs(), Maybe::Some(bias.clone()), true);
        let grad = input(0.4, dtype);
        let (grads, of_bias) = backward::<Flex>(inputs(), Maybe::Some(bias), grad, pass);
        let all = std::iter::once(value).chain(grads).chain(of_bias);
        all.map(|tensor| {
            let tensor = Tensor::<4>::from_primitive::<Flex>(tensor);
            assert_eq!(FloatDType::from(tensor.dtype()), dtype);
            tensor.into_data().iter::<f32>().collect()
        })
        .collect()
    }

    #[test]
    fn half_types_are_f32_but_for_roundings() {
        let expected = results(FloatDType::F32);
        for (dtype, tolerance) in [(FloatDType::F16, 3e-3), (FloatDType::BF16, 3e-2)] {
            for (found, expected) in results(dtype).iter().zip(&expected) {
                let norm = |values: &mut dyn Iterator<Item = f32>| -> f32 {
                    values.map(|x| x * x).sum::<f32>().sqrt()
                };
                let error = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
                let size = norm(&mut expected.iter().copied());
                assert!(error < tolerance * size, "{dtype:?}: {error} of {size}");
            }
        }
    }
}
