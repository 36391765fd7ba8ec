//! `clip benchmark`: how fast this machine trains what a spec describes.

mod arithmetic;
mod generated;
#[cfg_attr(not(test), expect(dead_code, reason = "the report has no place for it yet"))]
mod onnx_runtime;

use burn::module::Module;
use hearth_data::random::Key;
use hearth_engine::{
    Checkpoints, Precision, Replicas, Run, Session, Summary, TrainState,
    benchmark::{
        BenchmarkOptions, Machine, Peak, Report, StageReport, Timing, Tuned, matmul_rate,
        time_forward, time_loading, time_training,
    },
    cores, device_model, is_cpu,
};
use hearth_spec::Document;

use crate::{
    checkpoints::start,
    dataset::TrainBatches,
    error::ClipError,
    experiment,
    extra::Initial,
    memory,
    model::Clip,
    peft::Peft,
    plan::plan,
    precision, replicas,
    setup::{Setup, contrast},
    source::training_data,
    spec::{Action, ClipSpec, TrainSource},
    summary::grouped,
    task::ContrastiveTask,
    train,
};
use arithmetic::Arithmetic;
use generated::Generated;

/// Pairs of a step that are generated for a spec without data.
const MOST_GENERATED: usize = 16384;

/// Measures loader, forward pass and training step; writes nothing that stays.
pub fn benchmark(
    document: &Document,
    run: &Run,
    options: &BenchmarkOptions,
) -> Result<Summary, ClipError> {
    let mut spec = experiment::read(document, Action::Benchmark, run)?;
    let generated = generate(document, &mut spec)?;
    let mut setup = Setup::new(document, &spec, spec.weights(Action::Benchmark), run)?;
    setup.recipe.contrast = contrast(&spec);
    let peft = Peft::of(document, &spec, &setup)?;
    let replicas = replicas::of_training(document, &spec, None, run)?;
    let data = training_data(document, &spec, &setup, &peft, run)?.for_replicas(replicas.count());
    train::warn_of_memory(&memory::of_training(&spec, &setup, &peft, &data), run);
    let precision = precision::in_force(&spec, run);
    let steps = options.steps;
    let mut bench = Bench { document, spec, setup, peft, precision, run, steps };

    let (matmul_gflops, arithmetic) = (matmul_rate(&run.device), bench.arithmetic());
    let peak = Peak::start();
    let stage = |timing: &Timing, flops| {
        StageReport::new(timing, data.global_batch(), peak.growth(), flops, matmul_gflops)
    };
    let loader = stage(&time_loading(&data, options.steps, run)?, None);

    let (task, state) = bench.start()?;
    peak.restart();
    let model = state.model.valid();
    let forward = time_forward(&task, &model, &data, (&replicas, options.steps), run)?;
    let forward = stage(&forward, Some(arithmetic.forward));
    drop(model);

    peak.restart();
    let (training, state) = bench.train(&task, state, &data, &replicas)?;
    let training_step = stage(&training, Some(arithmetic.training));
    let stages = Stages { matmul_gflops, loader, forward, training_step };
    let mut report = bench.report(&data, &replicas, stages, peak.meaning());
    if generated.is_some() {
        report.data = generated::described(data.len());
    }
    if options.tune {
        let measured = Tuned::new(replicas.count(), replicas.threads(), &training);
        report.tuned = bench.tune(&task, state, data, measured)?;
    }
    Ok(told(&report, options))
}

/// What was measured.
struct Stages {
    matmul_gflops: f64,
    loader: StageReport,
    forward: StageReport,
    training_step: StageReport,
}

/// What is measured.
struct Bench<'a> {
    document: &'a Document,
    spec: ClipSpec,
    setup: Setup,
    peft: Peft,
    precision: Precision,
    run: &'a Run,
    steps: usize,
}

