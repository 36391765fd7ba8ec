//! `benchmark`: how long loading, the forward pass and a training step take, measured around `fit` itself.

mod generated;
mod machine;
mod measure;
mod peak;
mod report;

use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

use burn::tensor::{Device, Tensor, TensorData};
use hearth_data::DataError;

pub use generated::Generated;
pub use machine::Machine;
pub use measure::{Exported, Subject, measure};
pub use peak::Peak;
pub use report::{Report, StageReport, Tuned};

use crate::{
    checkpoint::Checkpoints,
    error::EngineError,
    fit::{BatchIter, Batches, Session, TrainState, fit},
    plan::{Every, Plan},
    replicas::Replicas,
    run::Run,
    task::Task,
};

/// Steps in front of those that count: they take new memory and start threads.
const WARM_UP: usize = 2;

/// What the user wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchmarkOptions {
    /// Steps that count.
    pub steps: usize,
    /// The report for programs.
    pub json: bool,
    /// Compares numbers of replicas.
    pub tune: bool,
}

/// Seconds of every step that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    seconds: Vec<f64>,
}

impl Timing {
    /// Of `seconds`, at least one.
    pub fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self { seconds }
    }

    /// The fastest step.
    pub fn min(&self) -> f64 {
        self.seconds[0]
    }

    /// All steps together, as `time_per_step` of a training counts.
    pub fn mean(&self) -> f64 {
        self.seconds.iter().sum::<f64>() / self.seconds.len() as f64
    }

    /// The step in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.seconds.len() / 2;
        match self.seconds.len() % 2 {
            1 => self.seconds[middle],
            _ => (self.seconds[middle - 1] + self.seconds[middle]) / 2.0,
        }
    }
}

/// Steps of the loader alone.
pub fn time_loading<B: Send>(
    data: &dyn Batches<Batch = B>,
    steps: usize,
    run: &Run,
) -> Result<Timing, EngineError> {
    let data = Repeated::new(data, &run.device, WARM_UP + steps);
    let mut seconds = Vec::new();
    let mut batches = data.epoch(0, 0);
    run.progress.begin("loader", data.steps as u64);
    for done in 1..=data.steps {
        check_stop(run)?;
        let start = Instant::now();
        let Some(batch) = batches.next() else { break };
        drop(batch?);
        seconds.push(start.elapsed().as_secs_f64());
        run.progress.advance(done as u64, "");
    }
    run.progress.end();
    Ok(Timing::of(seconds.split_off(WARM_UP)))
}

/// Forward passes of evaluation over one batch of a step; no loader runs meanwhile.
pub fn time_forward<T: Task>(
    task: &T,
    model: &T::Model,
    data: &dyn Batches<Batch = T::Batch>,
    (replicas, steps): (&Replicas, usize),
    run: &Run,
) -> Result<Timing, EngineError> {
    let parts = data.epoch(0, 0).next().transpose()?.unwrap_or_default();
    let mut seconds = Vec::new();
    run.progress.begin("forward", (WARM_UP + steps) as u64);
    for done in 1..=WARM_UP + steps {
        check_stop(run)?;
        let start = Instant::now();
        replicas.map(parts.iter().collect(), |_, part| task.evaluate(model, part));
        seconds.push(start.elapsed().as_secs_f64());
        run.progress.advance(done as u64, "");
    }
    run.progress.end();
    Ok(Timing::of(seconds.split_off(WARM_UP)))
}

