//! Linear layers behind an activation or a norm, which keep less for the backward pass.
//!
//! The input of a linear layer is kept for the gradient of its matrix. Behind an activation or a norm
//! that input is a function of one that is kept anyway, and costs a hundredth of the layer to compute
//! again: an MLP keeps half as much, and the norms in front of the layers keep nothing.

use burn::{
    backend::{Autodiff, Dispatch, Flex, backend_extension, tensor::FloatTensor},
    tensor::Tensor,
};
use burn_autodiff::{
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn_router::{BackendRouter, RouterChannel};

use crate::{
    activation::{Activation, Activations},
    graph::{Maybe, parents, register, tracked},
    linear::{self, Linear},
    norm::{self, Norms},
};

/// `function` of `x` [.., I] times `weight` [I, O], plus `bias` [O]. Returns [.., O].
pub fn linear_of_activated<const D: usize>(
    x: Tensor<D>,
    function: Activation,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    linear::check(&x, &weight, bias.as_ref());
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), Maybe::of(bias));
    Tensor::from_dispatch(Dispatch::project_activated(x, weight, bias, function))
}

/// The layer norm of `x` [.., I] with `norm`'s weight and bias [I] and epsilon, times `weight` [I, O],
/// plus `bias` [O]. Returns [.., O].
pub fn linear_of_normalized<const D: usize>(
    x: Tensor<D>,
    norm: (Tensor<1>, Tensor<1>, f64),
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let (gamma, beta, epsilon) = norm;
    linear::check(&x, &weight, bias.as_ref());
    norm::check(&x, &gamma, &beta);
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), Maybe::of(bias));
    Tensor::from_dispatch(Dispatch::project_normalized(x, gamma, beta, weight, bias, epsilon))
}

/// What a backend contributes: nothing of its own.
#[backend_extension(Flex, Cube: cfg(feature = "gpu"), Capture, Autodiff)]
pub(crate) trait Lean: Activations + Linear + Norms {
    /// See [`linear_of_activated`].
    fn project_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        function: Activation,
    ) -> FloatTensor<Self> {
        Self::project(Self::activate(x, function), weight, bias)
    }

    /// See [`linear_of_normalized`].
    fn project_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Maybe<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::project(Self::normalize_rows(x, gamma, beta, epsilon), weight, bias)
    }
}

impl Lean for Flex {}

impl<C: RouterChannel> Lean for BackendRouter<C> {}

impl<B: Lean, C: CheckpointStrategy> Lean for Autodiff<B, C> {
    fn project_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        function: Activation,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node_or(&x)];
        let operation = Activated { function, with_bias: bias.is_some() };
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let out = B::project_activated(x.clone(), weight.clone(), bias.into_inner(), function);
        tracked::<C, B, _, _>(operation, nodes, (x, weight), out)
    }

    fn project_normalized(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Maybe<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), weight.node(), bias.node_or(&x)];
        let operation = Normalized { epsilon, with_bias: bias.is_some() };
        let kept = [x, gamma, beta, weight].map(|tensor| tensor.into_primitive());
        let [x, gamma, beta, weight] = kept.clone();
        let out = B::project_normalized(x, gamma, beta, weight, bias.into_inner(), epsilon);
        tracked::<C, B, _, _>(operation, nodes, kept, out)
    }
}

#[derive(Debug)]
struct Activated {
    function: Activation,
    with_bias: bool,
}

impl<B: Lean> Backward<B, 3> for Activated {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let ([of_x, of_weight, of_bias], grad) = (parents(&ops), grads.consume::<B>(&ops.node));
        let (x, weight) = ops.state;
        let of_bias = of_bias.filter(|_| self.with_bias);
        let by_bias = of_bias.map(|_| B::project_backward_bias(grad.clone()));
        let by_weight = of_weight.map(|_| {
            let input = B::activate(x.clone(), self.function);
            B::project_backward_weight(input, grad.clone())
        });
        let by_x = of_x.map(|_| {
            let of_input = B::project_backward_x(weight, grad);
            B::activate_backward(x, of_input, self.function)
        });
        register::<B>(grads, [(of_x, by_x), (of_weight, by_weight), (of_bias, by_bias)]);
    }
}

#[derive(Debug)]
struct Normalized {
    epsilon: f64,
    with_bias: bool,
}

impl<B: Lean> Backward<B, 5> for Normalized {
    type State = [FloatTensor<B>; 4];

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [of_x, of_gamma, of_beta, of_weight, of_bias] = parents(&ops);
        let grad = grads.consume::<B>(&ops.node);
        let [x, gamma, beta, weight] = ops.state;
        let of_bias = of_bias.filter(|_| self.with_bias);
        let by_bias = of_bias.map(|_| B::project_backward_bias(grad.clone()));
        let by_weight = of_weight.map(|_| {
            let input = B::normalize_rows(x.clone(), gamma.clone(), beta, self.epsilon);
            B::project_backward_weight(input, grad.clone())
        });
        let in_front = of_x.is_some() || of_gamma.is_some() || of_beta.is_some();
        let [by_x, by_gamma, by_beta] = match in_front {
            true => {
                let of_input = B::project_backward_x(weight, grad);
                let (x, gamma, beta) = B::normalize_rows_backward(x, gamma, of_input, self.epsilon);
                [x, gamma, beta].map(Some)
            }
            false => [None, None, None],
        };
        let of_norm = [(of_x, by_x), (of_gamma, by_gamma), (of_beta, by_beta)];
        register::<B>(
            grads,
            of_norm.into_iter().chain([(of_weight, by_weight), (of_bias, by_bias)]),
        );
    }
}
