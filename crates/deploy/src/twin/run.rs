//! Running a twin: in ONNX Runtime, as it is written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Judgement, Run, Twin};
use crate::{
    DeployError, EngineRunner, Named, OnnxRuntime,
    half::HalfModel,
    onnx::{self, ModelProto},
};

/// A file that goes when it is no longer needed, with its values.
struct Passing(PathBuf);

impl Drop for Passing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(onnx::external_file(&self.0));
    }
}

/// Whether f16 serves `samples`, which are inputs of the model: everything that [`Twin::judge`] asks,
/// of each. The twin is written into `folder` for as long as it runs.
pub fn check(
    original: &ModelProto,
    half: &HalfModel,
    (runtime, folder): (&OnnxRuntime, &Path),
    samples: &[Vec<Named>],
) -> Result<Judgement, DeployError> {
    let mut twin = Twin::new(original, half);
    let file = Passing(folder.join(format!(".twin-{}.onnx", std::process::id())));
    twin.write(&file.0)?;
    twin.model = ModelProto::default();
    let mut session = runtime.open_plain(&file.0)?;
    let mut all: Option<Judgement> = None;
    for sample in samples {
        let found = session.run(sample)?;
        let run: Run = found
            .into_iter()
            .map(|(name, values)| {
                let shape = values.shape().as_slice().to_vec();
                let values = values.convert::<f32>().try_into_vec().unwrap_or_default();
                (name, (shape, values))
            })
            .collect();
        let next = twin.judge(&run)?;
        all = Some(match all {
            None => next,
            Some(all) => all.and(next),
        });
    }
    Ok(all.unwrap_or_default())
}
