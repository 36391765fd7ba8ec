//! A training as the loop sees it: the model with what is frozen, and its task.

use hearth_backbones::Mode;
use hearth_data::random::Key;
use hearth_engine::{Precision, Run, frozen};
use hearth_spec::Document;
use hearth_weights::{KeyMap, LoadReport};

use crate::{
    autoencoder::Autoencoder,
    classifier::Classifier,
    error::MaeError,
    freezing::Freezing,
    layouts,
    plan::rates,
    recipe::{Classes, Reconstructions},
    setup::Setup,
    spec::MaeSpec,
    task::{FinetuneTask, PretrainTask},
};

/// What a training is made of.
#[derive(Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) document: &'a Document,
    pub(crate) spec: &'a MaeSpec,
    pub(crate) setup: &'a Setup,
    pub(crate) precision: Precision,
    pub(crate) run: &'a Run,
}

impl Origin<'_> {
    /// Pre-training: its task, and the layout of its files.
    pub(crate) fn pretraining(
        &self,
        numbers: &Reconstructions,
        key: &Key,
    ) -> Result<(PretrainTask, Autoencoder, KeyMap), MaeError> {
        let (arch, run) = (self.setup.arch(), self.run);
        let device = run.device.clone().autodiff();
        let (model, report) = self.setup.autoencoder(numbers, key, &device)?;
        told(report.as_ref(), run);
        let layout = layouts::autoencoder(arch.kind);
        let freezing = Freezing::of(self.document, self.spec.frozen(), &model, &layout)?;
        let task = PretrainTask {
            arch,
            image_size: self.setup.recipe.size(),
            mask_ratio: numbers.mask_ratio,
            mask_mode: numbers.mask_mode,
            normalize: numbers.normalize,
            mode: self.mode(),
            rates: rates(self.document, self.spec),
            device: run.device.clone(),
        };
        Ok((task, frozen(model, |name| freezing.holds(name)), layout))
    }

    /// Fine-tuning: its task, and the layout of its files.
    pub(crate) fn finetuning(
        &self,
        classes: &Classes,
        key: &Key,
    ) -> Result<(FinetuneTask, Classifier, KeyMap), MaeError> {
        let (arch, run) = (self.setup.arch(), self.run);
        let device = run.device.clone().autodiff();
        let (model, report) = match self.setup.is_trained {
            true => self.setup.classifier(classes, &device)?,
            false => {
                let graph = self.setup.graph(self.document, self.spec);
                self.setup.new_classifier(classes, graph, key, &device)?
            }
        };
        told(report.as_ref(), run);
        let layout = layouts::classifier(arch.kind, model.graph());
        let freezing = Freezing::of(self.document, self.spec.frozen(), &model, &layout)?;
        let task = FinetuneTask {
            arch,
            image_size: self.setup.recipe.size(),
            num_classes: classes.count,
            drop_path: self.spec.model.drop_path_rate,
            mode: self.mode(),
            rates: rates(self.document, self.spec),
            device: run.device.clone(),
        };
        Ok((task, frozen(model, |name| freezing.holds(name)), layout))
    }

    fn mode(&self) -> Mode {
        let recompute = self.spec.hearth.train.grad_checkpointing;
        Mode { dtype: self.precision.dtype(), recompute }
    }
}

/// What was loaded, for the user.
pub(crate) fn told(report: Option<&LoadReport>, run: &Run) {
    if let Some(report) = report {
        run.notice(&report.to_string());
    }
}
