//! `clip evaluate`: retrieval metrics of a checkpoint on `dataset.val`.

use burn::module::Module;
use hearth_data::random::Key;
use hearth_engine::{Metrics, Run, Summary, atomic_file, evaluate as evaluate_all};
use hearth_spec::Document;
use serde_json::{Map, Value};

use crate::{
    error::ClipError,
    experiment,
    setup::Setup,
    source::validation_data,
    spec::Action,
    summary,
    task::{ContrastiveTask, Rates},
};

/// Evaluates a checkpoint.
pub fn evaluate(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = experiment::read(document, Action::Evaluate, run)?;
    let checkpoint = spec.weights(Action::Evaluate);
    let setup = Setup::new(document, &spec, checkpoint, run)?;
    if let Some(path) = checkpoint {
        run.status.loading(path);
    }
    let data = validation_data(&spec, &setup, run)?.expect("`experiment::read` asks for data");
    let (model, reports) = setup.model(&Key::new(0), &run.device)?;
    for report in &reports {
        run.notice(&report.to_string());
    }
    experiment::write(&spec, run)?;

    let task = ContrastiveTask {
        contrast: setup.recipe.contrast,
        image_size: setup.recipe.picture.size as usize,
        context_length: setup.recipe.text.context_length,
        recompute: false,
        logit_scale_ceiling: f32::INFINITY,
        rates: Rates { vision: 0.0, text: 0.0, weight_decay: 0.0 },
        extra: Default::default(),
        device: run.device.clone(),
    };
    let Some(metrics) = evaluate_all(&task, &model.valid(), &data, run)? else {
        return Err(summary::interrupted(run));
    };
    let named: Metrics =
        metrics.iter().map(|(name, value)| (format!("test/{name}"), *value)).collect();
    run.status.test_metrics(&named);
    write_results(&metrics, data.readable(), run)?;
    Ok(summary::table(&metrics).into())
}

/// `results.json` with TAO deploy's keys.
fn write_results(metrics: &Metrics, pairs: usize, run: &Run) -> Result<(), ClipError> {
    let mut results = Map::new();
    results.insert("num_images".to_owned(), pairs.into());
    results.insert("num_texts".to_owned(), pairs.into());
    for (name, value) in metrics {
        results.insert(name.clone(), (*value).into());
    }
    let json = serde_json::to_string_pretty(&Value::Object(results)).expect("numbers and names");
    atomic_file::write(&run.results.join("results.json"), format!("{json}\n").as_bytes())?;
    Ok(())
}
