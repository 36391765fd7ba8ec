//! `clip train`: from a spec to checkpoints.

use std::path::{Path, PathBuf};

use burn::module::Module;
use hearth_data::random::Key;
use hearth_engine::{
    Checkpoints, Metrics, Optimizer, OptimizerConfig, Rule, Run, Session, Summary, Task,
    TrainState, evaluate, fit,
};
use hearth_spec::Document;
use hearth_weights::{WeightsError, map_values, save};

use crate::{
    dataset::EvalBatches,
    error::ClipError,
    experiment, layouts, memory,
    model::Clip,
    plan::{best, fingerprint, plan, rates},
    recipe,
    setup::{Setup, contrast},
    source::{shuffled, training_data, validation_data},
    spec::{Action, ClipSpec, OptimizerType},
    summary,
    task::{ContrastiveTask, logit_scale_ceiling},
};

/// Name of the link to the newest checkpoint, as TAO calls it.
pub(crate) const LATEST: &str = "clip_latest";

/// Trains a model.
pub fn train(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = experiment::read(document, Action::Train, run)?;
    let resumed = resumed_from(&spec, run)?;
    let pretrained = spec.weights(Action::Train);
    let mut setup = Setup::new(document, &spec, resumed.as_deref().or(pretrained), run)?;
    setup.recipe.contrast = contrast(&spec);
    let data = training_data(document, &spec, &setup, run)?;
    let validation = validation_data(&spec, &setup, run)?;

    warn_of_memory(&memory::of_training(&spec, &setup, &data), run);

    let key = Key::new(seed(&spec, run));
    let (model, report) = setup.model(&key, &run.device.clone().autodiff())?;
    report.iter().for_each(|report| run.notice(&report.to_string()));
    let mut model = freeze(model, &spec);
    if resumed.is_none() {
        model = calibrate(model, &spec);
        setup.recipe.logit_scale_ceiling = logit_scale_ceiling(&model);
    }
    let task = ContrastiveTask {
        contrast: setup.recipe.contrast,
        image_size: setup.recipe.picture.size as usize,
        context_length: setup.recipe.text.context_length,
        recompute: spec.train.grad_checkpointing,
        logit_scale_ceiling: setup.recipe.logit_scale_ceiling,
        rates: rates(&spec),
        device: run.device.clone(),
    };
    let plan = plan(document, &spec, &data, key)?;

    let layout = layouts::public(setup.family());
    let metadata = recipe::metadata(&setup.recipe, &setup.tokenizer, spec.portable());
    let save_model = |model: &Clip, path: &Path| save(model, path, &layout, &metadata);
    let best = best(document, &spec, run)?;
    let checkpoints = Checkpoints::new(
        &run.results,
        LATEST,
        fingerprint(&spec, &data),
        Box::new(save_model),
        best,
    );

    let untrained = spec.hearth.train.baselines.then(|| model.valid());
    let state = start(&spec, &task, model, &checkpoints, resumed.as_deref(), run)?;
    experiment::write(&spec, run)?;
    run.notice(&summary::of_plan(&setup, &state.model, &data, &plan));
    let session = Session {
        task: &task,
        plan: &plan,
        train: &data,
        validation: validation.as_ref().map(|data| data as _),
        checkpoints: &checkpoints,
        run,
    };
    let state = fit(&session, state)?;

    let rows = match (&validation, untrained) {
        (Some(data), Some(untrained)) => {
            baselines(&task, &state.model.valid(), &untrained, data, run)?
        }
        _ => Vec::new(),
    };
    Ok(summary::of_training(document, &checkpoints.newest().unwrap_or_default(), &rows))
}

/// Says so where the training will hardly fit: the system would end it without a word.
fn warn_of_memory(estimate: &memory::Estimate, run: &Run) {
    if let Some(available) = memory::available().filter(|available| *available < estimate.total()) {
        run.warn(&format!(
            "this training needs about {:.1} GB of memory, {:.1} GB are available: lower \
             `dataset.train.batch_size`, raise `hearth.train.micro_batches` or set \
             `train.grad_checkpointing: true`",
            estimate.total() / 1e9,
            available / 1e9
        ));
    }
}

/// The checkpoint that this run continues: named by the spec, else the newest of its folder.
fn resumed_from(spec: &ClipSpec, run: &Run) -> Result<Option<PathBuf>, ClipError> {
    let Some(path) = &spec.train.common.resume_training_checkpoint_path else {
        return Ok(Checkpoints::<Clip>::latest(&run.results, LATEST));
    };
    let path = PathBuf::from(path);
    // Its state folder is on this machine or nowhere: a hub is not asked.
    if !path.exists() && !path.with_extension("safetensors").exists() {
        return Err(WeightsError::Missing { path, beside: None }.into());
    }
    Ok(Some(path))
}

/// The seed of the run; a negative one asks for a new one each time.
fn seed(spec: &ClipSpec, run: &Run) -> u64 {
    u64::try_from(spec.train.common.seed).unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let drawn = now.map_or(0, |time| time.as_nanos() as u64);
        run.notice(&format!("`train.seed` is negative: this run has seed {drawn}"));
        drawn
    })
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

fn freeze(mut model: Clip, spec: &ClipSpec) -> Clip {
    if spec.model.freeze_vision_encoder {
        model.visual = model.visual.no_grad();
    }
    if spec.model.freeze_text_encoder {
        model.text = model.text.no_grad();
    }
    model
}

/// The first state, or that of the checkpoint that is continued.
fn start(
    spec: &ClipSpec,
    task: &ContrastiveTask,
    model: Clip,
    checkpoints: &Checkpoints<'_, Clip>,
    resumed: Option<&Path>,
    run: &Run,
) -> Result<TrainState<Clip>, ClipError> {
    let optim = &spec.train.optim;
    let config = OptimizerConfig {
        rule: match optim.optimizer_type {
            OptimizerType::AdamW => Rule::AdamW,
            OptimizerType::Lamb => Rule::Lamb,
        },
        betas: [optim.betas[0], optim.betas[1]],
        eps: optim.eps,
    };
    let groups = task.parameter_groups(&model);
    let mut optimizer = Optimizer::new(config, groups, &model, &run.device);
    let (step, epoch_loss) = match resumed {
        Some(checkpoint) => {
            let progress = checkpoints.restore(checkpoint, &mut optimizer)?;
            run.status.resuming(checkpoint);
            run.events().resumed_at(progress.0 as u64);
            run.progress.message(&format!(
                "resuming from {} behind step {}",
                checkpoint.display(),
                progress.0
            ));
            progress
        }
        None => Default::default(),
    };
    Ok(TrainState { model, optimizer, step, epoch_loss })
}

/// Metrics of the trained model beside those of its untrained weights and of shuffled captions:
/// what chance reaches on this data.
fn baselines(
    task: &ContrastiveTask,
    trained: &Clip,
    untrained: &Clip,
    data: &EvalBatches,
    run: &Run,
) -> Result<Vec<(&'static str, Metrics)>, ClipError> {
    let mut rows = Vec::new();
    for (name, model, data) in [
        ("trained", trained, data),
        ("untrained weights", untrained, data),
        ("shuffled captions", trained, &shuffled(data)),
    ] {
        if let Some(metrics) = evaluate(task, model, data, run)? {
            rows.push((name, metrics));
        }
    }
    Ok(rows)
}
