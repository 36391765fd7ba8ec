//! The forward pass in ONNX Runtime, beside the native one: the same model, exported, on the same batch.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

use burn::tensor::Device;
use hearth_data::random::Key;
use hearth_deploy::{OnnxRuntime, Options, onnx};
use hearth_engine::{
    EngineError, Run,
    benchmark::{Peak, StageReport},
};

use crate::{
    embedder::Embedder,
    error::ClipError,
    export::{TowerGraph, Towers},
    exported::Runner,
    setup::Setup,
    task::Batch,
};

/// As many as the native passes have: threads start, memory is taken.
const WARM_UP: usize = 2;

/// A file that goes with its values.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(onnx::external_file(&self.0));
    }
}

/// Forward passes over the parts of one batch, put together, in f32; or why there are none. `flops` are
/// those of a pair.
pub(crate) fn forward(
    setup: &Setup,
    parts: &[Batch],
    (steps, flops, matmul_gflops): (usize, f64, f64),
    run: &Run,
) -> Result<Result<StageReport, String>, ClipError> {
    let runtime = match OnnxRuntime::find() {
        Ok(runtime) => runtime,
        Err(problem) => return Ok(Err(problem.to_string())),
    };
    let Some(network) = TowerGraph::new(&setup.config(), Towers::Both) else {
        let kind = &setup.recipe.model_type;
        return Ok(Err(format!(
            "`{kind}` takes pictures of any aspect ratio, a graph takes one size"
        )));
    };
    let peak = Peak::start();
    let file = Passing(env::temp_dir().join(format!("hearth-benchmark-{}.onnx", process::id())));
    write(setup, &network, &file.0)?;
    let session: Runner = Box::new(runtime.open(&file.0)?);
    drop(file);
    let embedder = Embedder::exported(setup, vec![session]);
    let batch = joined(parts);
    let (size, length) = (setup.recipe.picture.size as usize, setup.recipe.text.context_length);
    let mut seconds = Vec::new();
    run.progress.begin("ONNX Runtime", (WARM_UP + steps) as u64);
    for done in 1..=WARM_UP + steps {
        if let Some(signal) = run.stop.requested() {
            run.progress.end();
            return Err(EngineError::Interrupted { signal }.into());
        }
        let start = Instant::now();
        embedder.pairs((&batch.pictures, size), (&batch.ids, length))?;
        seconds.push(start.elapsed().as_secs_f64());
        run.progress.advance(done as u64, "");
    }
    run.progress.end();
    let items = batch.ids.len() / length;
    let seconds = seconds.split_off(WARM_UP);
    Ok(Ok(report(seconds, items, peak.growth(), flops * items as f64, matmul_gflops)))
}

/// Draws the model and exports it: no number of a weight changes the time.
fn write(setup: &Setup, network: &TowerGraph, path: &Path) -> Result<(), ClipError> {
    let (model, _) = setup.model(&Key::new(0), &Device::flex())?;
    let written = hearth_deploy::export(network, &model, &Options::default())?;
    drop(model);
    Ok(onnx::write(&written, path)?)
}

fn joined(parts: &[Batch]) -> Batch {
    let mut batch = Batch::default();
    for part in parts {
        batch.pictures.pixels.extend_from_slice(&part.pictures.pixels);
        batch.ids.extend_from_slice(&part.ids);
    }
    batch
}

fn report(
    mut seconds: Vec<f64>,
    items: usize,
    peak_bytes: Option<u64>,
    flops: f64,
    matmul_gflops: f64,
) -> StageReport {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    seconds.sort_by(f64::total_cmp);
    let (middle, count) = (seconds.len() / 2, seconds.len());
    let median = (seconds[middle] + seconds[(count - 1) / 2]) / 2.0;
    let gflops = flops / median / 1e9;
    StageReport {
        median_ms: rounded(median * 1e3),
        mean_ms: rounded(seconds.iter().sum::<f64>() / count as f64 * 1e3),
        min_ms: rounded(seconds[0] * 1e3),
        items_per_s: rounded(items as f64 / median),
        peak_bytes,
        gflops: Some(rounded(gflops)),
        share_of_matmul_rate: Some(rounded(gflops / matmul_gflops)),
    }
}

#[cfg(test)]
mod tests {

    use hearth_spec::Document;

    use super::*;
    use crate::pictures::Pictures;

    #[test]
    fn a_graph_is_measured_and_goes() {
        let tokenizer =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/tokenizer/tokenizer.json");
        let text = format!(
            "model: {{type: hearth-tiny}}\nhearth: {{model: {{tokenizer: {tokenizer}}}}}\n"
        );
        let document = Document::parse("spec.yaml", &text, &[], &|_| None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let run = Run::silent("benchmark", folder.path(), Device::flex()).unwrap();
        let setup = Setup::new(&document, &document.read().unwrap(), None, &run).unwrap();
        let (size, length) = (setup.recipe.picture.size as usize, setup.recipe.text.context_length);
        let part = |pairs: usize| Batch {
            pictures: Pictures {
                pixels: vec![0.1; pairs * 3 * size * size],
                ..Pictures::default()
            },
            ids: vec![1; pairs * length],
            names: Vec::new(),
        };
        let measured = forward(&setup, &[part(2), part(1)], (3, 1e6, 1.0), &run).unwrap();
        match measured {
            Ok(report) => {
                assert!(report.min_ms > 0.0 && report.min_ms <= report.median_ms);
                assert!((report.items_per_s * report.median_ms / 3000.0 - 1.0).abs() < 0.01);
            }
            Err(why) => {
                let required =
                    std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("ort"));
                assert!(!required && why.starts_with("ONNX Runtime is not found"), "{why}");
            }
        }
        let left = format!("hearth-benchmark-{}", process::id());
        let entries = fs::read_dir(env::temp_dir()).unwrap().flatten();
        let left = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&left));
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn a_report_is_of_the_step_in_the_middle() {
        let found = report(vec![0.004, 0.001, 0.002], 8, None, 4e6, 10.0);
        assert_eq!((found.median_ms, found.min_ms, found.mean_ms), (2.0, 1.0, 2.3333));
        assert_eq!((found.items_per_s, found.gflops), (4000.0, Some(2.0)));
        assert_eq!(found.share_of_matmul_rate, Some(0.2));
        assert_eq!(report(vec![0.001, 0.003], 1, None, 1.0, 1.0).median_ms, 2.0);
    }
}
