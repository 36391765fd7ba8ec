//! What a training writes: models, adapters, and what they say about themselves.

use std::collections::BTreeMap;

use hearth_engine::{Best, Checkpoints, Fingerprint, OptimizerConfig, Rule, Run, SaveBeside};
use hearth_weights::{KeyMap, save, save_pth};

use crate::{
    adapters,
    model::Clip,
    peft::{Peft, merged},
    spec::{ClipSpec, OptimSpec, OptimizerType},
};

/// Name of the link to the newest checkpoint, as TAO calls it.
pub(crate) const LATEST: &str = "clip_latest";

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
        Checkpoints::new(
            &run.results,
            LATEST,
            fingerprint.clone(),
            Box::new(|model, path| save(&merged(model), path, layout, metadata)),
            best.clone(),
        )
        .with_beside(save_beside(peft, spec))
        .in_format(
            spec.hearth.train.common.checkpoint_format,
            Box::new(|model, path| save_pth(&merged(model), path, layout, metadata)),
        )
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

/// The update rule.
pub(crate) fn optimizer(optim: &OptimSpec) -> OptimizerConfig {
    OptimizerConfig {
        rule: match optim.optimizer_type {
            OptimizerType::AdamW => Rule::AdamW,
            OptimizerType::Lamb => Rule::Lamb,
        },
        betas: [optim.betas[0], optim.betas[1]],
        eps: optim.eps,
    }
}
