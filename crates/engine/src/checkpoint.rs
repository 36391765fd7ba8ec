//! Checkpoints of a run: model file, state folder, the link to the newest, and the best by a metric.
//!
//! Order of writing: state, model, link. A process killed between any two of them leaves a link to
//! a complete checkpoint. Where models have a twin in another format, it stands before the model and
//! has a link of its own.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use burn::module::Module;
use hearth_spec::common::CheckpointFormat;
use hearth_weights::{WeightsError, WeightsFile, map_values, save_tensors, visit_values};
use serde::{Deserialize, Serialize};

use crate::{
    atomic_file::{FileError, replace_link, write},
    best::Best,
    error::EngineError,
    fit::{Mean, TrainState},
    optimizer::Optimizer,
    run::Run,
    scaler::LossScaler,
    task::Metrics,
};

const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// Only where the model file has running means of them.
const WEIGHTS_FILE: &str = "weights.safetensors";
const PROGRESS_FILE: &str = "progress.json";
/// More than any machine has cores: a damaged state asks for no more threads.
const MOST_REPLICAS: usize = 1024;

/// What identifies a run: settings that decide the numbers, as text. A checkpoint is continued only
/// where they are the same.
pub type Fingerprint = BTreeMap<String, String>;

/// Writes the whole model into one file.
pub type SaveModel<'a, M> = Box<dyn Fn(&M, &Path) -> Result<(), WeightsError> + 'a>;

/// Writes what belongs to a checkpoint beside its model file, which it is told. The state folder is
/// there, the model file comes afterwards.
pub type SaveBeside<'a, M> = Box<dyn Fn(&M, &Path) -> Result<(), EngineError> + 'a>;

/// Where a run keeps its checkpoints.
pub struct Checkpoints<'a, M> {
    folder: PathBuf,
    /// File name of the link to the newest model, without extension: `clip_latest`.
    link: String,
    fingerprint: Fingerprint,
    replicas: usize,
    /// False for [`Checkpoints::nowhere`].
    keeps: bool,
    save_model: SaveModel<'a, M>,
    twin: Option<Twin<'a, M>>,
    save_beside: Option<SaveBeside<'a, M>>,
    best: Option<Best>,
    newest: RefCell<Option<PathBuf>>,
}

/// The same model in another format, beside the first.
struct Twin<'a, M> {
    extension: &'static str,
    save: SaveModel<'a, M>,
}

/// What a state folder holds beside the optimizer's tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    step: usize,
    epoch_loss: Mean,
    optimizer_updates: u64,
    run: Fingerprint,
    /// Not there in states from before replicas, which had one.
    #[serde(default = "one")]
    replicas: usize,
    #[serde(default)]
    best: Vec<(f64, PathBuf)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_scaler: Option<LossScaler>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<usize>,
}

fn one() -> usize {
    1
}

/// Where a checkpoint stands in its run.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Updates since the start of training.
    pub step: usize,
    /// Loss of its epoch so far.
    pub epoch_loss: Mean,
    /// Of the loss, where the run computed in f16.
    pub scaler: Option<LossScaler>,
    /// Samples that are left out because they cannot be read.
    pub unreadable: Vec<usize>,
}

impl<'a, M: Module> Checkpoints<'a, M> {
    /// Checkpoints in `folder`, written by `save_model`; with `best`, also ranked by a metric.
    pub fn new(
        folder: &Path,
        link: &str,
        fingerprint: Fingerprint,
        save_model: SaveModel<'a, M>,
        best: Option<Best>,
    ) -> Self {
        Self {
            folder: folder.to_owned(),
            link: link.to_owned(),
            fingerprint,
            replicas: 1,
            keeps: true,
            save_model,
            twin: None,
            save_beside: None,
            best,
            newest: RefCell::new(None),
        }
    }

    /// Keeps nothing: for measurements.
    pub fn nowhere() -> Self {
        let refuse =
            |_: &M, path: &Path| Err(WeightsError::Missing { path: path.to_owned(), beside: None });
        let folder = Path::new("");
        Self { keeps: false, ..Self::new(folder, "", Fingerprint::new(), Box::new(refuse), None) }
    }

    /// Writes every model, the best ones included, a second time in another format, beside the
    /// first under the same name with this extension.
    pub fn with_twin(mut self, extension: &'static str, save: SaveModel<'a, M>) -> Self {
        self.twin = Some(Twin { extension, save });
        if let Some(best) = &mut self.best {
            best.twin = Some(extension);
        }
        self
    }

