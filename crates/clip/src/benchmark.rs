//! `clip benchmark`: how fast this machine trains what a spec describes.

mod arithmetic;
mod generated;

use hearth_data::random::Key;
use hearth_deploy::{OnnxRuntime, time_graph};
use hearth_engine::{
    Beginning, Checkpoints, Precision, Run, Summary, TrainState,
    benchmark::{BenchmarkOptions, Exported, Generated, Subject, measure},
    grouped, start,
};
use hearth_spec::Document;

use crate::{
    checkpoints::optimizer,
    error::ClipError,
    export::{OfSetup, TowerGraph, Towers},
    extra::Initial,
    memory,
    model::Clip,
    peft::Peft,
    plan::plan,
    setup::{Setup, contrast},
    source::training_data,
    spec::{Action, ClipSpec, TrainSource},
    task::ContrastiveTask,
    train,
};

/// Pairs of a step that are generated for a spec without data.
const MOST_GENERATED: usize = 16384;

/// Measures loader, forward pass and training step; writes nothing that stays.
pub fn benchmark(
    document: &Document,
    run: &Run,
    options: &BenchmarkOptions,
) -> Result<Summary, ClipError> {
    let mut spec = ClipSpec::read(document, Action::Benchmark, run)?;
    let generated = generate(document, &mut spec)?;
    let mut setup = Setup::new(document, &spec, spec.weights(Action::Benchmark), run)?;
    setup.recipe.contrast = contrast(&spec);
    let peft = Peft::of(document, &spec, &setup)?;
    let replicas = spec.replicas(document, None, run)?;
    let batches =
        training_data(document, &spec, &setup, &peft, run)?.for_replicas(replicas.count());
    train::warn_of_memory(&memory::of_training(&spec, &setup, &peft, &batches), run);
    let precision = spec.precision(run);
    let config = setup.config();
    let patches = setup.recipe.patches(config.vision.patch_size());
    let subject = Subject {
        model: setup.recipe.model_type.clone(),
        data: match &generated {
            Some(generated) => format!("{generated} with captions"),
            None => format!("{} pairs of the spec", grouped(batches.len())),
        },
        precision,
        plan: plan(document, &spec, &batches, Key::new(0))?,
        batches,
        replicas,
        arithmetic: arithmetic::count(&config, patches, &peft),
    };
    let drawn = Setup::new(document, &spec, spec.weights(Action::Benchmark), run)?;
    let begin = || begin(&spec, &mut setup, &peft, precision, run);
    measure(subject, begin, |pairs, steps| exported(&drawn, (pairs, steps), run), options, run)
}

/// Forward passes of both towers in ONNX Runtime, or why there are none.
fn exported(setup: &Setup, work: (usize, usize), run: &Run) -> Result<Exported, ClipError> {
    let Some(network) = TowerGraph::new(&setup.config(), Towers::Both) else {
        let reason = "pictures of any aspect ratio have no graph, which takes one size";
        return Ok(Err(reason.to_owned()));
    };
    let runtime = match OnnxRuntime::find() {
        Ok(runtime) => runtime,
        Err(problem) => return Ok(Err(problem.to_string())),
    };
    let towers = OfSetup { network: &network, setup, run: None };
    let is_stopped = || run.stop.requested().is_some();
    time_graph(&runtime, &towers, work, &is_stopped).map(Ok)
}

/// The training as it would begin.
fn begin(
    spec: &ClipSpec,
    setup: &mut Setup,
    peft: &Peft,
    precision: Precision,
    run: &Run,
) -> Result<(ContrastiveTask, TrainState<Clip>), ClipError> {
    let seed = run.seed(spec.train.common.seed);
    let key = Key::new(seed);
    let initial = match train::preserves(spec, peft) {
        true => Some(Initial::of(setup, None, seed)?),
        false => None,
    };
    let origin = train::Origin { key: &key, initial, resumed: None, precision };
    let (model, task) = train::begin(spec, setup, peft, origin, run)?;
    let beginning = Beginning {
        optimizer: optimizer(&spec.train.optim),
        precision,
        average: None,
        checkpoints: &Checkpoints::nowhere(),
        resumed: None,
    };
    let state = start(&task, model, &beginning, run)?;
    Ok((task, state))
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
    let (generated, source) = generated::pairs(2 * global_batch)?;
    spec.dataset.train.kind = TrainSource::Custom;
    spec.dataset.train.datasets = vec![source];
    Ok(Some(generated))
}
