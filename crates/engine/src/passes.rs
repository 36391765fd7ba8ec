//! The passes of one training step over the parts of its batch: forward, share, losses, backward.
//!
//! Each replica differentiates a fork of the model: Burn keeps graphs with a common leaf behind one
//! lock, so that they would wait for each other.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};

use crate::{
    replicas::Replicas,
    scaler::LossScaler,
    task::{Losses, Step, Task},
};

/// What one replica computes at a time.
pub(crate) struct Part<'a, B> {
    pub(crate) batch: &'a B,
    pub(crate) step: Step,
}

/// Named parts of a loss, [1] each, without their graph: it would keep every activation alive.
pub(crate) type Terms = Vec<(&'static str, Tensor<1>)>;

/// Gradients and loss of the whole batch. The gradients are those of the loss times its scale.
pub(crate) struct Differentiated {
    pub(crate) gradients: GradientsParams,
    pub(crate) terms: Terms,
}

/// Differentiates the loss of the whole batch. Parts that fit on the replicas all at once pass
/// once. Of more than that, each takes its turn twice: without a graph for what it shares, then with
/// the whole batch in view.
pub(crate) fn differentiate<T: Task>(
    task: &T,
    model: &T::Model,
    parts: Vec<Part<'_, T::Batch>>,
    replicas: &Replicas,
    scaler: Option<LossScaler>,
) -> Differentiated {
    let of_replicas = if parts.len() <= replicas.count() {
        at_once(task, model, parts, replicas, scaler)
    } else {
        in_turns(task, model, parts, replicas, scaler)
    };
    let (mut gradients, mut terms) = (Vec::new(), Terms::new());
    for of_one in of_replicas {
        gradients.push(of_one.gradients);
        add_terms(&mut terms, of_one.terms);
    }
    Differentiated { gradients: sum(model, gradients, replicas), terms }
}

fn at_once<T: Task>(
    task: &T,
    model: &T::Model,
    parts: Vec<Part<'_, T::Batch>>,
    replicas: &Replicas,
    scaler: Option<LossScaler>,
) -> Vec<Differentiated> {
    let forward = |_, part: Part<'_, T::Batch>| {
        let model = fork(model);
        let local = task.forward(&model, part.batch, &part.step);
        let shared = task.share(&local);
        ((model, local), shared)
    };
    let (locals, all): (Vec<_>, Vec<_>) = replicas.map(parts, forward).into_iter().unzip();
    replicas
        .map(locals, |me, (model, local)| backward(&model, task.losses(local, &all, me), scaler))
}

fn in_turns<T: Task>(
    task: &T,
    model: &T::Model,
    parts: Vec<Part<'_, T::Batch>>,
    replicas: &Replicas,
    scaler: Option<LossScaler>,
) -> Vec<Differentiated> {
    let plain = model.valid();
    let share =
        |_, part: &Part<'_, T::Batch>| task.share(&task.forward(&plain, part.batch, &part.step));
    let all = replicas.map(parts.iter().collect(), share);
    replicas.deal(parts, |mine| {
        let model = fork(model);
        let (mut accumulator, mut terms) = (GradientsAccumulator::new(), Terms::new());
        for (me, part) in mine {
            let local = task.forward(&model, part.batch, &part.step);
            let of_part = backward(&model, task.losses(local, &all, me), scaler);
            accumulator.accumulate(&model, of_part.gradients);
            add_terms(&mut terms, of_part.terms);
        }
        Differentiated { gradients: accumulator.grads(), terms }
    })
}

/// The same values under the same ids as leaves of their own; takes no memory.
fn fork<M: Module>(model: &M) -> M {
    let device = &model.devices()[0];
    model.clone().fork(device)
}

fn backward<M: Module>(model: &M, losses: Losses, scaler: Option<LossScaler>) -> Differentiated {
    let Losses { objective, terms } = losses;
    let objective = match scaler {
        Some(scaler) => objective * scaler.scale(),
        None => objective,
    };
    let gradients = GradientsParams::from_grads(objective.backward(), model);
    let plain = |(name, value): (_, Tensor<1>)| (name, value.without_autodiff());
    Differentiated { gradients, terms: terms.into_iter().map(plain).collect() }
}

fn add_terms(sums: &mut Terms, parts: Terms) {
    for (name, value) in parts {
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = sum.clone() + value,
            None => sums.push((name, value)),
        }
    }
}

/// The sum over replicas, in their order; every replica adds its share of the parameters and drops
/// what it has added.
fn sum<M: Module + Sync>(
    model: &M,
    mut all: Vec<GradientsParams>,
    replicas: &Replicas,
) -> GradientsParams {
    if all.len() <= 1 {
        return all.pop().unwrap_or_default();
    }
    let mut dealt = Deal { shares: all.iter().map(|_| Share::of(all.len())).collect(), all };
    model.visit(&mut dealt);
    let sums = replicas.map(dealt.shares, |_, share| {
        let mut sum = Sum { parts: share.gradients, total: GradientsParams::new() };
        model.visit(&mut sum);
        sum.total
    });
    // Every parameter is in one of them.
    let mut joined = Sum { parts: sums, total: GradientsParams::new() };
    model.visit(&mut joined);
    joined.total
}

/// Parameters that one replica adds up, from each of them.
struct Share {
    values: usize,
    gradients: Vec<GradientsParams>,
}

impl Share {
    fn of(replicas: usize) -> Self {
        Self { values: 0, gradients: (0..replicas).map(|_| GradientsParams::new()).collect() }
    }
}

/// Gives each parameter to the share that has least.
struct Deal {
    all: Vec<GradientsParams>,
    shares: Vec<Share>,
}

impl ModuleVisitor for Deal {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let least = self.shares.iter_mut().min_by_key(|share| share.values);
        let share = least.expect("a share per replica");
        for (all, share_of) in self.all.iter_mut().zip(&mut share.gradients) {
            if let Some(gradient) = all.remove::<D>(param.id) {
                share.values += gradient.shape().num_elements();
                share_of.register(param.id, gradient);
            }
        }
    }
}

/// Adds up `parts`, in order, parameter by parameter.
struct Sum {
    parts: Vec<GradientsParams>,
    total: GradientsParams,
}

impl ModuleVisitor for Sum {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let found = self.parts.iter_mut().filter_map(|part| part.remove::<D>(param.id));
        if let Some(sum) = found.reduce(|sum, gradient| sum + gradient) {
            self.total.register(param.id, sum);
        }
    }
}
