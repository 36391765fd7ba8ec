//! `clip train`: from a spec to checkpoints.

use std::path::Path;

use burn::module::Module;
use hearth_data::random::Key;
use hearth_engine::{
    Beginning, Metrics, Precision, Run, Session, Summary, check_run, evaluate, experiment, fit,
    is_cpu, resumed_from, start,
};
use hearth_spec::Document;
use hearth_weights::map_values;

use crate::{
    adapters,
    checkpoints::{Kept, LATEST, optimizer},
    dataset::EvalBatches,
    error::ClipError,
    extra::{Extra, Initial, Preservation, Triplet},
    layouts, memory,
    model::Clip,
    peft::{Peft, base},
    plan::{best, fingerprint, plan, rates},
    recipe,
    setup::{Setup, contrast},
    source::{shuffled, training_data, validation_data},
    spec::{Action, ClipSpec},
    summary,
    task::{ContrastiveTask, logit_scale_ceiling},
};

/// Trains a model.
pub fn train(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::Train, run)?;
    let precision = spec.precision(run);
    let resumed = resumed_from(&spec.train.common, LATEST, run)?;
    let pretrained = spec.weights(Action::Train);
    let mut setup = Setup::new(document, &spec, resumed.as_deref().or(pretrained), run)?;
    setup.recipe.contrast = contrast(&spec);
    let peft = Peft::of(document, &spec, &setup)?;
    let replicas = spec.replicas(document, resumed.as_deref(), run)?;
    let data = training_data(document, &spec, &setup, &peft, run)?.for_replicas(replicas.count());
    let validation = validation_data(&spec, &setup, run)?;
    let validation = validation.map(|data| data.for_replicas(replicas.count()));
    warn_of_memory(&memory::of_training(&spec, &setup, &peft, &data), run);

    let seed = run.seed(spec.train.common.seed);
    let key = Key::new(seed);
    let initial = match preserves(&spec, &peft) {
        true => {
            let reread = resumed.as_ref().map(|_| Setup::new(document, &spec, pretrained, run));
            Some(Initial::of(&setup, reread.transpose()?, seed)?)
        }
        false => None,
    };
    let mut fingerprint = fingerprint(&spec, &data, &peft, seed);
    fingerprint.extend(initial.as_ref().map(Initial::identity));
    resumed.as_ref().map(|checkpoint| check_run(checkpoint, &fingerprint)).transpose()?;
    let origin = Origin { key: &key, initial, resumed: resumed.as_deref(), precision };
    let (model, task) = begin(&spec, &mut setup, &peft, origin, run)?;
    let plan = plan(document, &spec, &data, key)?;
    let kept = Kept {
        layout: layouts::public(&setup.recipe),
        metadata: recipe::metadata(&setup.recipe, &setup.tokenizer, spec.portable()),
        fingerprint,
        best: best(document, &spec, run)?,
    };
    let checkpoints = kept.checkpoints(&spec, &peft, run).of_replicas(replicas.count());

    let untrained = spec.hearth.train.baselines.then(|| model.valid());
    let beginning = Beginning {
        optimizer: optimizer(&spec.train.optim),
        precision,
        average: None,
        checkpoints: &checkpoints,
        resumed: resumed.as_deref(),
    };
    let state = start(&task, model, &beginning, run)?;
    data.restore(&state.unreadable);
    experiment::write(&spec, run)?;
    run.notice(&summary::of_plan(&setup, &state.model, &data, (&plan, &replicas)));
    let session = Session {
        task: &task,
        plan: &plan,
        train: &data,
        validation: validation.as_ref().map(|data| data as _),
        checkpoints: &checkpoints,
        replicas: &replicas,
        run,
    };
    let state = fit(&session, state)?;

    let rows = baselines(&session, &state.model.valid(), untrained, validation.as_ref())?;
    Ok(summary::of_training(document, &checkpoints.newest().unwrap_or_default(), &rows))
}

/// Says so where the training will hardly fit: the system would end it without a word.
pub(crate) fn warn_of_memory(estimate: &memory::Estimate, run: &Run) {
    let available = memory::available().filter(|available| *available < estimate.total());
    if let Some(available) = available.filter(|_| is_cpu(&run.device)) {
        run.warn(&format!(
            "this training needs about {:.1} GB of memory, {:.1} GB are available: lower \
             `dataset.train.batch_size`, raise `hearth.train.micro_batches` or set \
             `train.grad_checkpointing: true`",
            estimate.total() / 1e9,
            available / 1e9
        ));
    }
}

/// Whether the loss holds the model to what it was before.
pub(crate) fn preserves(spec: &ClipSpec, peft: &Peft) -> bool {
    spec.regularization.enabled && peft.trains_a_tower()
}