    /// Models in `format`: `save_pth` writes the second file that it may ask for.
    pub fn in_format(self, format: CheckpointFormat, save_pth: SaveModel<'a, M>) -> Self {
        match format {
            CheckpointFormat::Pth => self.with_twin("pth", save_pth),
            CheckpointFormat::Safetensors => {
                // Of a run that began with twins: it would go on naming an old model.
                let _ = fs::remove_file(self.folder.join(format!("{}.pth", self.link)));
                self
            }
        }
    }

    /// Says of how many replicas the checkpoints come: another number gives other bits.
    pub fn of_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// As well as what the model file cannot hold, such as adapters that it holds merged.
    pub fn with_beside(self, save: SaveBeside<'a, M>) -> Self {
        Self { save_beside: Some(save), ..self }
    }

    /// The newest model file of this run.
    pub fn newest(&self) -> Option<PathBuf> {
        self.newest.borrow().clone()
    }

    /// Writes state, model and link; returns the model file.
    pub fn save(&self, state: &TrainState<M>, epoch: usize) -> Result<PathBuf, EngineError> {
        if !self.keeps {
            return Ok(PathBuf::new());
        }
        let name = format!("model_epoch_{epoch:03}_step_{:05}", state.step);
        let model = self.folder.join(format!("{name}.safetensors"));
        self.save_state(state, &state_folder(&model))?;
        if let Some(save) = &self.save_beside {
            save(&state.model, &model)?;
        }
        self.write(&state.published(), &model)?;
        // Last the link that a resumed run follows.
        for extension in self.twin.iter().map(|twin| twin.extension).chain(["safetensors"]) {
            let link = self.folder.join(format!("{}.{extension}", self.link));
            replace_link(&link, Path::new(&format!("{name}.{extension}")))?;
        }

        let previous = self.newest.replace(Some(model.clone()));
        if let (Some(best), Some(previous)) = (&self.best, previous)
            && best.replaces_periodic
            && previous != model
        {
            if let Some(twin) = &self.twin {
                // A run that was resumed may have begun without it.
                let _ = fs::remove_file(previous.with_extension(twin.extension));
            }
            remove_checkpoint(&previous)?;
        }
        Ok(model)
    }

    fn write(&self, model: &M, path: &Path) -> Result<(), WeightsError> {
        if let Some(twin) = &self.twin {
            (twin.save)(model, &path.with_extension(twin.extension))?;
        }
        (self.save_model)(model, path)
    }

    /// Keeps the model among the best ones if `metrics` rank it there.
    pub fn offer(
        &self,
        state: &TrainState<M>,
        epoch: usize,
        metrics: &Metrics,
        run: &Run,
    ) -> Result<(), EngineError> {
        let Some(best) = &self.best else { return Ok(()) };
        best.offer(epoch, state.step, metrics, run, |path| self.write(&state.published(), path))
    }

    /// Continues the optimizer and the counters of `model_file`'s state folder.
    pub fn restore(
        &self,
        model_file: &Path,
        optimizer: &mut Optimizer,
    ) -> Result<Restored, EngineError> {
        let folder = state_folder(model_file);
        let progress = read_progress(&folder.join(PROGRESS_FILE))?;
        compare(model_file, &progress.run, &self.fingerprint)?;

        let file = WeightsFile::open(folder.join(OPTIMIZER_FILE))?;
        let mut tensors = Vec::new();
        for name in file.names() {
            let entry = file.entry(name).expect("a listed name has an entry");
            tensors.push((name.to_owned(), entry.shape.clone(), file.read_f32(name)?));
        }
        optimizer.restore(progress.optimizer_updates, tensors)?;
        if let Some(best) = &self.best {
            best.restore(progress.best);
        }
        // Continued from the twin, it is the same checkpoint.
        let model = model_file.with_extension("safetensors");
        let model = if model.exists() { model } else { model_file.to_owned() };
        // That of another folder is not this run's to replace.
        if is_in(&model, &self.folder) {
            self.newest.replace(Some(model));
        }
        Ok(Restored {
            step: progress.step,
            epoch_loss: progress.epoch_loss,
            scaler: progress.loss_scaler,
            unreadable: progress.unreadable,
        })
    }

    fn save_state(&self, state: &TrainState<M>, folder: &Path) -> Result<(), EngineError> {
        fs::create_dir_all(folder).map_err(FileError::at("create this folder", folder))?;
        let (optimizer_updates, tensors) = state.optimizer.state();
        save_tensors(&folder.join(OPTIMIZER_FILE), &BTreeMap::new(), tensors)?;
        if state.average.is_some() {
            // The model file has the means.
            let mut weights = Vec::new();
            visit_values(&state.model, |parameter, values| {
                weights.push((parameter.name.clone(), parameter.shape.clone(), values));
            });
            save_tensors(&folder.join(WEIGHTS_FILE), &BTreeMap::new(), weights)?;
        }
        let progress = Progress {
            step: state.step,
            epoch_loss: state.epoch_loss,
            optimizer_updates,
            run: self.fingerprint.clone(),
            replicas: self.replicas,
            best: self.best.as_ref().map_or_else(Vec::new, Best::ranking),
            loss_scaler: state.scaler,
            unreadable: state.unreadable.clone(),
        };
        let json = serde_json::to_vec_pretty(&progress).expect("numbers and strings");
        write(&folder.join(PROGRESS_FILE), &json)?;
        Ok(())
    }
}

