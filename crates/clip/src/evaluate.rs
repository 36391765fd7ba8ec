//! `clip evaluate`: retrieval metrics of a model on `dataset.val`, and zero-shot classification.

use std::ops::ControlFlow;

use hearth_engine::{EngineError, Metrics, Replicas, Run, Summary, experiment, gather, report};
use hearth_spec::Document;
use serde_json::{Map, Value};

use crate::{
    dataset::EvalBatches,
    embedder::Embedder,
    error::ClipError,
    retrieval::{self, Pairs},
    setup::Setup,
    source::validation_data,
    spec::{Action, ClipSpec},
    summary,
    task::Batch,
    zero_shot,
};

/// Evaluates a checkpoint, exported graphs or engines.
pub fn evaluate(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::Evaluate, run)?;
    let setup = Setup::of_action(document, &spec, Action::Evaluate, run)?;
    let model = spec.model_path(Action::Evaluate);
    if let Some(path) = model {
        run.status.loading(path);
    }
    let pairs = validation_data(&spec, &setup, run)?;
    let by_class = zero_shot::data(&spec.hearth.evaluate.zero_shot, run)?;
    let (embedder, reports) = setup.embedder(run)?;
    for report in &reports {
        run.notice(&report.to_string());
    }
    experiment::write(&spec, run)?;

    let mut results = Results::default();
    if let Some(pairs) = pairs {
        let replicas = embedder.replicas(spec.dataset.val.batch_size, run)?;
        let pairs = pairs.for_replicas(replicas.count());
        let metrics = retrieval(&setup, &embedder, &pairs, &replicas, run)?;
        let counts = [("num_images", pairs.readable()), ("num_texts", pairs.readable())];
        results.add(&counts, summary::table(&metrics), metrics);
    }
    if let Some(data) = by_class {
        let outcome = zero_shot::classify(&spec, data, &embedder, &setup, run)?;
        outcome.write(run)?;
        let counts = [
            ("zero_shot_images", outcome.num_pictures()),
            ("zero_shot_classes", outcome.num_classes()),
        ];
        results.add(&counts, outcome.table(), outcome.metrics());
    }
    results.report(run)
}

fn retrieval(
    setup: &Setup,
    embedder: &Embedder,
    pairs: &EvalBatches,
    replicas: &Replicas,
    run: &Run,
) -> Result<Metrics, ClipError> {
    let (size, length) = (setup.recipe.picture.size as usize, setup.recipe.text.context_length);
    let embed = |batch: Batch| embedder.pairs((&batch.pictures, size), (&batch.ids, length));
    match gather(pairs, replicas, run, embed, Pairs::then)? {
        ControlFlow::Break(()) => Err(EngineError::interrupted(run).into()),
        ControlFlow::Continue(found) => {
            let metrics = |pairs| retrieval::metrics(&pairs, &run.device);
            Ok(found.map_or_else(Vec::new, metrics))
        }
    }
}

/// What the parts of an evaluation found.
#[derive(Default)]
struct Results {
    metrics: Metrics,
    /// Counts and metrics under TAO deploy's keys.
    json: Map<String, Value>,
    tables: Vec<String>,
}

impl Results {
    fn add(&mut self, counts: &[(&str, usize)], table: String, metrics: Metrics) {
        for (name, count) in counts {
            self.json.insert((*name).to_owned(), (*count).into());
        }
        for (name, value) in &metrics {
            self.json.insert(name.clone(), (*value).into());
        }
        self.metrics.extend(metrics);
        self.tables.push(table);
    }

    /// Status line, curves, `results.json`, and the tables for the terminal.
    fn report(self, run: &Run) -> Result<Summary, ClipError> {
        let named: Metrics =
            self.metrics.into_iter().map(|(name, value)| (format!("test/{name}"), value)).collect();
        report(run, &named, self.json)?;
        Ok(self.tables.join("\n\n").into())
    }
}
