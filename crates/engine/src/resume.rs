//! Where a training begins: with its first step, or behind a checkpoint of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_spec::common::TrainCommon;
use hearth_weights::WeightsError;

use crate::{
    average::Average,
    checkpoint::{Checkpoints, Restored, unaveraged},
    error::EngineError,
    fit::TrainState,
    optimizer::{Optimizer, OptimizerConfig},
    precision::Precision,
    run::Run,
    task::Task,
};

/// What a training begins with, besides its model.
pub struct Beginning<'a, M> {
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// What the passes compute in.
    pub precision: Precision,
    /// Decay of a running mean of the weights.
    pub average: Option<f64>,
    /// Where its states are kept.
    pub checkpoints: &'a Checkpoints<'a, M>,
    /// The checkpoint that it goes on from.
    pub resumed: Option<&'a Path>,
}

/// The checkpoint that a run continues: the one that the spec names, else the newest of its folder, which
/// `link` points at.
pub fn resumed_from(
    spec: &TrainCommon,
    link: &str,
    run: &Run,
) -> Result<Option<PathBuf>, WeightsError> {
    let Some(path) = &spec.resume_training_checkpoint_path else {
        return Ok(crate::checkpoint::latest(&run.results, link));
    };
    let path = behind_link(Path::new(path));
    // Its state folder is on this machine or nowhere: a hub is not asked.
    if !path.exists() && !path.with_extension("safetensors").exists() {
        return Err(WeightsError::Missing { path, beside: None });
    }
    Ok(Some(path))
}

/// The checkpoint that a link points at: its state lies beside it, not beside the link.
fn behind_link(path: &Path) -> PathBuf {
    fs::read_link(path)
        .map_or_else(|_| path.to_owned(), |target| path.with_file_name("").join(target))
}

/// The first state of `model`, or that of the checkpoint that is continued.
pub fn start<T: Task>(
    task: &T,
    mut model: T::Model,
    beginning: &Beginning<'_, T::Model>,
    run: &Run,
) -> Result<TrainState<T::Model>, EngineError> {
    let Beginning { optimizer, precision, average, checkpoints, resumed } = *beginning;
    let average = average.map(|decay| Average::of(&model, decay));
    if let (Some(checkpoint), Some(_)) = (resumed, &average) {
        model = unaveraged(model, checkpoint)?;
    }
    let groups = task.parameter_groups(&model);
    let mut optimizer = Optimizer::new(optimizer, groups, &model, &run.device);
    let (mut step, mut epoch_loss, mut scaler, mut unreadable) = Default::default();
    if let Some(checkpoint) = resumed {
        Restored { step, epoch_loss, scaler, unreadable } =
            checkpoints.restore(checkpoint, &mut optimizer)?;
        run.status.resuming(checkpoint);
        run.events().resumed_at(step as u64);
        run.progress.message(&format!("resuming from {} behind step {step}", checkpoint.display()));
    }
    let scaler = precision.scaler(scaler);
    Ok(TrainState { model, optimizer, step, epoch_loss, scaler, average, unreadable })
}
