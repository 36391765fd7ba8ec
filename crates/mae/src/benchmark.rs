//! `mae benchmark`: how fast this machine trains what a spec describes.

mod arithmetic;

use hearth_data::random::Key;
use hearth_deploy::{OnnxRuntime, time_graph};
use hearth_engine::{
    Beginning, Checkpoints, Run, Summary, Task, TrainState,
    benchmark::{BenchmarkOptions, Exported, Generated, Subject, measure},
    grouped, start,
};
use hearth_spec::Document;

use crate::{
    begin::Origin,
    error::MaeError,
    export::OfClassifier,
    plan::{optimizer, plan},
    recipe::Gives,
    setup::Setup,
    source::training_data,
    spec::{Action, MaeSpec, Stage},
    task::Batch,
};

/// Pictures of a step that are generated for a spec without data.
const MOST_GENERATED: usize = 16384;

/// Measures loader, forward pass and training step; writes nothing that stays.
pub fn benchmark(
    document: &Document,
    run: &Run,
    options: &BenchmarkOptions,
) -> Result<Summary, MaeError> {
    let mut spec = MaeSpec::read(document, Action::Benchmark, run)?;
    let generated = generate(document, &mut spec)?;
    let mut setup = Setup::of_training(document, &spec, None, run)?;
    let replicas = spec.replicas(document, None, run)?;
    let seed = run.seed(spec.train.common.seed);
    let batches = training_data(document, &spec, &mut setup.recipe, seed, run)?;
    let batches = batches.for_replicas(replicas.count());
    let precision = spec.precision(run);
    let key = Key::new(seed);
    let subject = Subject {
        model: format!("{} ({})", setup.recipe.arch, setup.recipe.stage()),
        data: match &generated {
            Some(generated) => generated.to_string(),
            None => format!("{} pictures of the spec", grouped(batches.len())),
        },
        precision,
        plan: plan(&spec, &batches, key.clone()),
        batches,
        replicas,
        arithmetic: arithmetic::count(&setup.recipe),
    };
    let origin = Origin { document, spec: &spec, setup: &setup, precision, run };
    match &setup.recipe.gives {
        Gives::Reconstructions(numbers) => {
            let begin = || {
                let (task, model, _) = origin.pretraining(numbers, &key)?;
                begun(&origin, task, model)
            };
            let reason = "a graph has no masks: what is pre-trained is not what is exported";
            measure(subject, begin, |_, _| Ok(Err(reason.to_owned())), options, run)
        }
        Gives::Classes(classes) => {
            let begin = || {
                let (task, model, _) = origin.finetuning(classes, &key)?;
                begun(&origin, task, model)
            };
            let of_setup = OfClassifier::new(&setup, classes.clone());
            measure(
                subject,
                begin,
                |count, steps| exported(&of_setup, count, steps, run),
                options,
                run,
            )
        }
    }
}

/// Forward passes in ONNX Runtime, or why there are none.
fn exported(
    of_setup: &OfClassifier<'_>,
    pictures: usize,
    steps: usize,
    run: &Run,
) -> Result<Exported, MaeError> {
    let runtime = match OnnxRuntime::find() {
        Ok(runtime) => runtime,
        Err(problem) => return Ok(Err(problem.to_string())),
    };
    let is_stopped = || run.stop.requested().is_some();
    time_graph(&runtime, of_setup, (pictures, steps), &is_stopped).map(Ok)
}

/// The training as it would begin.
fn begun<T: Task<Batch = Batch>>(
    origin: &Origin<'_>,
    task: T,
    model: T::Model,
) -> Result<(T, TrainState<T::Model>), MaeError> {
    let beginning = Beginning {
        optimizer: optimizer(),
        precision: origin.precision,
        average: origin.spec.hearth.train.ema_decay,
        checkpoints: &Checkpoints::nowhere(),
        resumed: None,
    };
    let state = start(&task, model, &beginning, origin.run)?;
    Ok((task, state))
}

/// Data for a spec that names none: two steps of it, in ten classes at most.
fn generate(document: &Document, spec: &mut MaeSpec) -> Result<Option<Generated>, MaeError> {
    if !spec.dataset.train_data_sources.is_empty() {
        return Ok(None);
    }
    let turns = spec.train.common.num_devices() * spec.train.accum_grad_batches;
    let global_batch = spec.dataset.batch_size.saturating_mul(turns);
    if global_batch > MOST_GENERATED {
        let mut checks = document.check();
        checks
            .error("dataset.batch_size", global_batch, format!("at most {MOST_GENERATED}"))
            .hint("the spec names no data, and more is not generated");
        checks.into_result()?;
    }
    let classes = match spec.train.stage {
        Stage::Pretrain => 1,
        Stage::Finetune => spec.model.num_classes.min(10),
    };
    let count = (2 * global_batch).max(classes);
    let place = |number: usize| format!("class_{}/{number:06}.jpg", number % classes);
    let generated = Generated::write(count, place)?;
    spec.dataset.train_data_sources = generated.folder().display().to_string();
    Ok(Some(generated))
}
