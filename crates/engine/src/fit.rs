//! `fit`: the training loop of every task, from the first batch to the last checkpoint.
//!
//! Knows epochs, steps, parts of batches, gradients and schedules. Never knows a model family, a spec
//! key, a file format or a terminal: those arrive through [`Task`], [`Checkpoints`] and [`Run`].

use std::ops::ControlFlow;

use burn::{module::Module, tensor::Tensor};
use hearth_data::DataError;

use crate::{
    average::Average,
    checkpoint::Checkpoints,
    error::EngineError,
    gradients::{clip_factor, global_norm},
    journal::{Journal, Reading},
    optimizer::Optimizer,
    passes::{Differentiated, Part, differentiate},
    plan::Plan,
    replicas::Replicas,
    run::Run,
    scaler::LossScaler,
    task::{Metrics, Step, Task},
};

/// Batches of a data set as a function of the epoch; the position in it is a number.
pub trait Batches {
    /// What a replica computes at a time: a micro-batch, or a part of it.
    type Batch: Send;

    /// The parts of every step of `epoch`, from its step number `first` on.
    fn epoch(&self, epoch: usize, first: usize) -> BatchIter<'_, Self::Batch>;

    /// Steps of an epoch.
    fn steps(&self) -> usize;

    /// Where the time of loading went since the last call, for the user.
    fn report(&self) -> Option<String>;

    /// What went wrong with samples since the last call, a line each, for the user.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many samples are missing from the batches so far, because they cannot be read.
    fn left_out(&self) -> usize {
        0
    }

    /// Numbers of the samples that were found unreadable: a checkpoint keeps them, so that a run that
    /// is continued counts as one that was not stopped.
    fn unreadable(&self) -> Vec<usize> {
        Vec::new()
    }
}

/// Steps of an epoch, each a list of parts: none of them empty, in evaluation perhaps none at all. Where a
/// step has more parts than there are replicas, they take turns and memory is that of one turn.
pub type BatchIter<'a, B> = Box<dyn Iterator<Item = Result<Vec<B>, DataError>> + 'a>;

/// Everything that a checkpoint keeps. What is not in here is a function of the plan and the step.
#[derive(Debug)]
pub struct TrainState<M> {
    /// The network, on an autodiff device, every parameter drawn.
    pub model: M,
    /// Update rule with its moments.
    pub optimizer: Optimizer,
    /// Updates since the start of training, over all epochs.
    pub step: usize,
    /// Loss of the current epoch so far.
    pub epoch_loss: Mean,
    /// Of the loss, where the passes compute in f16; see [`Precision::scaler`](crate::Precision::scaler).
    pub scaler: Option<LossScaler>,
    /// A running mean of the weights, which is validated and published in their place.
    pub average: Option<Average>,
    /// Samples that are left out because they cannot be read; see [`Batches::unreadable`].
    pub unreadable: Vec<usize>,
}

impl<M: Module> TrainState<M> {
    /// The model that the training would give now.
    pub fn published(&self) -> M {
        match &self.average {
            Some(average) => average.applied(&self.model),
            None => self.model.clone(),
        }
    }
}

/// A running mean whose parts survive a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mean {
    /// Sum of the values.
    pub sum: f64,
    /// Number of values.
    pub count: u64,
}

/// What `fit` works with; tests pass in-memory data.
pub struct Session<'a, T: Task> {
    /// The family.
    pub task: &'a T,
    /// How long, how often, how fast.
    pub plan: &'a Plan,
    /// Training data.
    pub train: &'a dyn Batches<Batch = T::Batch>,
    /// Validation data.
    pub validation: Option<&'a dyn Batches<Batch = T::Batch>>,
    /// Where states are kept.
    pub checkpoints: &'a Checkpoints<'a, T::Model>,
    /// Who computes.
    pub replicas: &'a Replicas,
    /// Status, curves, progress, stop flag.
    pub run: &'a Run,
}

