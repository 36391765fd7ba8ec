//! How fast ONNX Runtime computes what an export would write.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::Instant,
};

use crate::{
    export::{Options, export},
    onnx,
    onnx_runtime::OnnxRuntime,
    runner::EngineRunner,
    verified::Exported,
};

/// Runs in front of those that count: threads start, memory is taken.
const WARM_UP: usize = 2;

/// A graph that goes with its values.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(onnx::external_file(&self.0));
    }
}

/// Seconds of each of `steps` passes over `batch` samples, in f32; those of fewer steps where
/// `is_stopped` says so. The graph lies in the system's folder for temporary files until it is loaded.
pub fn time_graph<E: Exported>(
    runtime: &OnnxRuntime,
    exported: &E,
    (batch, steps): (usize, usize),
    is_stopped: &dyn Fn() -> bool,
) -> Result<Vec<f64>, E::Error> {
    let inputs = exported.inputs(0, batch)?;
    let file = Passing(temporary());
    write(exported, &file.0)?;
    let mut session = runtime.open(&file.0)?;
    drop(file);
    let mut seconds = Vec::new();
    for _ in 0..WARM_UP + steps {
        if is_stopped() {
            break;
        }
        let start = Instant::now();
        session.run(&inputs)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds.split_off(WARM_UP.min(seconds.len())))
}

fn temporary() -> PathBuf {
    env::temp_dir().join(format!("hearth-speed-{}.onnx", process::id()))
}

fn write<E: Exported>(exported: &E, path: &Path) -> Result<(), E::Error> {
    let model = exported.model()?;
    let written = export(exported.network(), &model, &Options::default())?;
    drop(model);
    Ok(onnx::write(&written, path)?)
}
