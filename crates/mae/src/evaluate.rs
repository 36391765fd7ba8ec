//! `mae evaluate`: accuracy of a classifier, or the loss of an autoencoder, on
//! `dataset.val_data_sources`.

use std::ops::ControlFlow;

use hearth_backbones::Mode;
use hearth_data::random::Key;
use hearth_engine::{
    EngineError, EvalBatches, Metrics, Replicas, Run, Summary, Task, experiment, gather, grouped,
    report,
};
use hearth_spec::Document;

use crate::{
    begin::told,
    dataset::Pictures,
    error::MaeError,
    groups::Rates,
    recipe::{Classes, Gives, Reconstructions},
    setup::Setup,
    source::validation_data,
    spec::{Action, MaeSpec},
    summary::line,
    task::{Batch, Counted, FinetuneTask, PretrainTask},
};

/// Evaluates a checkpoint.
pub fn evaluate(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::Evaluate, run)?;
    let path = std::path::Path::new(&spec.evaluate.checkpoint);
    let setup = Setup::of_checkpoint(document, &spec, path, run)?;
    run.status.loading(path);
    let batch = usize::try_from(spec.evaluate.batch_size).unwrap_or(spec.dataset.batch_size);
    let data = validation_data(&spec, &setup.recipe, batch, run)?;
    let data = data.expect("the spec's check asked for the key");
    let replicas = Replicas::of_machine(batch, &run.device)?;
    let data = data.for_replicas(replicas.count());
    let job = Job { setup: &setup, data, replicas, run };
    match &setup.recipe.gives {
        Gives::Reconstructions(numbers) => {
            let (model, report) = setup.autoencoder(numbers, &Key::new(0), &run.device)?;
            told(report.as_ref(), run);
            experiment::write(&spec, run)?;
            job.autoencoder(&pretraining(&setup, numbers, run), &model)
        }
        Gives::Classes(classes) => {
            let (model, report) = setup.classifier(classes, &run.device)?;
            told(report.as_ref(), run);
            experiment::write(&spec, run)?;
            job.classifier(&finetuning(&setup, classes, run), &model, classes)
        }
    }
}

/// The task of an autoencoder that is not trained.
pub(crate) fn pretraining(setup: &Setup, numbers: &Reconstructions, run: &Run) -> PretrainTask {
    PretrainTask {
        arch: setup.arch(),
        image_size: setup.recipe.size(),
        mask_ratio: numbers.mask_ratio,
        mask_mode: numbers.mask_mode,
        normalize: numbers.normalize,
        mode: Mode::default(),
        rates: Rates::none(),
        device: run.device.clone(),
    }
}

/// The task of a classifier that is not trained.
pub(crate) fn finetuning(setup: &Setup, classes: &Classes, run: &Run) -> FinetuneTask {
    FinetuneTask {
        arch: setup.arch(),
        image_size: setup.recipe.size(),
        num_classes: classes.count,
        drop_path: 0.0,
        mode: Mode::default(),
        rates: Rates::none(),
        device: run.device.clone(),
    }
}

struct Job<'a> {
    setup: &'a Setup,
    data: EvalBatches<Pictures>,
    replicas: Replicas,
    run: &'a Run,
}

impl Job<'_> {
    fn autoencoder(
        &self,
        task: &PretrainTask,
        model: &crate::autoencoder::Autoencoder,
    ) -> Result<Summary, MaeError> {
        let metrics = finite(task.metrics(self.stats(task, model)?))?;
        self.reported(&metrics, format!("{} pictures: {}", self.counted(), line(&metrics)))
    }

    fn classifier(
        &self,
        task: &FinetuneTask,
        model: &crate::classifier::Classifier,
        classes: &Classes,
    ) -> Result<Summary, MaeError> {
        let counted = self.stats(task, model)?;
        let metrics = finite(task.metrics(counted.clone()))?;
        self.write_tables(&counted, classes)?;
        let text = format!(
            "{} pictures, {} classes: {}",
            self.counted(),
            grouped(classes.count),
            line(&metrics)
        );
        self.reported(&metrics, text)
    }

    fn counted(&self) -> String {
        grouped(self.data.readable())
    }

    fn stats<T: Task<Batch = Batch>>(
        &self,
        task: &T,
        model: &T::Model,
    ) -> Result<T::Stats, MaeError> {
        let of_part = |batch: Batch| Ok::<_, EngineError>(task.evaluate(model, &batch));
        let merge = |a, b| task.merge(a, b);
        match gather(&self.data, &self.replicas, self.run, of_part, merge)? {
            ControlFlow::Continue(Some(stats)) => Ok(stats),
            ControlFlow::Continue(None) => {
                Err(self.data.dataset().unreadable.nothing_left().into())
            }
            ControlFlow::Break(()) => Err(EngineError::interrupted(self.run).into()),
        }
    }

    /// Table of the classes and confusion matrix.
    fn write_tables(&self, counted: &Counted, classes: &Classes) -> Result<(), MaeError> {
        let file = |name: &str| self.run.results.join(name);
        let names = names(classes);
        let (tally, confusion) = (counted.tally(), counted.tally().confusion());
        let classes: Vec<(String, String)> = names.iter().cloned().zip(names.clone()).collect();
        tally.write_per_class(&file("per_class.csv"), &classes)?;
        confusion.write_csv(&file("confusion.csv"), &names)?;
        Ok(confusion.write_svg(&file("confusion.svg"), &names)?)
    }

    fn reported(&self, metrics: &Metrics, text: String) -> Result<Summary, MaeError> {
        let results = metrics.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
        report(self.run, metrics, results)?;
        Ok(format!("{}: {text}", self.setup.recipe.arch).into())
    }
}

/// A comparison with what is not a number counts as anything.
fn finite(metrics: Metrics) -> Result<Metrics, MaeError> {
    match metrics.iter().all(|(_, value)| value.is_finite()) {
        true => Ok(metrics),
        false => Err(MaeError::NotFinite { sample: "`dataset.val_data_sources`".to_owned() }),
    }
}

/// Names of all answers; those that no folder stands for have their number.
pub(crate) fn names(classes: &Classes) -> Vec<String> {
    let known = |class: usize| classes.names.get(class).cloned();
    (0..classes.count).map(|class| known(class).unwrap_or_else(|| class.to_string())).collect()
}
