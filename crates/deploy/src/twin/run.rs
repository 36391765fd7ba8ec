//! Running a twin: in ONNX Runtime, as it is written.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, Element, TensorData};

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
    // Measures keep the results of all nodes in memory: of one sample where the graph takes one.
    let singles = session.batches().contains(&1);
    let runs = samples.iter().flat_map(|sample| match singles {
        true => one_by_one(sample),
        false => vec![sample.clone()],
    });
    for inputs in runs {
        let found = session.run(&inputs)?;
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

/// The samples of a batch, each as a batch of its own.
fn one_by_one(batch: &[Named]) -> Vec<Vec<Named>> {
    let count = batch.first().and_then(|(_, values)| values.shape().first().copied()).unwrap_or(0);
    if batch.iter().any(|(_, values)| values.shape().first() != Some(&count)) {
        return vec![batch.to_vec()];
    }
    let row = |at: usize| {
        let of = |(name, values): &Named| match values.dtype() {
            DType::I64 => (name.clone(), part::<i64>(values, at, count)),
            _ => (name.clone(), part::<f32>(values, at, count)),
        };
        batch.iter().map(of).collect()
    };
    (0..count).map(row).collect()
}

/// Sample `at` of `count`.
fn part<E: Element>(values: &TensorData, at: usize, count: usize) -> TensorData {
    let all = values.as_slice::<E>().expect("inputs are f32 or i64");
    let each = all.len() / count;
    let mut shape = values.shape().as_slice().to_vec();
    shape[0] = 1;
    TensorData::new(all[at * each..(at + 1) * each].to_vec(), shape)
}
