//! `mae train`: from a spec to checkpoints, in both stages.

use std::path::{Path, PathBuf};

use burn::module::Module;
use hearth_data::random::Key;
use hearth_engine::{
    Beginning, Checkpoints, EvalBatches, Metrics, Plan, Replicas, Run, Session, Summary, Task,
    TrainBatches, check_run, evaluate, experiment, fit, resumed_from, start,
};
use hearth_spec::Document;
use hearth_weights::{KeyMap, save, save_pth};

use crate::{
    begin::Origin,
    dataset::Pictures,
    error::MaeError,
    plan::{best, fingerprint, optimizer, plan},
    recipe::Gives,
    setup::Setup,
    source::{training_data, validation_data},
    spec::{Action, MaeSpec},
    summary,
    task::Batch,
};

/// Trains an autoencoder or a classifier.
pub fn train(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::Train, run)?;
    // As TAO calls it.
    let link = format!("{}_latest", spec.model.arch);
    let resumed = resumed_from(&spec.train.common, &link, run)?;
    let mut setup = Setup::of_training(document, &spec, resumed.as_deref(), run)?;
    let seed = run.seed(spec.train.common.seed);
    let replicas = spec.replicas(document, resumed.as_deref(), run)?;
    let data = training_data(document, &spec, &mut setup.recipe, seed, run)?;
    let data = data.for_replicas(replicas.count());
    let validation = validation_data(&spec, &setup.recipe, spec.dataset.batch_size, run)?;
    let validation = validation.map(|data| data.for_replicas(replicas.count()));

    let key = Key::new(seed);
    let origin =
        Origin { document, spec: &spec, setup: &setup, precision: spec.precision(run), run };
    let plan = plan(&spec, &data, key.clone());
    let training = Training { origin, seed, link, resumed, plan, replicas, data, validation };
    match &setup.recipe.gives {
        Gives::Reconstructions(numbers) => training.fit(origin.pretraining(numbers, &key)?),
        Gives::Classes(classes) => training.fit(origin.finetuning(classes, &key)?),
    }
}

/// A training of either stage.
struct Training<'a> {
    origin: Origin<'a>,
    seed: u64,
    /// Name of the link to the newest checkpoint.
    link: String,
    resumed: Option<PathBuf>,
    plan: Plan,
    replicas: Replicas,
    data: TrainBatches<Pictures>,
    validation: Option<EvalBatches<Pictures>>,
}

impl Training<'_> {
    fn fit<T: Task<Batch = Batch>>(
        &self,
        (task, model, layout): (T, T::Model, KeyMap),
    ) -> Result<Summary, MaeError> {
        let Origin { document, spec, setup, precision, run, .. } = self.origin;
        let fingerprint = fingerprint(spec, &setup.recipe, &self.data, self.seed);
        let resumed = self.resumed.as_deref();
        resumed.map(|checkpoint| check_run(checkpoint, &fingerprint)).transpose()?;
        let metadata = setup.recipe.metadata(spec.portable());
        let best = best(document, spec, run)?;
        let write = |model: &T::Model, path: &Path| save(&model.valid(), path, &layout, &metadata);
        let write_pth =
            |model: &T::Model, path: &Path| save_pth(&model.valid(), path, &layout, &metadata);
        let checkpoints =
            Checkpoints::new(&run.results, &self.link, fingerprint, Box::new(write), best)
                .in_format(spec.hearth.train.common.checkpoint_format, Box::new(write_pth))
                .of_replicas(self.replicas.count());
        let beginning = Beginning {
            optimizer: optimizer(),
            precision,
            average: spec.hearth.train.ema_decay,
            checkpoints: &checkpoints,
            resumed,
        };
        let state = start(&task, model, &beginning, run)?;
        self.data.restore(&state.unreadable);
        experiment::write(spec, run)?;
        run.notice(&summary::of_plan(
            &setup.recipe,
            &state.model,
            &self.data,
            (&self.plan, &self.replicas),
        ));
        let session = Session {
            task: &task,
            plan: &self.plan,
            train: &self.data,
            validation: self.validation.as_ref().map(|data| data as _),
            checkpoints: &checkpoints,
            replicas: &self.replicas,
            run,
        };
        let state = fit(&session, state)?;
        let metrics = self.final_metrics(&task, &state.published().valid())?;
        let checkpoint = checkpoints.newest().unwrap_or_default();
        Ok(summary::of_training(document, &setup.recipe, &checkpoint, metrics))
    }

    /// Metrics of the trained model; none without validation.
    fn final_metrics<T: Task<Batch = Batch>>(
        &self,
        task: &T,
        model: &T::Model,
    ) -> Result<Option<Metrics>, MaeError> {
        let Some(data) = &self.validation else { return Ok(None) };
        Ok(evaluate(task, model, data, &self.replicas, self.origin.run)?)
    }
}
