//! All stages of a training, one after the other, as a report.

use burn::module::Module;

use super::{
    BenchmarkOptions, Machine, Peak, Report, StageReport, Timing, Tuned, check_stop, matmul_rate,
    time_forward, time_loading, time_training,
};
use crate::{
    batches::{Samples, TrainBatches},
    checkpoint::Checkpoints,
    device::{device_model, is_cpu},
    error::EngineError,
    fit::{Session, TrainState},
    plan::Plan,
    precision::Precision,
    replicas::{Replicas, cores},
    run::Run,
    summary::Summary,
    task::Task,
};

/// A training that is measured.
pub struct Subject<D: Samples> {
    /// The model's name.
    pub model: String,
    /// Where the samples come from, for the user.
    pub data: String,
    /// What the passes compute in.
    pub precision: Precision,
    /// The samples, in a part for each replica.
    pub batches: TrainBatches<D>,
    /// Who computes.
    pub replicas: Replicas,
    /// As the training would go.
    pub plan: Plan,
    /// Operations of one sample: in the forward pass, and in a training step.
    pub arithmetic: [f64; 2],
}

/// Seconds of the forward pass of an exported model, or why there are none.
pub type Exported = Result<Vec<f64>, String>;

/// Measures loader, forward pass and training step; nothing that stays is written. `start` makes the
/// training when the loader has been measured; `exported` runs the model elsewhere: so many samples, so
/// many times.
pub fn measure<D, T, E>(
    mut subject: Subject<D>,
    start: impl FnOnce() -> Result<(T, TrainState<T::Model>), E>,
    exported: impl FnOnce(usize, usize) -> Result<Exported, E>,
    options: &BenchmarkOptions,
    run: &Run,
) -> Result<Summary, E>
where
    D: Samples,
    T: Task<Batch = D::Batch>,
    E: From<EngineError>,
{
    let matmul_gflops = matmul_rate(&run.device);
    let peak = Peak::start();
    let items = subject.batches.global_batch();
    let stage = |timing: &Timing, flops| {
        StageReport::new(timing, items, peak.growth(), flops, matmul_gflops)
    };
    let loader = stage(&time_loading(&subject.batches, options.steps, run)?, None);

    let [of_forward, of_training] = subject.arithmetic;
    let (task, state) = start()?;
    peak.restart();
    let model = state.model.valid();
    let work = (&subject.replicas, options.steps);
    let forward = time_forward(&task, &model, &subject.batches, work, run)?;
    let forward = stage(&forward, Some(of_forward));
    drop(model);

    peak.restart();
    let elsewhere = exported(items, options.steps)?;
    check_stop(run)?;
    let elsewhere = elsewhere.map(|seconds| stage(&Timing::of(seconds), Some(of_forward)));

    peak.restart();
    let (training, state) = subject.train(&task, state, &subject.replicas, options.steps, run)?;
    let Subject { batches, replicas, .. } = &subject;
    let mut report = Report {
        machine: Machine::this(),
        device: device_model(&run.device),
        threads: replicas.count() * replicas.threads(),
        replicas: replicas.count(),
        precision: subject.precision.to_string(),
        model: subject.model.clone(),
        data: subject.data.clone(),
        batch_size: items,
        micro_batches: items.div_ceil(batches.micro_batch()),
        steps: options.steps,
        matmul_gflops,
        peak: peak.meaning(),
        loader,
        forward,
        no_onnx_runtime: elsewhere.as_ref().err().cloned(),
        onnx_runtime: elsewhere.ok(),
        training_step: stage(&training, Some(of_training)),
        tuned: Vec::new(),
    };
    if options.tune {
        let measured = Tuned::new(replicas.count(), replicas.threads(), &training);
        report.tuned = tune(&mut subject, &task, state, measured, (options.steps, run))?;
    }
    Ok(told(&report, options))
}

impl<D: Samples> Subject<D> {
    fn train<T: Task<Batch = D::Batch>>(
        &self,
        task: &T,
        state: TrainState<T::Model>,
        replicas: &Replicas,
        steps: usize,
        run: &Run,
    ) -> Result<(Timing, TrainState<T::Model>), EngineError> {
        let checkpoints = Checkpoints::nowhere();
        let session = Session {
            task,
            plan: &self.plan,
            train: &self.batches,
            validation: None,
            checkpoints: &checkpoints,
            replicas,
            run,
        };
        time_training(&session, state, steps)
    }
}

/// Every number of replicas that could be the best; `measured` is one of them.
fn tune<D: Samples, T: Task<Batch = D::Batch>>(
    subject: &mut Subject<D>,
    task: &T,
    mut state: TrainState<T::Model>,
    measured: Tuned,
    (steps, run): (usize, &Run),
) -> Result<Vec<Tuned>, EngineError> {
    let mut tuned = Vec::new();
    let cores = if is_cpu(&run.device) { cores() } else { 1 };
    for count in candidates(cores, subject.batches.micro_batch()) {
        if count == measured.replicas {
            continue;
        }
        let replicas = Replicas::new(count)?;
        subject.batches.set_replicas(count);
        let timing;
        (timing, state) = subject.train(task, state, &replicas, steps, run)?;
        tuned.push(Tuned::new(count, replicas.threads(), &timing));
    }
    tuned.push(measured);
    tuned.sort_by_key(|one| one.replicas);
    Ok(tuned)
}

/// Of all numbers of replicas that leave each the same threads, the largest uses most cores.
fn candidates(cores: usize, micro_batch: usize) -> Vec<usize> {
    let most = cores.min(micro_batch);
    (1..=most).filter(|count| *count == most || cores / count != cores / (count + 1)).collect()
}

fn told(report: &Report, options: &BenchmarkOptions) -> Summary {
    if options.json {
        return report.to_json().into();
    }
    let mut text = report.to_string();
    if let Some(best) = report.best() {
        let replicas = best.replicas;
        text.push_str(&format!(
            "\nfastest: `hearth.train.replicas={replicas}`; in a spec\n\n\
             hearth:\n  train:\n    replicas: {replicas}\n"
        ));
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_leave_cores_idle_are_not_tried() {
        assert_eq!(candidates(1, 16), [1]);
        assert_eq!(candidates(2, 16), [1, 2]);
        assert_eq!(candidates(8, 16), [1, 2, 4, 8]);
        assert_eq!(candidates(8, 3), [1, 2, 3]);
        assert_eq!(candidates(12, 16), [1, 2, 3, 4, 6, 12]);
    }
}