/// Whether `file` lies in `folder`, however either is written.
fn is_in(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    file.parent().and_then(real).is_some_and(|parent| Some(parent) == real(folder))
}

/// `model_epoch_000_step_00020.safetensors` -> `model_epoch_000_step_00020.state`.
pub fn state_folder(model: &Path) -> PathBuf {
    model.with_extension("state")
}

/// The model file to continue in `folder`: what its `link` points at.
pub fn latest(folder: &Path, link: &str) -> Option<PathBuf> {
    let link = folder.join(format!("{link}.safetensors"));
    let target = fs::read_link(&link).ok()?;
    let model = folder.join(target);
    model.exists().then_some(model)
}

/// `model`, which was loaded from the file `checkpoint`, with the weights that its training goes on from.
pub(crate) fn unaveraged<M: Module>(model: M, checkpoint: &Path) -> Result<M, EngineError> {
    let file = WeightsFile::open(state_folder(checkpoint).join(WEIGHTS_FILE))?;
    let mut found = Ok(());
    let model = map_values(model, |parameter| {
        let values = file.read_f32(&parameter.name);
        let values = values.map_err(EngineError::from).and_then(|values| match values.len() {
            len if len == parameter.len() => Ok(values),
            len => Err(EngineError::State {
                path: file.path().to_owned(),
                reason: format!(
                    "`{}` has {len} values, the model needs {}",
                    parameter.name,
                    parameter.len()
                ),
            }),
        });
        values.map_err(|error| found = Err(error)).ok()
    });
    found.map(|()| model)
}

/// Whether a run with this fingerprint continues `model_file`: the error says what differs.
pub fn check_run(model_file: &Path, fingerprint: &Fingerprint) -> Result<(), EngineError> {
    let progress = read_progress(&state_folder(model_file).join(PROGRESS_FILE))?;
    compare(model_file, &progress.run, fingerprint)
}

/// How many replicas computed a checkpoint.
pub fn replicas_of(model_file: &Path) -> Result<usize, EngineError> {
    let path = state_folder(model_file).join(PROGRESS_FILE);
    match read_progress(&path)?.replicas {
        replicas @ 1..=MOST_REPLICAS => Ok(replicas),
        replicas => {
            let reason = format!("found {replicas} replicas, needed 1 to {MOST_REPLICAS}");
            Err(EngineError::State { path, reason })
        }
    }
}

fn compare(model: &Path, found: &Fingerprint, needed: &Fingerprint) -> Result<(), EngineError> {
    for name in found.keys().chain(needed.keys()) {
        let (found, needed) = (found.get(name), needed.get(name));
        if found != needed {
            let shown = |value: Option<&String>| value.map_or("nothing", |v| v).to_owned();
            return Err(EngineError::OtherRun {
                checkpoint: model.to_owned(),
                what: name.clone(),
                found: shown(found),
                needed: shown(needed),
            });
        }
    }
    Ok(())
}

/// `model_epoch_000_step_00020.safetensors` -> `model_epoch_000_step_00020.adapters`: the part of a
/// model that was trained beside frozen weights, for other programs.
pub fn adapters_folder(model: &Path) -> PathBuf {
    model.with_extension("adapters")
}

fn read_progress(path: &Path) -> Result<Progress, EngineError> {
    let state = |reason: String| EngineError::State { path: path.to_owned(), reason };
    let text = fs::read(path).map_err(|error| state(format!("cannot read this file: {error}")))?;
    let progress: Progress = serde_json::from_slice(&text)
        .map_err(|error| state(format!("not a state of Hearth: {error}")))?;
    progress.loss_scaler.map_or(Ok(()), |scaler| scaler.check()).map_err(state)?;
    Ok(progress)
}

fn remove_checkpoint(model: &Path) -> Result<(), FileError> {
    match fs::remove_file(model) {
        // The user was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        done => done.map_err(FileError::at("remove this file", model))?,
    }
    for folder in [state_folder(model), adapters_folder(model)] {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(FileError::at("remove this folder", &folder))?;
        }
    }
    Ok(())
}
