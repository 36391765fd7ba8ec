//! Scaled dot-product attention: softmax(q k^T / sqrt(D) + bias) v.
//!
//! Sources: arXiv 1706.03762; `torch.nn.functional.scaled_dot_product_attention`. A query that sees
//! no key gets zeros.
//!
//! Shape letters: B batch, A heads, N tokens, Q queries, K keys, D width of a head, W = A * D, G
//! batches that a mask or bias tells apart: G divides B, and batch b looks at b modulo G.

mod composed;
mod cpu;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension, ir::ScalarIr,
        tensor::FloatTensor,
    },
    tensor::{Bool, DType, FloatDType, Shape, Tensor},
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    capture,
    graph::{Maybe, parents, register, tracked},
};

/// What queries see of the keys, and how strongly before they look; by default everything alike.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// [G, A or 1, Q or 1, K], true where a key is hidden.
    pub hidden: Option<Tensor<4, Bool>>,
    /// [G, A or 1, Q or 1, K], added to the scores.
    pub bias: Option<Tensor<4>>,
    /// A query sees keys up to its own number only.
    pub causal: bool,
}

/// Attention of `q` [B, A, Q, D] over `k` and `v` [B, A, K, D]. Returns [B, A, Q, D]. Panics where
/// they, mask or bias do not fit.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, view: View) -> Tensor<4> {
    let [batch, heads, queries, width] = q.dims();
    let [_, _, keys, _] = k.dims();
    for (name, other) in [("keys", &k), ("values", &v)] {
        let needed = ([batch, heads, keys, width], q.dtype());
        assert_eq!((other.dims(), other.dtype()), needed, "{name} of an attention");
    }
    view.check([batch, heads, queries, keys]);
    let (causal, bias) = (view.causal, view.bias(q.dtype()));
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::attend(q, k, v, bias, causal))
}

/// Attention of tokens over each other: `qkv` [B, N, 3W] holds queries, keys and values of every
/// token side by side, each with its heads side by side. Returns [B, N, W].
pub fn self_attention(qkv: Tensor<3>, heads: usize, view: View) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    assert!(width.is_multiple_of(3 * heads), "{width} is not three times {heads} heads");
    view.check([batch, heads, tokens, tokens]);
    let (causal, bias) = (view.causal, view.bias(qkv.dtype()));
    let out = Dispatch::attend_to_itself(qkv.into_dispatch(), bias, heads, causal);
    Tensor::from_dispatch(out)
}

impl View {
    /// Mask and bias in one of the type of the inputs, as the backends take it.
    fn bias(self, dtype: DType) -> Maybe<Dispatch> {
        let bias = match (self.hidden, self.bias) {
            (None, None) => return Maybe::None,
            (None, Some(bias)) => bias,
            (Some(hidden), None) => {
                let none = Tensor::zeros(hidden.dims(), &hidden.device());
                none.mask_fill(hidden, f32::NEG_INFINITY)
            }
            (Some(hidden), Some(bias)) => {
                let (left, right) = (hidden.dims(), bias.dims());
                let mut sides: [usize; 4] = std::array::from_fn(|axis| left[axis].max(right[axis]));
                // As many groups as both divide.
                sides[0] = (left[0]..)
                    .step_by(left[0].max(1))
                    .find(|g| g % right[0].max(1) == 0)
                    .expect("their product is one");
                let bias = bias.repeat_dim(0, sides[0] / right[0].max(1)).expand(sides);
                let hidden = hidden.repeat_dim(0, sides[0] / left[0].max(1)).expand(sides);
                bias.mask_fill(hidden, f32::NEG_INFINITY)
            }
        };
        Maybe::Some(bias.cast(FloatDType::from(dtype)).into_dispatch())
    }

    /// Panics where mask or bias do not fit.
    fn check(&self, [batch, heads, queries, keys]: [usize; 4]) {
        let sides = self.hidden.iter().map(Tensor::dims).chain(self.bias.iter().map(Tensor::dims));
        for [g, a, q, k] in sides {
            let fits =
                batch.is_multiple_of(g) && [1, heads].contains(&a) && [1, queries].contains(&q);
            assert!(
                fits && k == keys,
                "[{g}, {a}, {q}, {k}] for attention of [{batch}, {heads}, {queries}, {keys}]"
            );
        }
    }
}

/// What a backward pass is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// A query sees keys up to its own number only.
    causal: bool,
    /// The gradient of the bias is asked for.
    of_bias: bool,
}

