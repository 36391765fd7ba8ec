//! AdamW and LAMB with parameter groups, their state keyed by parameter name.
//!
//! Sources: arXiv 1711.05101 (`torch.optim.AdamW`), arXiv 1904.00962 (`apex.optimizers.FusedLAMB`,
//! which TAO uses). Burn's own optimizers key their state by a random id that does not survive a
//! restart, and their defaults differ from PyTorch's.

use std::collections::{BTreeMap, HashMap};

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};
use hearth_kernels::{Adam, Slot, adam};
use hearth_weights::{Parameter, parameters};

use crate::{gradients::global_norm, task::ParameterGroup};

/// Which update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Adam with decoupled weight decay.
    AdamW,
    /// AdamW whose update is scaled, per parameter, to the norm of the parameter. As in Apex, the
    /// gradients are first scaled down to a global norm of at most 1.
    Lamb,
}

/// Numbers of the rule that do not change during a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptimizerConfig {
    /// Update rule.
    pub rule: Rule,
    /// Decay of the first and of the second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// The update rule with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    groups: Vec<ParameterGroup>,
    /// Group of every trained parameter.
    members: HashMap<ParamId, Member>,
    moments: BTreeMap<String, Moments>,
    /// Updates so far; decides the bias correction.
    updates: u64,
    device: Device,
}

#[derive(Debug, Clone)]
struct Member {
    name: String,
    /// Values of the parameter.
    len: usize,
    group: usize,
}

/// Running means of the gradient and of its square, flattened.
#[derive(Debug, Clone)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

/// One tensor of the saved state: name, shape, values.
pub type StateTensor = (String, Vec<usize>, Vec<f32>);

/// A saved state that does not fit the model.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerStateError {
    /// A tensor of the state has no counterpart or another size.
    #[error("optimizer state: `{name}` has {found} values, the model needs {needed}")]
    Mismatch {
        /// Name of the tensor in the state.
        name: String,
        /// Values in the file.
        found: usize,
        /// Values of the parameter, 0 where there is no such parameter.
        needed: usize,
    },
    /// One of the two moments of a parameter is missing.
    #[error("optimizer state: found one moment of `{name}`, needed two")]
    Half {
        /// Name of the parameter.
        name: String,
    },
}

impl Optimizer {
    /// An optimizer without history. Parameters outside every group are not updated.
    pub fn new<M: Module>(
        config: OptimizerConfig,
        groups: Vec<ParameterGroup>,
        model: &M,
        device: &Device,
    ) -> Self {
        let members = parameters(model)
            .into_iter()
            .filter_map(|parameter| {
                let len = parameter.len();
                let Parameter { name, id, .. } = parameter;
                let group = groups.iter().position(|group| group.parameters.contains(&name))?;
                Some((id, Member { name, len, group }))
            })
            .collect();
        let device = device.clone().without_autodiff();
        Self { config, groups, members, moments: BTreeMap::new(), updates: 0, device }
    }

    /// The groups, for reporting their rates.
    pub fn groups(&self) -> &[ParameterGroup] {
        &self.groups
    }

    /// One update with the gradients multiplied by `factor` [1], if there is one, and every group's peak
    /// rate by `schedule`.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        grads: GradientsParams,
        factor: Option<Tensor<1>>,
        schedule: f64,
    ) -> M {
        let factor = factor.unwrap_or_else(|| Tensor::ones([1], &self.device));
        let factor = match self.config.rule {
            Rule::AdamW => factor,
            Rule::Lamb => {
                let norm = global_norm(&model, &grads, &self.device) * factor.clone();
                // Apex divides by the norm where it exceeds 1.
                factor / norm.clamp_min(1.0)
            }
        };
        self.updates += 1;
        model.map(&mut Update { optimizer: self, grads, factor, schedule })
    }

    /// Updates so far and the moments as plain tensors, sorted by name.
    pub fn state(&self) -> (u64, Vec<StateTensor>) {
        let mut tensors = Vec::with_capacity(2 * self.moments.len());
        for (name, moments) in &self.moments {
            for (kind, tensor) in [("first", &moments.first), ("second", &moments.second)] {
                let values = tensor.to_data().try_to_vec::<f32>().expect("moments are f32");
                tensors.push((format!("{kind}.{name}"), vec![values.len()], values));
            }
        }
        (self.updates, tensors)
    }

    /// Continues from what [`Self::state`] returned.
    pub fn restore(
        &mut self,
        updates: u64,
        tensors: impl IntoIterator<Item = StateTensor>,
    ) -> Result<(), OptimizerStateError> {
        let mut parts: BTreeMap<String, [Option<Tensor<1>>; 2]> = BTreeMap::new();
        for (full_name, shape, values) in tensors {
            let found = values.len();
            let unknown =
                |needed| OptimizerStateError::Mismatch { name: full_name.clone(), found, needed };
            let (kind, name) = full_name.split_once('.').ok_or_else(|| unknown(0))?;
            let slot = ["first", "second"].iter().position(|known| *known == kind);
            let slot = slot.ok_or_else(|| unknown(0))?;
            let member = self.members.values().find(|member| member.name == name);
            let needed = member.map_or(0, |member| member.len);
            if member.is_none() || values.len() != needed || shape != [needed] {
                return Err(unknown(needed));
            }
            let tensor = Tensor::from_data(TensorData::new(values, shape), &self.device);
            parts.entry(name.to_owned()).or_default()[slot] = Some(tensor);
        }
        self.moments = parts
            .into_iter()
            .map(|(name, parts)| match parts {
                [Some(first), Some(second)] => Ok((name, Moments { first, second })),
                _ => Err(OptimizerStateError::Half { name }),
            })
            .collect::<Result<_, _>>()?;
        self.updates = updates;
        Ok(())
    }

    /// The new values of one parameter, flattened.
    fn update(
        &mut self,
        member: &Member,
        value: Tensor<1>,
        grad: Tensor<1>,
        (factor, schedule): (Tensor<1>, f64),
    ) -> Tensor<1> {
        let OptimizerConfig { rule, betas, eps } = self.config;
        let ParameterGroup { rate, weight_decay, .. } = self.groups[member.group];
        let numbers = Adam {
            rate: rate * schedule,
            weight_decay,
            betas,
            eps,
            corrections: betas.map(|beta| 1.0 - beta.powi(self.updates as i32)),
            trust: rule == Rule::Lamb,
        };
        let moments = self.moments.remove(&member.name);
        let Moments { first, second } = moments
            .unwrap_or_else(|| Moments { first: grad.zeros_like(), second: grad.zeros_like() });
        let Slot { value, first, second } =
            adam(Slot { value, first, second }, grad, factor, numbers);
        self.moments.insert(member.name.clone(), Moments { first, second });
        value
    }
}

struct Update<'a> {
    optimizer: &'a mut Optimizer,
    grads: GradientsParams,
    factor: Tensor<1>,
    schedule: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(grad) = self.grads.remove::<D>(param.id) else { return param };
        let Some(member) = self.optimizer.members.get(&param.id).cloned() else { return param };
        param.map(|tensor| {
            let shape = tensor.dims();
            let size = shape.iter().product::<usize>();
            let tracked = tensor.is_require_grad();
            let autodiff = tensor.is_autodiff();
            let value = tensor.without_autodiff().reshape([size]);
            let grad = grad.without_autodiff().reshape([size]);
            let scales = (self.factor.clone(), self.schedule);
            let value = self.optimizer.update(&member, value, grad, scales).reshape(shape);
            let value = if autodiff { value.autodiff() } else { value };
            value.set_require_grad(tracked)
        })
    }
}