/// Trains until the plan is done. An error leaves the checkpoints written so far untouched.
pub fn fit<T: Task>(
    session: &Session<'_, T>,
    mut state: TrainState<T::Model>,
) -> Result<TrainState<T::Model>, EngineError> {
    let Session { task, plan, train, checkpoints, replicas, run, .. } = *session;
    let mut journal = Journal::start(plan, run);
    while state.step < plan.total_steps() {
        let (epoch, first) = plan.position(state.step);
        journal.epoch(epoch, first);
        for batch in train.epoch(epoch, first) {
            warn(train, run);
            let batch = batch?;
            let reading;
            (state, reading) = train_step(session, state, &batch);
            journal.note(reading);

            let finished = state.step == plan.total_steps();
            let save = finished || plan.is_due(plan.checkpoint, state.step);
            let ends_epoch = plan.ends_epoch(state.step);
            if save || ends_epoch || journal.is_due(state.step) {
                journal.read(&mut state.epoch_loss, checkpoints.newest())?;
                journal.curves(&state.optimizer, gauges(task, &state), state.step);
            }
            if ends_epoch {
                let skipped = state.scaler.and_then(|scaler| scaler.report());
                journal.end_epoch(
                    state.step,
                    std::mem::take(&mut state.epoch_loss),
                    skipped.into_iter().chain(train.report()),
                );
            }
            if let Some(data) = session.validation
                && plan.is_due(plan.validate, state.step)
                && let Some(metrics) =
                    evaluate(task, &state.published().valid(), data, replicas, run)?
            {
                journal.validated(state.step, task, &metrics);
                checkpoints.offer(&state, plan.epoch_of(state.step), &metrics, run)?;
            }

            let stop = run.stop.requested().filter(|_| !finished);
            if save || stop.is_some() {
                // Nothing that is not finite passes into a checkpoint.
                journal.read(&mut state.epoch_loss, checkpoints.newest())?;
                state.unreadable = train.unreadable();
                let checkpoint = checkpoints.save(&state, plan.epoch_of(state.step))?;
                if let Some(signal) = stop {
                    return Err(EngineError::Stopped { signal, step: state.step, checkpoint });
                }
            }
        }
    }
    journal.finish();
    Ok(state)
}

/// Metrics of a whole data set, `None` when a signal asked to stop before its end. Memory does not
/// grow with the data beyond the task's statistics.
pub fn evaluate<T: Task>(
    task: &T,
    model: &T::Model,
    data: &dyn Batches<Batch = T::Batch>,
    replicas: &Replicas,
    run: &Run,
) -> Result<Option<Metrics>, EngineError> {
    let of_part = |batch| Ok::<_, EngineError>(task.evaluate(model, &batch));
    let merge = |a, b| task.merge(a, b);
    Ok(match gather(data, replicas, run, of_part, merge)? {
        ControlFlow::Break(()) => None,
        ControlFlow::Continue(total) => {
            Some(total.map_or_else(Vec::new, |total| task.metrics(total)))
        }
    })
}

/// What `of_part` finds in every part of a data set, merged in order: nothing for an empty one. Breaks
/// off when a signal asks to stop.
pub fn gather<B: Send, S: Send, E: From<EngineError> + Send>(
    data: &dyn Batches<Batch = B>,
    replicas: &Replicas,
    run: &Run,
    of_part: impl Fn(B) -> Result<S, E> + Sync,
    merge: impl Fn(S, S) -> S,
) -> Result<ControlFlow<(), Option<S>>, E> {
    let mut total: Option<S> = None;
    let add = |found: S| {
        total = Some(match total.take() {
            Some(total) => merge(total, found),
            None => found,
        });
        Ok(())
    };
    let flow = each(data, replicas, run, of_part, add)?;
    let left_out = data.left_out();
    if left_out > 0 && flow.is_continue() {
        run.notice(&format!("{left_out} unreadable samples are left out of these metrics"));
    }
    Ok(flow.map_continue(|()| total))
}

