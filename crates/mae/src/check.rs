//! `mae check`: everything short of a step - spec, files, weights, sizes, steps.

use burn::module::Module;
use hearth_data::{decode::read_picture_as, random::Key};
use hearth_engine::{Batches, Run, Summary, TrainBatches, check_pictures, grouped};
use hearth_spec::Document;

use crate::{
    begin::Origin,
    dataset::Pictures,
    error::MaeError,
    plan::{best, plan},
    recipe::Gives,
    setup::Setup,
    source::{training_data, validation_data},
    spec::{Action, MaeSpec},
};

/// Checks a training spec without writing anything.
pub fn check(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::Train, run)?;
    let mut setup = Setup::of_training(document, &spec, None, run)?;
    let replicas = spec.replicas(document, None, run)?;
    let key = Key::new(0);
    let data = training_data(document, &spec, &mut setup.recipe, 0, run)?;
    let data = data.for_replicas(replicas.count());
    read_all(data.dataset(), run)?;
    let validation = validation_data(&spec, &setup.recipe, spec.dataset.batch_size, run)?;
    validation.as_ref().map(|data| read_all(data.dataset(), run)).transpose()?;
    let plan = plan(&spec, &data, key.clone());
    best(document, &spec, run)?;

    let origin =
        Origin { document, spec: &spec, setup: &setup, precision: spec.precision(run), run };
    // Compares every name and shape with the weights, and reads them once.
    let parameters = match &setup.recipe.gives {
        Gives::Reconstructions(numbers) => origin.pretraining(numbers, &key)?.1.num_params(),
        Gives::Classes(classes) => origin.finetuning(classes, &key)?.1.num_params(),
    };
    let classes = match &setup.recipe.gives {
        Gives::Classes(classes) => grouped(classes.count),
        Gives::Reconstructions(_) => String::new(),
    };
    let mut lines = vec![
        ("model", setup.recipe.arch.clone()),
        ("stage", setup.recipe.stage().to_string()),
        ("parameters", grouped(parameters)),
        ("classes", classes),
        ("training pictures", grouped(data.len())),
        ("validation pictures", validation.map_or("none".to_owned(), |data| grouped(data.len()))),
        ("pictures per step", parts(&data)),
        (
            "steps",
            format!("{} ({} epochs of {})", grouped(plan.total_steps()), plan.epochs, data.steps()),
        ),
        ("replicas", replicas.to_string()),
        ("files", files(&spec)),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    let text: Vec<String> = lines.iter().map(|(name, value)| format!("{name:21}{value}")).collect();
    Ok(text.join("\n").into())
}

fn read_all(dataset: &Pictures, run: &Run) -> Result<(), MaeError> {
    let read = |at: usize| {
        read_picture_as(&dataset.files[at], &dataset.reading).map(|decoded| decoded.orientation)
    };
    Ok(check_pictures(dataset, read, |_| false, run)?)
}

fn parts(data: &TrainBatches<Pictures>) -> String {
    match data.global_batch().div_ceil(data.micro_batch()) {
        1 => grouped(data.global_batch()),
        parts => format!("{} in {parts} micro-batches", grouped(data.global_batch())),
    }
}

fn files(spec: &MaeSpec) -> String {
    spec.results_dir(Action::Train).map_or_else(String::new, |folder| folder.display().to_string())
}
