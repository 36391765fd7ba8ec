//! What a training run reports while it runs: curves, status lines, progress, and the finite check.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use burn::tensor::Tensor;

use crate::{
    error::EngineError,
    fit::Mean,
    optimizer::Optimizer,
    plan::Plan,
    run::Run,
    status::EpochTiming,
    task::{Metrics, Task},
};

/// The numbers of one step, still on the device.
pub(crate) struct Reading {
    /// Update number, from 1.
    pub(crate) step: usize,
    /// Loss terms of the global batch, [1] each.
    pub(crate) terms: Vec<(&'static str, Tensor<1>)>,
    /// Norm of the gradients before clipping, [1]; none of a step that was skipped.
    pub(crate) norm: Option<Tensor<1>>,
    /// Names of the samples.
    pub(crate) samples: Vec<String>,
}

/// The reporting side of one call of `fit`.
pub(crate) struct Journal<'a> {
    plan: &'a Plan,
    run: &'a Run,
    unread: Vec<Reading>,
    /// Newest values that were read: the loss, its parts where it has several, then `grad_norm`.
    latest: Vec<(String, f64)>,
    epoch_began: Instant,
    steps_of_epoch: usize,
}

impl<'a> Journal<'a> {
    pub(crate) fn start(plan: &'a Plan, run: &'a Run) -> Self {
        run.status.training_started();
        let epoch_began = Instant::now();
        Self { plan, run, unread: Vec::new(), latest: Vec::new(), epoch_began, steps_of_epoch: 0 }
    }

    /// An epoch begins with its step number `first`.
    pub(crate) fn epoch(&mut self, epoch: usize, first: usize) {
        let steps = self.plan.steps_per_epoch;
        let what = format!("epoch {}/{}", epoch + 1, self.plan.epochs);
        self.run.progress.begin(&what, steps as u64);
        if first > 0 {
            self.run.progress.advance(first as u64, "");
        }
        self.epoch_began = Instant::now();
        self.steps_of_epoch = 0;
    }

    pub(crate) fn note(&mut self, reading: Reading) {
        let done = reading.step - self.plan.epoch_of(reading.step) * self.plan.steps_per_epoch;
        let detail = match self.latest.first() {
            Some((name, value)) => format!("{name} {value:.4}"),
            None => String::new(),
        };
        self.run.progress.advance(done as u64, &detail);
        self.steps_of_epoch += 1;
        self.unread.push(reading);
    }

    /// Whether the curves get a point after `step`.
    pub(crate) fn is_due(&self, step: usize) -> bool {
        step == 1 || step.is_multiple_of(self.plan.log_interval)
    }

    /// Reads what the device computed since the last time; the first value that is not finite ends
    /// the run.
    pub(crate) fn read(
        &mut self,
        epoch_loss: &mut Mean,
        last_good: Option<PathBuf>,
    ) -> Result<(), EngineError> {
        for Reading { step, terms, norm, samples } in self.unread.drain(..) {
            self.latest.clear();
            let mut loss = 0.0;
            for (name, value) in terms {
                let value = value.into_scalar::<f32>();
                loss += f64::from(value);
                self.latest.push((name.to_owned(), f64::from(value)));
            }
            if let Some(norm) = norm {
                let norm = norm.into_scalar::<f32>();
                self.latest.push(("grad_norm".to_owned(), f64::from(norm)));
            }

            if let Some((term, value)) = self.latest.iter().find(|(_, value)| !value.is_finite()) {
                let (term, value) = (term.clone(), *value as f32);
                return Err(EngineError::NotFinite { step, term, value, samples, last_good });
            }
            if self.latest.iter().all(|(name, _)| name != "loss") {
                self.latest.insert(0, ("loss".to_owned(), loss));
            }
            epoch_loss.sum += loss;
            epoch_loss.count += 1;
        }
        Ok(())
    }

    /// One point of every curve.
    pub(crate) fn curves(&self, optimizer: &Optimizer, gauges: Metrics, step: usize) {
        let mut points: Metrics = Vec::new();
        for (name, value) in &self.latest {
            points.push((
                if name == "loss" { "train_loss_step".into() } else { format!("train/{name}") },
                *value,
            ));
        }
        let factor = self.plan.schedule.at(step.saturating_sub(1));
        let mut rates: Metrics = Vec::new();
        for group in optimizer.groups() {
            let name = format!("train/{}_lr", group.name);
            if !rates.iter().any(|(known, _)| *known == name) {
                rates.push((name, group.rate * factor));
            }
        }
        points.extend(rates);
        points.extend(gauges.into_iter().map(|(name, value)| (format!("train/{name}"), value)));
        self.run.events().scalars(step as u64, &borrowed(&points));
    }

    /// `notes` are for the user.
    pub(crate) fn end_epoch(
        &mut self,
        step: usize,
        loss: Mean,
        notes: impl Iterator<Item = String>,
    ) {
        self.run.progress.end();
        let mean = loss.sum / loss.count.max(1) as f64;
        self.run.events().scalars(step as u64, &[("train_loss_epoch", mean)]);
        self.run.status.train_metrics(&[("train_loss", mean)]);
        self.run.status.training_progress(&self.timing(step));
        let epoch = self.plan.epoch_of(step) + 1;
        let notes: String = notes.map(|note| format!("; {note}")).collect();
        let seconds = self.epoch_began.elapsed().as_secs_f64();
        self.run.progress.message(&format!(
            "epoch {epoch}/{}: train_loss {mean:.4}, {seconds:.1} s{}{notes}",
            self.plan.epochs,
            self.parts()
        ));
    }

    /// Where the loss has several parts, those of the last step.
    fn parts(&self) -> String {
        let parts: Vec<String> = self
            .latest
            .iter()
            .filter(|(name, _)| name != "loss" && name != "grad_norm")
            .map(|(name, value)| format!("{name} {value:.4}"))
            .collect();
        if parts.is_empty() { String::new() } else { format!("; last step: {}", parts.join(", ")) }
    }

    pub(crate) fn validated<T: Task>(&self, step: usize, task: &T, metrics: &Metrics) {
        let metrics: Metrics =
            metrics.iter().map(|(name, value)| (task.validated(name), *value)).collect();
        self.run.events().scalars(step as u64, &borrowed(&metrics));
        self.run.status.eval_metrics(&metrics);
    }

    pub(crate) fn finish(&self) {
        self.run.status.training_complete();
    }

    fn timing(&self, step: usize) -> EpochTiming {
        let elapsed = self.epoch_began.elapsed();
        let time_per_step = elapsed / self.steps_of_epoch.max(1) as u32;
        let remaining = self.plan.total_steps().saturating_sub(step);
        EpochTiming {
            epoch: self.plan.epoch_of(step) as u64,
            step: step as u64,
            epochs: self.plan.epochs as u64,
            steps: self.plan.total_steps() as u64,
            time_per_epoch: time_per_step * self.plan.steps_per_epoch as u32,
            time_per_step,
            eta: Duration::from_secs_f64(time_per_step.as_secs_f64() * remaining as f64),
        }
    }
}

fn borrowed(points: &Metrics) -> Vec<(&str, f64)> {
    points.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}