/// What a model is made of.
pub(crate) struct Origin<'a> {
    pub(crate) key: &'a Key,
    /// What the model was before any training, where the loss needs it.
    pub(crate) initial: Option<Initial>,
    /// The checkpoint that it goes on from.
    pub(crate) resumed: Option<&'a Path>,
    /// What the towers compute in.
    pub(crate) precision: Precision,
}

/// The model, and the training as the loop sees it.
pub(crate) fn begin(
    spec: &ClipSpec,
    setup: &mut Setup,
    peft: &Peft,
    Origin { key, initial, resumed, precision }: Origin<'_>,
    run: &Run,
) -> Result<(Clip, ContrastiveTask), ClipError> {
    let mut model = model(setup, peft, key, resumed, run)?;
    if resumed.is_none() {
        model = calibrate(model, spec);
        setup.recipe.logit_scale_ceiling = logit_scale_ceiling(&model);
    }
    let extra = extra(spec, peft, initial, &model, key)?;
    let task = task(spec, setup, extra, precision, run);
    Ok((model, task))
}

/// The calibration that the spec writes; a value of the weights stays where it writes none.
fn calibrate(model: Clip, spec: &ClipSpec) -> Clip {
    map_values(model, |parameter| {
        let written = match parameter.name.as_str() {
            "logit_scale" => spec.model.init_logit_scale,
            "logit_bias" => spec.model.init_logit_bias,
            _ => None,
        };
        written.map(|value| vec![value as f32])
    })
}

/// The model to go on with: weights, adapters, and what of it is trained.
fn model(
    setup: &Setup,
    peft: &Peft,
    key: &Key,
    resumed: Option<&Path>,
    run: &Run,
) -> Result<Clip, ClipError> {
    let device = run.device.clone().autodiff();
    let (model, reports) = setup.model(key, &device)?;
    reports.iter().for_each(|report| run.notice(&report.to_string()));
    let model = peft.apply(model, key, &device);
    match resumed {
        Some(checkpoint) if peft.adapters().next().is_some() => {
            Ok(adapters::restore(model, checkpoint)?)
        }
        _ => Ok(model),
    }
}

/// The training as the loop sees it.
fn task(
    spec: &ClipSpec,
    setup: &Setup,
    extra: Extra,
    precision: Precision,
    run: &Run,
) -> ContrastiveTask {
    ContrastiveTask {
        contrast: setup.recipe.contrast,
        image_size: setup.recipe.picture.size as usize,
        context_length: setup.recipe.text.context_length,
        precision,
        recompute: spec.train.grad_checkpointing,
        logit_scale_ceiling: setup.recipe.logit_scale_ceiling,
        rates: rates(spec),
        extra,
        device: run.device.clone(),
    }
}

/// What the spec adds to the contrastive loss. `model` has not been trained, or `initial` knows what
/// it was before.
fn extra(
    spec: &ClipSpec,
    peft: &Peft,
    initial: Option<Initial>,
    model: &Clip,
    key: &Key,
) -> Result<Extra, ClipError> {
    let (weight, margin) = (spec.train.triplet_loss_weight, spec.train.triplet_margin);
    let text_dropout = spec.hearth.train.text_dropout;
    let mut extra = Extra { dropout: peft.drops(), text_dropout, ..Extra::default() };
    extra.triplet = (weight > 0.0).then_some(Triplet { weight, margin });
    if spec.regularization.enabled {
        extra.preservation = Some(Preservation {
            teacher: match initial {
                Some(initial) => initial.teacher(model, peft, key)?,
                None => base(model),
            },
            embedding_mse: spec.regularization.embedding_mse_weight,
            cosine: spec.regularization.cosine_weight,
            similarity: spec.regularization.similarity_weight,
        });
    }
    Ok(extra)
}

/// Metrics of the trained model beside those of its untrained weights and of shuffled captions:
/// what chance reaches on this data. None without validation, or where they were not asked for.
fn baselines(
    session: &Session<'_, ContrastiveTask>,
    trained: &Clip,
    untrained: Option<Clip>,
    data: Option<&EvalBatches>,
) -> Result<Vec<(&'static str, Metrics)>, ClipError> {
    let Session { task, replicas, run, .. } = *session;
    let mut rows = Vec::new();
    let Some((untrained, data)) = untrained.as_ref().zip(data) else { return Ok(rows) };
    for (name, model, data) in [
        ("trained", trained, data),
        ("untrained weights", untrained, data),
        ("shuffled captions", trained, &shuffled(data)),
    ] {
        if let Some(metrics) = evaluate(task, model, data, replicas, run)? {
            rows.push((name, metrics));
        }
    }
    Ok(rows)
}
