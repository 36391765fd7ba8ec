//! What an evaluation leaves: a line of the status, points of the curves, and `results.json`.

use serde_json::{Map, Value};

use crate::{
    atomic_file::{self, FileError},
    run::Run,
    task::Metrics,
};

/// Reports `metrics` under the names that logs have for them, and writes `results`.
pub fn report(run: &Run, metrics: &Metrics, results: Map<String, Value>) -> Result<(), FileError> {
    run.status.test_metrics(metrics);
    let points: Vec<(&str, f64)> =
        metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    run.events().scalars(0, &points);
    let json = serde_json::to_string_pretty(&Value::Object(results)).expect("plain values");
    atomic_file::write(&run.results.join("results.json"), format!("{json}\n").as_bytes())
}
