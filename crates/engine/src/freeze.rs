//! Parameters that a training leaves as they are.

use std::collections::BTreeSet;

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::Tensor,
};
use hearth_weights::parameters;

/// `model` without gradients for the parameters whose names `is_frozen` says so of.
pub fn frozen<M: Module>(model: M, is_frozen: impl Fn(&str) -> bool) -> M {
    let parameters = parameters(&model).into_iter();
    let ids = parameters.filter(|parameter| is_frozen(&parameter.name)).map(|frozen| frozen.id);
    let mut freeze = Freeze(ids.collect());
    model.map(&mut freeze)
}

struct Freeze(BTreeSet<ParamId>);

impl ModuleMapper for Freeze {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !self.0.contains(&param.id) {
            return param;
        }
        param.map(|tensor| tensor.set_require_grad(false))
    }
}
