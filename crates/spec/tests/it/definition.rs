//! A small definition that has one of everything, and the two functions through which the tests talk to the crate.

use hearth_spec::{Block, Document, Json, Severity, block, options};

options! {
    /// Update rule.
    pub enum Optimizer {
        /// Adam with decoupled weight decay.
        AdamW = "adamw" | "adam_w",
        /// Layer-wise adaptive rates.
        Lamb = "lamb",
    }
}

options! {
    /// Arithmetic.
    pub enum Precision {
        /// Half.
        Fp16 = "fp16" | "16" | "16-mixed",
        /// Single.
        Fp32 = "fp32" | "32" | "32-true",
    }
}

block! {
    /// Keys that several blocks share.
    pub struct SharedSpec {
        /// Passes over the data.
        num_epochs: usize = 10 => min(1), known_as(&["epochs"]),
        /// Devices.
        gpu_ids: Vec<usize> = vec![0] => min(0),
        /// Seed.
        seed: i64 = 1234 => min(-1),
    }
}

block! {
    /// Learning rate.
    pub struct OptimSpec {
        /// Update rule.
        optimizer_type: Optimizer = Optimizer::AdamW => known_as(&["type"]),
        /// Peak rate.
        lr: f64 = 1e-4 => above(0.0), known_as(&["learning_rate"]),
        /// Momenta.
        betas: Vec<f64> = vec![0.9, 0.95] => min(0.0), below(1.0), lengths(&[2]),
        /// Largest norm.
        clip: Option<f64> => above(0.0),
    }
}

block! {
    /// Training.
    pub struct TrainSpec {
        flatten shared: SharedSpec = SharedSpec { num_epochs: 50, ..Default::default() },
        /// Optimiser.
        optim: OptimSpec = OptimSpec { lr: 2e-4, ..Default::default() },
        /// Arithmetic.
        precision: Precision = Precision::Fp16,
        /// Folder.
        results_dir: Option<String>,
        /// Validation every so many steps.
        every: Option<i64> => min(1),
        /// Extra loss.
        triplet: f64 = 0.0 => min(0.0), only_default("the triplet loss is not built yet", "set it to 0"),
    }
}

block! {
    /// One folder of images.
    pub struct FolderSpec {
        /// Images.
        image_dir: String => mandatory(),
        /// Captions.
        caption_dir: Option<String>,
        /// Names.
        names: Option<Vec<String>>,
    }
}

block! {
    /// Data.
    pub struct DataSpec {
        /// Folders.
        datasets: Vec<FolderSpec>,
        /// Samples of a batch.
        batch_size: usize = 16 => min(1), template(8),
        /// Range of sizes.
        scale: Vec<f64> = vec![0.4, 1.0] => min(0.0), max(1.0),
        /// Part of memory.
        pin: bool = true => inert("memory is always ready"),
        /// Share of grey pictures.
        grey: f64 = 0.2 => min(0.0), max(1.0),
    }
}

block! {
    /// Logging elsewhere.
    pub struct LogSpec {
        /// Whether to.
        enable: bool = true,
        /// Where to.
        project: String = "here".into(),
    }
}

block! {
    /// A run of a network.
    pub struct RunSpec {
        /// Network.
        model_name: Option<String> = Some("toy".into()),
        /// Folder.
        results_dir: Option<String> => empty_when_unset(),
        /// Secret.
        encryption_key: Option<String> => notice("nothing is encrypted"),
        /// Logging.
        log: LogSpec => notice_while("enable", "nothing is uploaded"),
        /// Kind of model.
        kind as "type": String = "small".into(),
        /// Data.
        data: DataSpec,
        /// Training.
        train: TrainSpec,
    }
}

const VARIABLES: &[(&str, &str)] = &[("HOME", "/home/me"), ("STEPS", "7"), ("EMPTY", "")];

pub(crate) fn document(yaml: &str, overrides: &[&str]) -> Result<Document, String> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    let variable = |name: &str| {
        VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Document::parse("run.yaml", yaml, &overrides, &variable).map_err(|errors| errors.to_string())
}

pub(crate) fn read(yaml: &str, overrides: &[&str]) -> Result<RunSpec, String> {
    document(yaml, overrides)?.read::<RunSpec>().map_err(|errors| errors.to_string())
}

/// What differs from the defaults, one `key = value` each; or the errors.
pub(crate) fn shown(yaml: &str, overrides: &[&str]) -> String {
    let spec = match read(yaml, overrides) {
        Ok(spec) => spec,
        Err(errors) => return errors,
    };
    let defaults = leaves(&RunSpec::default());
    let changed: Vec<String> =
        leaves(&spec).into_iter().filter(|leaf| !defaults.contains(leaf)).collect();
    changed.join("; ")
}

fn leaves(spec: &RunSpec) -> Vec<String> {
    fn walk(value: &Json, key: &str, out: &mut Vec<String>) {
        match value {
            Json::Object(map) => {
                for (name, value) in map {
                    let dot = if key.is_empty() { "" } else { "." };
                    walk(value, &format!("{key}{dot}{name}"), out);
                }
            }
            Json::Array(items) if items.iter().any(Json::is_object) => {
                for (at, item) in items.iter().enumerate() {
                    walk(item, &format!("{key}[{at}]"), out);
                }
            }
            Json::Null if key.contains('[') => {}
            value => out.push(format!("{key} = {value}")),
        }
    }
    let mut out = Vec::new();
    walk(&Json::Object(spec.to_map()), "", &mut out);
    out
}

/// The warnings and errors of using `blocks`, after a reading without errors.
pub(crate) fn checked(yaml: &str, overrides: &[&str], blocks: &[&str]) -> String {
    let document = document(yaml, overrides).unwrap();
    let spec: RunSpec = document.read().unwrap();
    let mut checks = document.check();
    checks.blocks(&spec, blocks);
    match checks.into_result() {
        Ok(warnings) => {
            assert!(warnings.iter().all(|one| one.severity == Severity::Warning));
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
        }
        Err(errors) => errors.to_string(),
    }
}
