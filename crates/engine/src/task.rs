//! What a model family contributes to training: everything the loop knows of a model.

use std::collections::BTreeSet;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use hearth_data::random::Key;
use hearth_weights::parameters;

/// One kind of training. Batches and statistics are plain data; only `Local` and the model hold
/// tensors of the device. Several replicas call it at a time, each with a part of the batch.
pub trait Task: Sync {
    /// The network.
    type Model: Module + Sync;
    /// One part of a batch, as the loader made it.
    type Batch: Send + Sync;
    /// What the forward pass of one part computed, with its graph.
    type Local: Send;
    /// Plain data that every other part of the step may need: features, counts; `()` where none.
    type Shared: Send + Sync;
    /// Additive evaluation statistics.
    type Stats: Send;

    /// Runs the model on one part. The same step and batch give the same result, dropout, drop
    /// path and masks included: the loop may run it twice.
    fn forward(&self, model: &Self::Model, batch: &Self::Batch, step: &Step) -> Self::Local;

    /// What the other parts need of this one. Called once for each part of a step.
    fn share(&self, local: &Self::Local) -> Self::Shared;

    /// The loss of part `me`, given what all of them shared, in order. The gradients of all parts add up
    /// to those of the global batch.
    fn losses(&self, local: Self::Local, all: &[Self::Shared], me: usize) -> Losses;

    /// Called with the updated model: clamps; nothing for most.
    fn after_step(&self, model: Self::Model) -> Self::Model {
        model
    }

    /// Every trained parameter in exactly one group.
    fn parameter_groups(&self, model: &Self::Model) -> Vec<ParameterGroup>;

    /// Names of the samples of a batch, for messages.
    fn samples(&self, batch: &Self::Batch) -> Vec<String>;

    /// Scalars of the model worth a curve, such as the logit scale.
    fn gauges(&self, _model: &Self::Model) -> Metrics {
        Vec::new()
    }

    /// Statistics of one validation batch; `model` carries no gradients.
    fn evaluate(&self, model: &Self::Model, batch: &Self::Batch) -> Self::Stats;

    /// Statistics of two parts of the validation set, in this order.
    fn merge(&self, a: Self::Stats, b: Self::Stats) -> Self::Stats;

    /// The metrics of a whole validation set.
    fn metrics(&self, stats: Self::Stats) -> Metrics;

    /// What a metric is called in the logs of a training's validation.
    fn validated(&self, metric: &str) -> String {
        format!("val/{metric}")
    }
}

/// Named numbers in the order in which they are reported.
pub type Metrics = Vec<(String, f64)>;

/// Where in the run a forward pass stands; its random numbers are a function of this.
#[derive(Debug, Clone)]
pub struct Step {
    /// Optimizer updates before this one, over all epochs.
    pub index: usize,
    /// Samples of the global batch in front of this part.
    pub first: usize,
    /// Random numbers of this step: drop path, masks. Those of a sample are keyed by its place in
    /// the global batch, so that they do not depend on the parts.
    pub key: Key,
}

/// The loss of one part.
pub struct Losses {
    /// [1], in the graph of this part: what is differentiated.
    pub objective: Tensor<1>,
    /// Named terms of the reported loss, [1] each; summed over the parts of a step they are
    /// those of the global batch. Together they are the loss; one that is all of it is called `loss`.
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

/// Parameters that share a learning rate and a weight decay.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterGroup {
    /// `vision`, `text`: the name of its learning rate in the logs.
    pub name: &'static str,
    /// Peak learning rate; the schedule multiplies it.
    pub rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Canonical parameter names.
    pub parameters: BTreeSet<String>,
}

/// The parameters that are trained.
pub fn trained<M: Module>(model: &M) -> BTreeSet<ParamId> {
    struct Trained(BTreeSet<ParamId>);
    impl ModuleVisitor for Trained {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.0.insert(param.id);
            }
        }
    }
    let mut ids = Trained(BTreeSet::new());
    model.visit(&mut ids);
    ids.0
}

/// How many values of `model` are trained.
pub fn num_trained<M: Module>(model: &M) -> usize {
    let trained = trained(model);
    parameters(model).iter().filter(|p| trained.contains(&p.id)).map(|p| p.len()).sum()
}
