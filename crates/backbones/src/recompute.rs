//! Gradient checkpointing by block: keep a block's input, run the block again in the backward pass.
//!
//! Source: arXiv 1604.06174; `torch.utils.checkpoint`. One autodiff operation whose backward step
//! builds the graph of the block once more from fresh leaves and runs an inner backward over it.

use std::{fmt, marker::PhantomData};

use burn::{
    backend::{Autodiff, Backend, Flex, tensor::FloatTensor},
    module::{Module, ModuleVisitor, Param},
    tensor::{Gradients, Tensor},
};
use burn_autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
    grads::Gradients as GraphGradients,
    ops::{Backward, Ops, OpsKind},
};
use hearth_kernels::backward_with;

/// `forward(module, x)` that costs the memory of `x` until the backward pass reaches it.
///
/// Outputs and gradients are those of `forward(module, x)`; `forward` must be a function of its
/// arguments, since it runs twice. On a device without autodiff, and where nothing has to be
/// differentiated, this is a plain call.
pub fn recompute<M, F>(module: &M, x: Tensor<3>, forward: F) -> Tensor<3>
where
    M: Module + Sync + 'static,
    F: Fn(&M, Tensor<3>) -> Tensor<3> + Clone + Send + 'static,
{
    if !x.is_tracked() {
        return forward(module, x);
    }
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    if let Some(input) = burn::backend::Cube::tracked(x.clone()) {
        return recompute_on(module, x, input, forward);
    }
    match Flex::tracked(x.clone()) {
        Some(input) => recompute_on(module, x, input, forward),
        None => forward(module, x),
    }
}

/// `input` is `x` with its place in the graph.
fn recompute_on<B: Home, M, F>(
    module: &M,
    x: Tensor<3>,
    input: FloatTensor<Autodiff<B>>,
    forward: F,
) -> Tensor<3>
where
    M: Module + Sync + 'static,
    F: Fn(&M, Tensor<3>) -> Tensor<3> + Clone + Send + 'static,
{
    let segment = Segment {
        module: module.valid(),
        input: x.without_autodiff(),
        leaves: Leaves::of::<B, M>(module),
        forward: forward.clone(),
    };
    let output = forward(&segment.module, segment.input.clone());
    let output = B::primitive(output);

    let operation = Recompute(PhantomData::<fn() -> Segment<M, F>>);
    let prepared = operation.prepare::<NoCheckpointing>([input.node()]).compute_bound().stateful();
    let output = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(segment, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    B::tensor_tracked(output)
}

/// A backend whose tensors the graph of this file can hold.
trait Home: Backend {
    /// With its place in the graph, where `tensor` is one of this backend with autodiff.
    fn tracked<const D: usize>(tensor: Tensor<D>) -> Option<FloatTensor<Autodiff<Self>>>;
    fn tensor_tracked(tensor: FloatTensor<Autodiff<Self>>) -> Tensor<3>;
    /// Of a tensor that is known to be one of this backend without autodiff.
    fn primitive<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Self>;
    fn tensor(primitive: FloatTensor<Self>) -> Tensor<3>;
}

macro_rules! home {
    ($backend:ty) => {
        impl Home for $backend {
            fn tracked<const D: usize>(tensor: Tensor<D>) -> Option<FloatTensor<Autodiff<Self>>> {
                tensor.try_into_primitive::<Autodiff<Self>>().ok()
            }

            fn tensor_tracked(tensor: FloatTensor<Autodiff<Self>>) -> Tensor<3> {
                Tensor::from_primitive::<Autodiff<Self>>(tensor)
            }

            fn primitive<const D: usize>(tensor: Tensor<D>) -> FloatTensor<Self> {
                tensor.try_into_primitive::<Self>().expect("a block stays on its device")
            }

            fn tensor(primitive: FloatTensor<Self>) -> Tensor<3> {
                Tensor::from_primitive::<Self>(primitive)
            }
        }
    };
}

home!(Flex);
#[cfg(any(feature = "cuda", feature = "wgpu"))]
home!(burn::backend::Cube);

/// What the backward pass needs to run the block again.
#[derive(Clone)]
struct Segment<M, F> {
    module: M,
    input: Tensor<3>,
    leaves: Vec<Option<NodeId>>,
    forward: F,
}

impl<M: fmt::Debug, F> fmt::Debug for Segment<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("module", &self.module).finish_non_exhaustive()
    }
}

/// The autodiff operation; its state is the [`Segment`].
struct Recompute<S>(PhantomData<fn() -> S>);

impl<S> fmt::Debug for Recompute<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recompute")
    }
}

impl<B, M, F> Backward<B, 1> for Recompute<Segment<M, F>>
where
    B: Home,
    M: Module + 'static,
    F: Fn(&M, Tensor<3>) -> Tensor<3> + Clone + Send + 'static,
{
    type State = Segment<M, F>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut GraphGradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let output_grad = B::tensor(grads.consume::<B>(&ops.node));
        let Segment { module, input, leaves, forward } = ops.state;

        // Fresh leaves: the graph of the outer pass is locked while it runs.
        let module = module.train();
        let input = input.autodiff().require_grad();
        let output = forward(&module, input.clone());
        let mut inner = backward_with(output, output_grad);

        if let ([Some(parent)], Some(grad)) = (ops.parents, input.grad_remove(&mut inner)) {
            grads.register::<B>(parent.id, B::primitive(grad));
        }
        module.visit(&mut Forward::<B> {
            leaves: leaves.iter(),
            inner: &mut inner,
            outer: grads,
            home: PhantomData,
        });
    }
}

/// Node ids of a module's parameters in the order of visiting; `None` where one is frozen.
struct Leaves<B>(Vec<Option<NodeId>>, PhantomData<B>);

impl Leaves<()> {
    fn of<B: Home, M: Module>(module: &M) -> Vec<Option<NodeId>> {
        let mut leaves = Leaves::<B>(Vec::new(), PhantomData);
        module.visit(&mut leaves);
        leaves.0
    }
}

impl<B: Home> ModuleVisitor for Leaves<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let tracked = value.is_require_grad();
        let primitive = tracked.then(|| B::tracked(value)).flatten();
        self.0.push(primitive.map(|tensor| tensor.id()));
    }
}

/// Hands the gradients of the inner pass to the parameters of the outer one.
struct Forward<'a, B> {
    leaves: std::slice::Iter<'a, Option<NodeId>>,
    inner: &'a mut Gradients,
    outer: &'a mut GraphGradients,
    home: PhantomData<B>,
}

impl<B: Home> ModuleVisitor for Forward<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let leaf = self.leaves.next().expect("both visits see the same parameters");
        if let (Some(leaf), Some(grad)) = (leaf, param.val().grad_remove(self.inner)) {
            self.outer.register::<B>(*leaf, B::primitive(grad));
        }
    }
}
