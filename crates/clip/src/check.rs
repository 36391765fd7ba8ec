//! `clip check`: everything short of a step - spec, files, weights, sizes, steps, memory.

use burn::{module::Module, tensor::Device};
use hearth_engine::{Batches, Run, Summary, grouped};
use hearth_spec::Document;

use crate::{
    dataset::{TrainBatches, check_pictures},
    error::ClipError,
    memory,
    peft::Peft,
    setup::Setup,
    source::{training_data, validation_data},
    spec::{Action, ClipSpec},
};

/// Checks a training spec without writing anything.
pub fn check(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::Train, run)?;
    let setup = Setup::new(document, &spec, spec.weights(Action::Train), run)?;
    let peft = Peft::of(document, &spec, &setup)?;
    let replicas = spec.replicas(document, None, run)?;
    let data = training_data(document, &spec, &setup, &peft, run)?.for_replicas(replicas.count());
    check_pictures(data.dataset(), run)?;
    let validation = validation_data(&spec, &setup, run)?;
    if let Some(validation) = &validation {
        check_pictures(validation.dataset(), run)?;
    }
    let plan = crate::plan::plan(document, &spec, &data, hearth_data::random::Key::new(0))?;
    crate::plan::best(document, &spec, run)?;

    let config = setup.config();
    let model = config.init(&Device::flex());
    if setup.weights.is_some() {
        // Compares every name and shape with the file, and reads its values once.
        let (_, reports) = setup.model(&hearth_data::random::Key::new(0), &run.device)?;
        reports.iter().for_each(|report| run.notice(&report.to_string()));
    }
    let estimate = memory::of_training(&spec, &setup, &peft, &data);
    let megabytes = |bytes: f64| grouped((bytes / 1e6).round() as usize);

    let mut lines = vec![
        ("model", setup.recipe.model_type.clone()),
        ("parameters", grouped(model.num_params())),
        ("  vision tower", grouped(model.visual.num_params())),
        ("  text tower", grouped(model.text.num_params())),
        ("training pairs", grouped(data.len())),
        ("validation pairs", validation.map_or("none".to_owned(), |data| grouped(data.len()))),
        ("pairs per step", parts(&data)),
        (
            "steps",
            format!("{} ({} epochs of {})", grouped(plan.total_steps()), plan.epochs, data.steps()),
        ),
        ("replicas", replicas.to_string()),
        ("memory", format!("about {} MB", megabytes(estimate.total()))),
        (
            "  parameters",
            format!("{} MB with gradients and moments", megabytes(estimate.parameters)),
        ),
        ("  activations", format!("{} MB", megabytes(estimate.activations))),
        ("files", files(&spec)),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    let text: Vec<String> = lines.iter().map(|(name, value)| format!("{name:18}{value}")).collect();
    Ok(text.join("\n").into())
}

fn parts(data: &TrainBatches) -> String {
    match data.global_batch().div_ceil(data.micro_batch()) {
        1 => grouped(data.global_batch()),
        parts => format!("{} in {parts} micro-batches", grouped(data.global_batch())),
    }
}

fn files(spec: &ClipSpec) -> String {
    spec.results_dir(Action::Train).map_or_else(String::new, |folder| folder.display().to_string())
}