/// Hands what `of_part` finds in every part of a data set to `take`, in order, as soon as it is there.
/// Breaks off when a signal asks to stop.
pub fn each<B: Send, S: Send, E: From<EngineError> + Send>(
    data: &dyn Batches<Batch = B>,
    replicas: &Replicas,
    run: &Run,
    of_part: impl Fn(B) -> Result<S, E> + Sync,
    mut take: impl FnMut(S) -> Result<(), E>,
) -> Result<ControlFlow<()>, E> {
    run.progress.begin(what(run), data.steps() as u64);
    for (done, batches) in data.epoch(0, 0).enumerate() {
        if run.stop.requested().is_some() {
            run.progress.end();
            return Ok(ControlFlow::Break(()));
        }
        warn(data, run);
        for found in replicas.map(batches.map_err(EngineError::from)?, |_, batch| of_part(batch)) {
            take(found?)?;
        }
        run.progress.advance(done as u64 + 1, "");
    }
    run.progress.end();
    warn(data, run);
    Ok(ControlFlow::Continue(()))
}

/// What the passes are called: those of a training validate.
fn what(run: &Run) -> &str {
    if run.action == "train" { "evaluate" } else { &run.action }
}

fn gauges<T: Task>(task: &T, state: &TrainState<T::Model>) -> Metrics {
    let mut gauges = task.gauges(&state.model);
    gauges.extend(state.scaler.map(|scaler| ("loss_scale".to_owned(), scaler.scale())));
    gauges
}

fn warn<B: Send>(data: &dyn Batches<Batch = B>, run: &Run) {
    data.warnings().iter().for_each(|warning| run.warn(warning));
}

/// One update: gradients of the whole batch, clip, optimizer. A step whose gradients overflow f16
/// leaves model and optimizer as they are, and counts: data and schedule go on, as in Lightning.
fn train_step<T: Task>(
    session: &Session<'_, T>,
    mut state: TrainState<T::Model>,
    batches: &[T::Batch],
) -> (TrainState<T::Model>, Reading) {
    let Session { task, plan, replicas, run, .. } = *session;
    let (mut parts, mut samples) = (Vec::new(), Vec::new());
    for batch in batches {
        let key = plan.key.of("forward").at(state.step as u64);
        parts.push(Part { batch, step: Step { index: state.step, first: samples.len(), key } });
        samples.extend(task.samples(batch));
    }
    let Differentiated { gradients, terms } =
        differentiate(task, &state.model, parts, replicas, state.scaler);

    let device = state.model.devices()[0].clone().without_autodiff();
    let scale = state.scaler.map_or(1.0, |scaler| scaler.scale());
    let norm = global_norm(&state.model, &gradients, &device) / scale;
    if let Some(scaler) = &mut state.scaler
        && !scaler.takes(norm.clone().into_scalar::<f32>().is_finite())
    {
        state.step += 1;
        let (step, scale) = (state.step, scaler.scale());
        run.notice(&format!(
            "step {step} is skipped: its gradients overflow fp16; loss scale {scale}"
        ));
        return (state, Reading { step, terms, norm: None, samples });
    }
    let clip = plan.clip_grad_norm.map(|max_norm| clip_factor(norm.clone(), max_norm) / scale);
    let unscale = || state.scaler.map(|_| Tensor::ones([1], &device) / scale);
    let factor = clip.or_else(unscale);

    let schedule = plan.schedule.at(state.step);
    let model = state.optimizer.step(state.model, gradients, factor, schedule);
    state.model = task.after_step(model);
    if let Some(average) = &mut state.average {
        average.follow(&state.model);
    }
    state.step += 1;
    let reading = Reading { step: state.step, terms, norm: Some(norm), samples };
    (state, reading)
}
