//! The loader: samples made on threads, delivered in order.
//!
//! The consumer hands out positions and puts the results in order again. So at most a fixed window
//! of samples exists at any time, and the batches do not depend on the number of threads. A sample that
//! may be left out makes its batch one smaller; the others keep their places and their keys.

mod report;
mod workers;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::error::DataError;
use crate::random::Key;
use crate::sampler::EpochPlan;
use crate::unreadable::Unreadable;

pub use report::{LoaderReport, Stage, Stages};
use workers::Workers;

/// Batches on their way while the consumer uses one.
const BATCHES_AHEAD: usize = 2;

/// What the loader draws samples from.
pub trait Dataset: Send + Sync + 'static {
    /// One sample, ready for batching.
    type Sample: Send + 'static;

    /// How many samples there are.
    fn len(&self) -> usize;

    /// True when there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes one sample. `key` decides everything random; `stages` takes the time of each stage.
    fn sample(
        &self,
        index: usize,
        key: &Key,
        stages: &mut Stages,
    ) -> Result<Self::Sample, DataError>;

    /// What a message calls a sample, for problems that name no file themselves.
    fn name(&self, index: usize) -> String {
        format!("sample {index}")
    }
}

/// Makes batches of a dataset on a number of threads.
#[derive(Debug)]
pub struct Loader<D> {
    dataset: Arc<D>,
    threads: usize,
    unreadable: Unreadable,
}

impl<D: Dataset> Loader<D> {
    /// `threads` = 0 makes the samples on the caller's thread, when they are asked for.
    pub fn new(dataset: Arc<D>, threads: usize) -> Loader<D> {
        Loader { dataset, threads, unreadable: Unreadable::none_allowed() }
    }

    /// Leaves out samples that cannot be read, as far as `unreadable` allows.
    pub fn leaving_out(self, unreadable: Unreadable) -> Loader<D> {
        Loader { unreadable, ..self }
    }

    /// The samples that were left out.
    pub fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    /// What the samples are drawn from.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The batches of an epoch from `start_batch` on: exactly the tail of the whole epoch.
    /// Dropping the iterator stops the threads.
    pub fn batches(&self, plan: EpochPlan, start_batch: usize) -> Batches<D> {
        let threads = if start_batch < plan.num_batches() { self.threads } else { 0 };
        let mut batches = Batches {
            workers: Workers::start(&self.dataset, threads),
            dataset: Arc::clone(&self.dataset),
            unreadable: self.unreadable.clone(),
            next_batch: start_batch,
            handed_out: start_batch.saturating_mul(plan.batch_size()),
            window: (BATCHES_AHEAD * plan.batch_size()).max(2 * threads),
            plan,
            report: LoaderReport::default(),
        };
        batches.hand_out();
        batches
    }
}

/// The batches of an epoch, in order. An error comes in the place of its batch and ends them. Where
/// samples may be left out, a batch can be smaller than the plan's, or empty.
pub struct Batches<D: Dataset> {
    dataset: Arc<D>,
    unreadable: Unreadable,
    plan: EpochPlan,
    next_batch: usize,
    /// `None`: samples are made here. So it is when no thread could be started.
    workers: Option<Workers<D::Sample>>,
    /// Position in the epoch of the next sample that a worker gets.
    handed_out: usize,
    /// How many samples may be on their way.
    window: usize,
    report: LoaderReport,
}

impl<D: Dataset> Batches<D> {
    /// What was loaded so far and where the time went.
    pub fn report(&self) -> &LoaderReport {
        &self.report
    }

    fn next_samples(&mut self) -> Result<Vec<D::Sample>, DataError> {
        let indices = self.plan.batch(self.next_batch).to_vec();
        let mut samples = Vec::with_capacity(indices.len());
        for index in indices {
            let made = self.next_sample(index);
            self.report.stages.add(&made.stages);
            match made.sample {
                Ok(sample) => samples.push(sample),
                Err(error) => {
                    self.unreadable.leave_out(index, error)?;
                    continue;
                }
            }
            self.report.samples += 1;
        }
        Ok(samples)
    }

    fn next_sample(&mut self, index: usize) -> Made<D::Sample> {
        let made = match &mut self.workers {
            Some(workers) => workers.take(),
            None => make(&*self.dataset, index, &self.plan.sample_key(index)),
        };
        self.hand_out();
        made
    }

    /// Keeps the window full.
    fn hand_out(&mut self) {
        let Some(workers) = &mut self.workers else { return };
        while workers.on_their_way() < self.window {
            let Some(index) = self.plan.at(self.handed_out) else { return };
            workers.hand_out(index, self.plan.sample_key(index));
            self.handed_out += 1;
        }
    }
}

impl<D: Dataset> Iterator for Batches<D> {
    type Item = Result<Vec<D::Sample>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next_batch >= self.plan.num_batches() {
            self.workers = None;
            return None;
        }
        let start = Instant::now();
        let samples = self.next_samples();
        self.report.waiting += start.elapsed().as_secs_f64();
        if samples.is_ok() {
            self.next_batch += 1;
            self.report.batches += 1;
        } else {
            self.next_batch = self.plan.num_batches();
            self.workers = None;
        }
        Some(samples)
    }
}

impl<D: Dataset> fmt::Debug for Batches<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.plan.num_batches();
        f.debug_struct("Batches").field("next", &self.next_batch).field("of", &of).finish()
    }
}

/// A sample or why there is none, and the time it took.
struct Made<S> {
    sample: Result<S, DataError>,
    stages: Stages,
}

/// Makes one sample; a panic of the dataset becomes an error that names the sample.
fn make<D: Dataset>(dataset: &D, index: usize, key: &Key) -> Made<D::Sample> {
    let mut stages = Stages::default();
    // The dataset is shared and immutable: a panic leaves nothing half done but this sample.
    let outcome = catch_unwind(AssertUnwindSafe(|| dataset.sample(index, key, &mut stages)));
    let sample = outcome.unwrap_or_else(|panic| {
        let problem = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(&text), _) => text.to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "no message".to_owned(),
        };
        let name = catch_unwind(AssertUnwindSafe(|| dataset.name(index)));
        let sample = name.unwrap_or_else(|_| format!("sample {index}"));
        Err(DataError::Panicked { sample, problem })
    });
    Made { sample, stages }
}
