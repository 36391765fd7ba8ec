//! A running mean of the weights of a training: it answers better than the weights of any one step.
//!
//! Source: timm's `ModelEma`: from the first weights on, without a correction of the beginning.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use hearth_kernels::average;

use crate::task::trained;

/// Means of the trained parameters.
#[derive(Debug, Clone)]
pub struct Average {
    decay: f64,
    /// Flattened.
    means: BTreeMap<ParamId, Tensor<1>>,
}

impl Average {
    /// Starts with the weights of `model`. Every step moves the mean by `1 - decay`.
    pub fn of<M: Module>(model: &M, decay: f64) -> Self {
        let mut values = Values { means: BTreeMap::new() };
        model.visit(&mut values);
        let trained = trained(model);
        values.means.retain(|id, _| trained.contains(id));
        Self { decay, means: values.means }
    }

    /// Follows the weights of a step.
    pub(crate) fn follow<M: Module>(&mut self, model: &M) {
        let mut values = Values { means: BTreeMap::new() };
        model.visit(&mut values);
        for (id, mean) in &mut self.means {
            let value = values.means.remove(id).expect("a model keeps its parameters");
            *mean = average(mean.clone(), value, self.decay);
        }
    }

    /// `model` with the means in the place of its weights.
    pub(crate) fn applied<M: Module>(&self, model: &M) -> M {
        model.clone().map(&mut Replace { means: &self.means })
    }
}

struct Values {
    means: BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().without_autodiff();
        let size = value.dims().iter().product::<usize>();
        self.means.insert(param.id, value.reshape([size]));
    }
}

struct Replace<'a> {
    means: &'a BTreeMap<ParamId, Tensor<1>>,
}

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(mean) = self.means.get(&param.id).cloned() else { return param };
        param.map(|tensor| {
            let tracked = tensor.is_require_grad();
            let mean = mean.reshape(tensor.dims());
            let mean = if tensor.is_autodiff() { mean.autodiff() } else { mean };
            mean.set_require_grad(tracked)
        })
    }
}