/// What a backend contributes.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Attention: Backend {
    /// See [`attention`]. `bias` is minus infinity where a key is hidden.
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        composed::forward::<Self>([q, k, v], bias, causal)
    }

    /// Gradients of q, k, v and, if it is asked for, the bias for the gradient `grad` of the result.
    fn attend_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        grad: FloatTensor<Self>,
        pass: Pass,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let ([q, k, v], bias) = composed::backward::<Self>([q, k, v], bias, grad, pass);
        (q, k, v, bias)
    }

    /// See [`self_attention`].
    fn attend_to_itself(
        qkv: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        composed::join::<Self>(composed::forward::<Self>(
            composed::heads_of::<Self, 3>(qkv, heads),
            bias,
            causal,
        ))
    }

    /// Gradients of qkv and, if it is asked for, the bias for the gradient `grad` of the result.
    fn attend_to_itself_backward(
        qkv: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
        pass: Pass,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let inputs = composed::heads_of::<Self, 3>(qkv, heads);
        let [grad] = composed::heads_of::<Self, 1>(grad, heads);
        let (grads, bias) = composed::backward::<Self>(inputs, bias, grad, pass);
        (Self::float_cat(grads.map(composed::join::<Self>).into(), 2), bias)
    }
}

// The CPU

impl Attention for Flex {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: Maybe<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        cpu::attend([q, k, v], bias, causal)
    }

    fn attend_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: Maybe<Self>,
        grad: FloatTensor<Self>,
        pass: Pass,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let ([q, k, v], bias) = cpu::attend_backward([q, k, v], bias, grad, pass);
        (q, k, v, bias)
    }

    fn attend_to_itself(
        qkv: FloatTensor<Self>,
        bias: Maybe<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        cpu::attend_to_itself(qkv, bias, heads, causal)
    }

    fn attend_to_itself_backward(
        qkv: FloatTensor<Self>,
        bias: Maybe<Self>,
        grad: FloatTensor<Self>,
        heads: usize,
        pass: Pass,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        cpu::attend_to_itself_backward(qkv, bias, grad, heads, pass)
    }
}

// The graphs

impl<C: RouterChannel> Attention for BackendRouter<C> {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: Maybe<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        let shape = q.shape();
        let scalars = vec![ScalarIr::Bool(causal)];
        let inputs = [q, k, v].into_iter().chain(bias.tensor()).collect();
        capture::record("hearth::attention", inputs, shape, scalars)
    }

    fn attend_to_itself(
        qkv: FloatTensor<Self>,
        bias: Maybe<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        let [batch, tokens, width]: [usize; 3] = qkv.shape().dims();
        let scalars = vec![ScalarIr::Bool(causal), ScalarIr::UInt(heads as u64)];
        let inputs = [qkv].into_iter().chain(bias.tensor()).collect();
        let shape = Shape::new([batch, tokens, width / 3]);
        capture::record("hearth::self_attention", inputs, shape, scalars)
    }
}

impl<B: Attention, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn attend(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: Maybe<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node(), bias.node_or(&v)];
        let [q, k, v] = [q, k, v].map(|x| x.into_primitive());
        let bias = bias.into_inner();
        let inputs = [q.clone(), k.clone(), v.clone()];
        let state = Attended { inputs, bias: bias.clone(), causal };
        let out = B::attend(q, k, v, bias, causal);
        tracked::<C, B, _, _>(Attend, nodes, state, out)
    }

    fn attend_to_itself(
        qkv: FloatTensor<Self>,
        bias: Maybe<Self>,
        heads: usize,
        causal: bool,
    ) -> FloatTensor<Self> {
        let nodes = [qkv.node(), bias.node_or(&qkv)];
        let (qkv, bias) = (qkv.into_primitive(), bias.into_inner());
        let state = Attended { inputs: [qkv.clone()], bias: bias.clone(), causal };
        let out = B::attend_to_itself(qkv, bias, heads, causal);
        tracked::<C, B, _, _>(AttendToItself { heads }, nodes, state, out)
    }
}

/// What the backward pass keeps: the inputs.
#[derive(Debug, Clone)]
struct Attended<B: Backend, const N: usize> {
    inputs: [FloatTensor<B>; N],
    bias: Maybe<B>,
    causal: bool,
}

#[derive(Debug)]
struct Attend;

impl<B: Attention> Backward<B, 4> for Attend {
    type State = Attended<B, 3>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let ([of_q, of_k, of_v, of_bias], grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let Attended { inputs: [q, k, v], bias, causal } = ops.state;
        let of_bias = of_bias.filter(|_| bias.is_some());
        let pass = Pass { causal, of_bias: of_bias.is_some() };
        let (q, k, v, bias) = B::attend_backward(q, k, v, bias, grad, pass);
        register::<B>(grads, [(of_q, Some(q)), (of_k, Some(k)), (of_v, Some(v)), (of_bias, bias)]);
    }
}

#[derive(Debug)]
struct AttendToItself {
    heads: usize,
}

impl<B: Attention> Backward<B, 2> for AttendToItself {
    type State = Attended<B, 1>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let ([of_qkv, of_bias], grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let Attended { inputs: [qkv], bias, causal } = ops.state;
        let of_bias = of_bias.filter(|_| bias.is_some());
        let pass = Pass { causal, of_bias: of_bias.is_some() };
        let (qkv, bias) = B::attend_to_itself_backward(qkv, bias, grad, self.heads, pass);
        register::<B>(grads, [(of_qkv, Some(qkv)), (of_bias, bias)]);
    }
}
