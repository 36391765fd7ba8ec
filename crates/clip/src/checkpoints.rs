//! What a training writes and what it goes on from: models, adapters, optimizer.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use hearth_engine::{
    Best, Checkpoints, Fingerprint, Optimizer, OptimizerConfig, Restored, Rule, Run, SaveBeside,
    Task, TrainState,
};
use hearth_weights::{KeyMap, WeightsError, save, save_pth};

use crate::{
    adapters,
    error::ClipError,
    model::Clip,
    peft::{Peft, merged},
    spec::{CheckpointFormat, ClipSpec, OptimizerType},
    task::ContrastiveTask,
};

/// Name of the link to the newest checkpoint, as TAO calls it.
const LATEST: &str = "clip_latest";

/// What checkpoints say besides the weights, and which of them stay.
pub(crate) struct Kept {
    pub(crate) layout: KeyMap,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) best: Option<Best>,
}

impl Kept {
    /// Writes the model as any program reads it: in the layout of its family, adapters merged.
    pub(crate) fn checkpoints(
        &self,
        spec: &ClipSpec,
        peft: &Peft,
        run: &Run,
    ) -> Checkpoints<'_, Clip> {
        let Kept { layout, metadata, fingerprint, best } = self;
        let checkpoints = Checkpoints::new(
            &run.results,
            LATEST,
            fingerprint.clone(),
            Box::new(|model, path| save(&merged(model), path, layout, metadata)),
            best.clone(),
        )
        .with_beside(save_beside(peft, spec));
        match spec.hearth.train.checkpoint_format {
            CheckpointFormat::Safetensors => {
                // Of a run that began with twins: it would go on naming an old model.
                let _ = fs::remove_file(run.results.join(format!("{LATEST}.pth")));
                checkpoints
            }
            CheckpointFormat::Pth => {
                let twin =
                    |model: &Clip, path: &Path| save_pth(&merged(model), path, layout, metadata);
                checkpoints.with_twin("pth", Box::new(twin))
            }
        }
    }
}

/// Writes adapters as they are, for resuming and, if asked, for other programs.
fn save_beside(peft: &Peft, spec: &ClipSpec) -> SaveBeside<'static, Clip> {
    let (peft, export) = (peft.clone(), spec.hearth.train.save_adapters);
    Box::new(move |model, path| {
        if peft.adapters().next().is_some() {
            adapters::save_state(model, path)?;
        }
        if export {
            adapters::export(&peft, model, path)?;
        }
        Ok(())
    })
}

/// The checkpoint that this run continues: named by the spec, else the newest of its folder.
pub(crate) fn resumed_from(spec: &ClipSpec, run: &Run) -> Result<Option<PathBuf>, ClipError> {
    let Some(path) = &spec.train.common.resume_training_checkpoint_path else {
        return Ok(Checkpoints::<Clip>::latest(&run.results, LATEST));
    };
    let path = behind_link(Path::new(path));
    // Its state folder is on this machine or nowhere: a hub is not asked.
    if !path.exists() && !path.with_extension("safetensors").exists() {
        return Err(WeightsError::Missing { path, beside: None }.into());
    }
    Ok(Some(path))
}

/// The checkpoint that `clip_latest` points at: its state lies beside it, not beside the link.
fn behind_link(path: &Path) -> PathBuf {
    fs::read_link(path)
        .map_or_else(|_| path.to_owned(), |target| path.with_file_name("").join(target))
}

/// The first state, or that of the checkpoint that is continued.
pub(crate) fn start(
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
    let (mut step, mut epoch_loss, mut scaler, mut unreadable) = Default::default();
    if let Some(checkpoint) = resumed {
        Restored { step, epoch_loss, scaler, unreadable } =
            checkpoints.restore(checkpoint, &mut optimizer)?;
        run.status.resuming(checkpoint);
        run.events().resumed_at(step as u64);
        run.progress.message(&format!("resuming from {} behind step {step}", checkpoint.display()));
    }
    let scaler = task.precision.scaler(scaler);
    Ok(TrainState { model, optimizer, step, epoch_loss, scaler, unreadable })
}