impl Bench<'_> {
    fn arithmetic(&self) -> Arithmetic {
        let config = self.setup.config();
        let patches = self.setup.recipe.patches(config.vision.patch_size());
        arithmetic::count(&config, patches, &self.peft)
    }

    fn report(
        &self,
        data: &TrainBatches,
        replicas: &Replicas,
        stages: Stages,
        peak: &'static str,
    ) -> Report {
        let Stages { matmul_gflops, loader, forward, training_step } = stages;
        Report {
            machine: Machine::this(),
            device: device_model(&self.run.device),
            threads: replicas.count() * replicas.threads(),
            replicas: replicas.count(),
            precision: self.precision.to_string(),
            model: self.setup.recipe.model_type.clone(),
            data: format!("{} pairs of the spec", grouped(data.len())),
            batch_size: data.global_batch(),
            micro_batches: data.global_batch().div_ceil(data.micro_batch()),
            steps: self.steps,
            matmul_gflops,
            peak,
            loader,
            forward,
            training_step,
            tuned: Vec::new(),
        }
    }

    /// The training as it would begin.
    fn start(&mut self) -> Result<(ContrastiveTask, TrainState<Clip>), ClipError> {
        let Bench { spec, setup, peft, precision, run, .. } = self;
        let seed = train::seed(spec, run);
        let key = Key::new(seed);
        let initial = match train::preserves(spec, peft) {
            true => Some(Initial::of(setup, None, seed)?),
            false => None,
        };
        let precision = *precision;
        let beginning = train::Beginning { key: &key, initial, resumed: None, precision };
        let (model, task) = train::begin(spec, setup, peft, beginning, run)?;
        let state = start(spec, &task, model, &Checkpoints::nowhere(), None, run)?;
        Ok((task, state))
    }

    fn train(
        &self,
        task: &ContrastiveTask,
        state: TrainState<Clip>,
        data: &TrainBatches,
        replicas: &Replicas,
    ) -> Result<(Timing, TrainState<Clip>), ClipError> {
        let plan = plan(self.document, &self.spec, data, Key::new(0))?;
        let checkpoints = Checkpoints::nowhere();
        let session = Session {
            task,
            plan: &plan,
            train: data,
            validation: None,
            checkpoints: &checkpoints,
            replicas,
            run: self.run,
        };
        Ok(time_training(&session, state, self.steps)?)
    }

    /// Every number of replicas that could be the best; `measured` is one of them.
    fn tune(
        &self,
        task: &ContrastiveTask,
        mut state: TrainState<Clip>,
        mut data: TrainBatches,
        measured: Tuned,
    ) -> Result<Vec<Tuned>, ClipError> {
        let mut tuned = Vec::new();
        let cores = if is_cpu(&self.run.device) { cores() } else { 1 };
        for count in candidates(cores, data.micro_batch()) {
            if count == measured.replicas {
                continue;
            }
            let replicas = Replicas::new(count)?;
            data = data.for_replicas(count);
            let timing;
            (timing, state) = self.train(task, state, &data, &replicas)?;
            tuned.push(Tuned::new(count, replicas.threads(), &timing));
        }
        tuned.push(measured);
        tuned.sort_by_key(|one| one.replicas);
        Ok(tuned)
    }
}

/// Of all numbers of replicas that leave each the same threads, the largest uses most cores.
fn candidates(cores: usize, micro_batch: usize) -> Vec<usize> {
    let most = cores.min(micro_batch);
    (1..=most).filter(|count| *count == most || cores / count != cores / (count + 1)).collect()
}

/// Data for a spec that names none.
fn generate(document: &Document, spec: &mut ClipSpec) -> Result<Option<Generated>, ClipError> {
    if spec.names_training_data() {
        return Ok(None);
    }
    let global_batch =
        spec.dataset.train.batch_size.saturating_mul(spec.train.common.num_devices());
    if global_batch > MOST_GENERATED {
        let mut checks = document.check();
        checks
            .error("dataset.train.batch_size", global_batch, format!("at most {MOST_GENERATED}"))
            .hint("the spec names no data, and more is not generated");
        checks.into_result()?;
    }
    let generated = Generated::write(2 * global_batch)?;
    spec.dataset.train.kind = TrainSource::Custom;
    spec.dataset.train.datasets = vec![generated.source()];
    Ok(Some(generated))
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
