//! Gradient checkpointing by block: keep a block's input, run the block again in the backward pass.
//!
//! Source: arXiv 1604.06174; `torch.utils.checkpoint`. One autodiff operation whose backward step
//! builds the graph of the block once more from fresh leaves and runs an inner backward over it.

use std::fmt;

use burn::{
    backend::{Autodiff, Flex},
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
    let Ok(input) = x.clone().try_into_primitive::<Autodiff<Flex>>() else {
        return forward(module, x);
    };

    let segment = Segment {
        module: module.valid(),
        input: x.without_autodiff(),
        leaves: Leaves::of(module),
        forward: forward.clone(),
    };
    let output = forward(&segment.module, segment.input.clone());
    let output = output.try_into_primitive::<Flex>().expect("a block stays on its device");

    let operation = Recompute(std::marker::PhantomData::<fn() -> Segment<M, F>>);
    let prepared = operation.prepare::<NoCheckpointing>([input.node()]).compute_bound().stateful();
    let output = match prepared {
        OpsKind::Tracked(prepared) => prepared.finish(segment, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    Tensor::from_primitive::<Autodiff<Flex>>(output)
}

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
struct Recompute<S>(std::marker::PhantomData<fn() -> S>);

impl<S> fmt::Debug for Recompute<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recompute")
    }
}

impl<M, F> Backward<Flex, 1> for Recompute<Segment<M, F>>
where
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
        let output_grad = Tensor::<3>::from_primitive::<Flex>(grads.consume::<Flex>(&ops.node));
        let Segment { module, input, leaves, forward } = ops.state;

        // Fresh leaves: the graph of the outer pass is locked while it runs.
        let module = module.train();
        let input = input.autodiff().require_grad();
        let output = forward(&module, input.clone());
        let mut inner = backward_with(output, output_grad);

        if let ([Some(parent)], Some(grad)) = (ops.parents, input.grad_remove(&mut inner)) {
            grads.register::<Flex>(parent.id, primitive(grad));
        }
        module.visit(&mut Forward { leaves: leaves.iter(), inner: &mut inner, outer: grads });
    }
}

/// Node ids of a module's parameters in the order of visiting; `None` where one is frozen.
struct Leaves(Vec<Option<NodeId>>);

impl Leaves {
    fn of<M: Module>(module: &M) -> Vec<Option<NodeId>> {
        let mut leaves = Leaves(Vec::new());
        module.visit(&mut leaves);
        leaves.0
    }
}

impl ModuleVisitor for Leaves {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let tracked = value.is_require_grad();
        let primitive = tracked.then(|| value.try_into_primitive::<Autodiff<Flex>>());
        self.0.push(primitive.and_then(Result::ok).map(|tensor| tensor.id()));
    }
}

/// Hands the gradients of the inner pass to the parameters of the outer one.
struct Forward<'a> {
    leaves: std::slice::Iter<'a, Option<NodeId>>,
    inner: &'a mut Gradients,
    outer: &'a mut GraphGradients,
}

impl ModuleVisitor for Forward<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let leaf = self.leaves.next().expect("both visits see the same parameters");
        if let (Some(leaf), Some(grad)) = (leaf, param.val().grad_remove(self.inner)) {
            self.outer.register::<Flex>(*leaf, primitive(grad));
        }
    }
}

fn primitive<const D: usize>(
    tensor: Tensor<D>,
) -> <Flex as burn::backend::BackendTypes>::FloatTensorPrimitive {
    tensor.try_into_primitive::<Flex>().expect("gradients lie on the device of their tensor")
}
