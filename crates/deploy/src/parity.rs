//! The gate: a written model computes what its network does, or does not leave.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use burn::tensor::{Device, TensorData};
use hearth_weights::AtomicFile;
use serde_json::{Map, Value, json};

use crate::{
    error::{DeployError, FileError},
    network::{self, Network},
    runner::{EngineRunner, Named},
};

/// How far f32 may be off.
pub const TOLERANCE: f64 = 1e-4;

/// Inputs, and what the network makes of them.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What goes in.
    pub inputs: Vec<Named>,
    /// What comes out.
    pub outputs: Vec<Named>,
}

/// How an output agrees, over all samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// The output.
    pub name: String,
    /// The largest difference of two values, over 1 or the value if that is larger; infinite if one is
    /// not a number, or the shapes differ.
    pub difference: f64,
    /// The smallest cosine of two rows; 1 where rows have no direction.
    pub cosine: f64,
}

/// How a model agrees with its network.
#[derive(Debug, Clone, PartialEq)]
pub struct Parity {
    /// Every output.
    pub outputs: Vec<Agreement>,
    /// Numbers of samples that were run at once.
    pub batches: Vec<usize>,
    /// How far an output may be off.
    pub tolerance: f64,
}

/// What `network` makes of `inputs`.
pub fn sample<N: Network>(
    network: &N,
    model: &N::Model,
    inputs: Vec<Named>,
    device: &Device,
) -> Sample {
    let outputs = network::run(network, model, inputs.iter().cloned(), device);
    Sample { inputs, outputs }
}

/// Runs `samples` and compares.
pub fn compare(
    runner: &mut dyn EngineRunner,
    samples: &[Sample],
    tolerance: f64,
) -> Result<Parity, DeployError> {
    let mut outputs: Vec<Agreement> = Vec::new();
    let mut batches = Vec::new();
    for sample in samples {
        let found = runner.run(&sample.inputs)?;
        batches.extend(sample.inputs.first().map(|(_, values)| values.shape()[0]));
        for (name, expected) in &sample.outputs {
            let found = found.iter().find(|(found, _)| found == name).map(|(_, values)| values);
            let next = Agreement::of(name, expected, found);
            match outputs.iter_mut().find(|output| output.name == *name) {
                Some(output) => {
                    output.difference = output.difference.max(next.difference);
                    output.cosine = output.cosine.min(next.cosine);
                }
                None => outputs.push(next),
            }
        }
    }
    Ok(Parity { outputs, batches, tolerance })
}

impl Agreement {
    fn of(name: &str, expected: &TensorData, found: Option<&TensorData>) -> Agreement {
        let name = name.to_owned();
        let count = |values: &TensorData| values.shape().num_elements();
        let Some(found) = found.filter(|found| count(found) == count(expected)) else {
            return Agreement { name, difference: f64::INFINITY, cosine: 0.0 };
        };
        let [a, b] = [expected, found].map(|values| values.clone().convert::<f32>());
        let floats = "converted to f32 above";
        let (a, b) = (a.as_slice::<f32>().expect(floats), b.as_slice::<f32>().expect(floats));
        let width = expected.shape().iter().last().copied().unwrap_or(1).max(1);
        let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
        let cosine = rows.map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
        Agreement { name, difference: difference(a, b), cosine }
    }
}

/// The largest difference, over 1 or the value; infinite beside what is no number.
pub(crate) fn difference(expected: &[f32], found: &[f32]) -> f64 {
    let pairs = expected.iter().zip(found);
    let differences = pairs.map(|(&a, &b)| {
        let difference = f64::from((a - b).abs()) / f64::from(a.abs().max(1.0));
        if a == b {
            0.0
        } else if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    });
    differences.fold(0.0, f64::max)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    match dot(a, b) / lengths {
        _ if a.len() < 2 || lengths == 0.0 => 1.0,
        cosine if cosine.is_nan() => 0.0,
        cosine => cosine.min(1.0),
    }
}

impl Parity {
    /// Whether every output is near enough.
    pub fn holds(&self) -> bool {
        self.outputs.iter().all(|output| output.difference <= self.tolerance)
    }

    /// The result, as it is kept beside the model. `runtime` ran it; `first` is where it begins to
    /// differ.
    pub fn to_json(&self, runtime: &str, first: Option<&str>) -> Value {
        // An infinity is no JSON.
        let number = |value: f64| if value.is_finite() { json!(value) } else { json!("infinite") };
        let outputs = self.outputs.iter().map(|output| {
            let found = json!({
                "largest_difference": number(output.difference),
                "smallest_cosine": output.cosine,
            });
            (output.name.clone(), found)
        });
        json!({
            "accepted": self.holds(),
            "runtime": runtime,
            "batches": self.batches,
            "tolerance": self.tolerance,
            "outputs": outputs.collect::<Map<String, Value>>(),
            "first_module_that_differs": first,
        })
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.outputs.iter().map(|output| output.name.len()).max().unwrap_or(0);
        write!(f, "{:width$}  largest difference  smallest cosine", "output")?;
        for Agreement { name, difference, cosine } in &self.outputs {
            write!(f, "\n{name:width$}  {difference:>18.1e}  {cosine:>15.8}")?;
        }
        Ok(())
    }
}

/// Keeps the result beside the model at `path`, and takes the model's name away if it was rejected.
/// Returns where the model is now.
pub fn settle(
    path: &Path,
    parity: &Parity,
    runtime: &str,
    first: Option<&str>,
) -> Result<PathBuf, DeployError> {
    let beside = report_path(path);
    let text = serde_json::to_string_pretty(&parity.to_json(runtime, first)).expect("plain values");
    write(&beside, format!("{text}\n").as_bytes())?;
    if parity.holds() {
        return Ok(path.to_owned());
    }
    let mut rejected = path.as_os_str().to_owned();
    rejected.push(".rejected");
    let rejected = PathBuf::from(rejected);
    let renamed = fs::rename(path, &rejected);
    renamed.map_err(FileError::writing(&rejected))?;
    let worst = parity.outputs.iter().max_by(|a, b| a.difference.total_cmp(&b.difference));
    let (name, found) = worst.map_or(("", 0.0), |worst| (&worst.name, worst.difference));
    let place = first
        .map_or(String::new(), |first| format!("; the first module that differs is `{first}`"));
    let tolerance = parity.tolerance;
    let problem =
        format!("output `{name}` is off by {found:.1e}, allowed are {tolerance:.0e}{place}");
    Err(DeployError::Rejected { path: rejected, problem })
}

/// Takes away the result of a former model at `path`, which says nothing of the one that is there now.
pub fn forget(path: &Path) -> Result<(), DeployError> {
    let beside = report_path(path);
    match fs::remove_file(&beside) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::writing(&beside)(source).into())
        }
        _ => Ok(()),
    }
}

/// `X_parity.json` for `X.onnx`.
pub fn report_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_parity.json"))
}

fn write(path: &Path, content: &[u8]) -> Result<(), DeployError> {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let mut file = AtomicFile::create(path)?;
        file.file().write_all(content)?;
        file.commit()
    };
    Ok(write().map_err(FileError::writing(path))?)
}