/// Steps of [`fit`] as it trains: loader, step, report. Nothing is kept but the state.
pub fn time_training<T: Task>(
    session: &Session<'_, T>,
    state: TrainState<T::Model>,
    steps: usize,
) -> Result<(Timing, TrainState<T::Model>), EngineError> {
    let data = Repeated::new(session.train, &session.run.device, WARM_UP + steps);
    let plan = Plan {
        epochs: 1,
        steps_per_epoch: data.steps,
        checkpoint: Every::Never,
        validate: Every::Never,
        ..session.plan.clone()
    };
    let checkpoints = Checkpoints::nowhere();
    let measured = Session {
        plan: &plan,
        train: &data,
        validation: None,
        checkpoints: &checkpoints,
        ..*session
    };
    let state = fit(&measured, TrainState { step: 0, ..state }).map_err(|error| match error {
        EngineError::Stopped { signal, .. } => EngineError::Interrupted { signal },
        error => error,
    })?;
    let asked = data.asked.into_inner();
    let seconds = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64());
    Ok((Timing::of(seconds.skip(WARM_UP).collect()), state))
}

/// GFLOP/s of a product of two matrices of 1024 rows and columns on all threads: the most that a model
/// could reach.
pub fn matmul_rate(device: &Device) -> f64 {
    const SIDE: usize = 1024;
    const TRIES: usize = 12;
    let values: Vec<f32> = (0..SIDE * SIDE).map(|i| ((i % 977) as f32).sin()).collect();
    let matrix = Tensor::<2>::from_data(TensorData::new(values, [SIDE, SIDE]), device);
    let try_once = |_| {
        let start = Instant::now();
        let product = matrix.clone().matmul(matrix.clone());
        // Waits for devices that compute behind the caller's back.
        product.slice([0..1, 0..1]).into_data();
        start.elapsed().as_secs_f64()
    };
    let fastest = (0..TRIES).map(try_once).fold(f64::INFINITY, f64::min);
    2.0 * (SIDE as f64).powi(3) / fastest / 1e9
}

fn check_stop(run: &Run) -> Result<(), EngineError> {
    match run.stop.requested() {
        Some(signal) => {
            run.progress.end();
            Err(EngineError::Interrupted { signal })
        }
        None => Ok(()),
    }
}

/// As many steps of `data` as wanted as one epoch, and when each was asked for.
struct Repeated<'a, B> {
    data: &'a dyn Batches<Batch = B>,
    device: &'a Device,
    steps: usize,
    /// One more than steps: the end of the last one.
    asked: RefCell<Vec<Instant>>,
    epoch: Cell<usize>,
}

impl<'a, B: Send> Repeated<'a, B> {
    fn new(data: &'a dyn Batches<Batch = B>, device: &'a Device, steps: usize) -> Self {
        Self { data, device, steps, asked: RefCell::default(), epoch: Cell::default() }
    }

    /// The next batch, of the next epoch where one ends.
    fn next(&self, batches: &mut BatchIter<'a, B>) -> Option<Result<Vec<B>, DataError>> {
        if let Some(batch) = batches.next() {
            return Some(batch);
        }
        self.epoch.set(self.epoch.get() + 1);
        *batches = self.data.epoch(self.epoch.get(), 0);
        batches.next()
    }
}

impl<B: Send> Batches for Repeated<'_, B> {
    type Batch = B;

    fn epoch(&self, _epoch: usize, _first: usize) -> BatchIter<'_, B> {
        let mut batches = self.data.epoch(0, 0);
        Box::new((0..=self.steps).map_while(move |step| {
            // What other devices still compute belongs to the step before.
            self.device.sync().ok();
            self.asked.borrow_mut().push(Instant::now());
            if step == self.steps { None } else { self.next(&mut batches) }
        }))
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn report(&self) -> Option<String> {
        self.data.report()
    }

    fn warnings(&self) -> Vec<String> {
        self.data.warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_the_mean_and_the_fastest() {
        let timing = Timing::of(vec![3.0, 1.0, 8.0]);
        assert_eq!((timing.median(), timing.mean(), timing.min()), (3.0, 4.0, 1.0));
        assert_eq!(Timing::of(vec![4.0, 1.0, 2.0, 8.0]).median(), 3.0);
        assert_eq!(Timing::of(vec![5.0]).median(), 5.0);
    }
}
