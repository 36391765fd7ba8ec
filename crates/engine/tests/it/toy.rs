//! A contrastive task of two linear towers: small enough to check by eye, and its loss needs the
//! whole batch, so that micro-batches have something to get wrong.

use std::{cell::Cell, collections::BTreeSet, path::Path};

use burn::{
    module::{Module, Param},
    nn::Linear,
    tensor::{Device, FloatDType, Tensor, TensorData},
};
use hearth_data::{DataError, random::Key};
use hearth_engine::{
    BatchIter, Batches, Checkpoints, Decay, EngineError, Every, Fingerprint, Losses, Metrics,
    Optimizer, OptimizerConfig, ParameterGroup, Plan, Precision, Replicas, Rule, Run, Schedule,
    Session, Step, Task, TrainState,
    contrastive::{self, Contrast, Embeddings, SharedEmbeddings},
    cut, fit,
};
use hearth_weights::{KeyMap, WeightsFile, load, map_values, parameters, save, visit_values};

pub(crate) const PAIRS: usize = 12;
pub(crate) const BATCH: usize = 4;
const WIDTH: usize = 3;

#[derive(Module, Debug)]
pub(crate) struct Towers {
    pub(crate) left: Linear,
    pub(crate) right: Linear,
    pub(crate) logit_scale: Param<Tensor<1>>,
}

/// Indices into the data.
pub(crate) type Batch = Vec<usize>;

pub(crate) struct Toy {
    pub(crate) contrast: Contrast,
    /// Step (from 1) whose loss is not a number.
    pub(crate) broken_step: Option<usize>,
    /// Gradients pass through f16 on their way from the loss.
    pub(crate) half: bool,
}

impl Task for Toy {
    type Model = Towers;
    type Batch = Batch;
    type Local = (Embeddings, bool);
    type Shared = SharedEmbeddings;
    type Stats = Vec<f64>;

    fn forward(&self, model: &Towers, batch: &Batch, step: &Step) -> Self::Local {
        let rows = |phase: f32| {
            let values: Vec<f32> = batch
                .iter()
                .flat_map(|i| (0..WIDTH).map(move |c| (*i as f32 * 1.3 + c as f32 + phase).sin()))
                .collect();
            Tensor::<2>::from_data(TensorData::new(values, [batch.len(), WIDTH]), &Device::flex())
        };
        let unit = |x: Tensor<2>| x.clone() / x.square().sum_dim(1).sqrt();
        let embeddings = Embeddings {
            images: unit(model.left.forward(rows(0.0))),
            texts: unit(model.right.forward(rows(0.4))),
            logit_scale: model.logit_scale.val(),
            logit_bias: None,
        };
        (embeddings, self.broken_step == Some(step.index + 1))
    }

    fn share(&self, (local, _): &Self::Local) -> SharedEmbeddings {
        contrastive::share(local)
    }

    fn losses(&self, (local, broken): Self::Local, all: &[SharedEmbeddings], me: usize) -> Losses {
        let objective = contrastive::loss(self.contrast, local, all, me);
        let objective = match self.half {
            true => objective.cast(FloatDType::F16).cast(FloatDType::F32),
            false => objective,
        };
        let objective = if broken { objective * f32::NAN } else { objective };
        let reported = objective.clone().detach() / all.len() as f64;
        Losses { objective, terms: vec![("loss", reported)] }
    }

    fn parameter_groups(&self, model: &Towers) -> Vec<ParameterGroup> {
        let names: BTreeSet<_> = parameters(model).into_iter().map(|p| p.name).collect();
        vec![ParameterGroup { name: "all", rate: 0.05, weight_decay: 0.1, parameters: names }]
    }

    fn samples(&self, batch: &Batch) -> Vec<String> {
        batch.iter().map(|i| format!("pair-{i}")).collect()
    }

    fn evaluate(&self, _model: &Towers, batch: &Batch) -> Vec<f64> {
        batch.iter().map(|i| *i as f64).collect()
    }

    fn merge(&self, mut a: Vec<f64>, b: Vec<f64>) -> Vec<f64> {
        a.extend(b);
        a
    }

    fn metrics(&self, stats: Vec<f64>) -> Metrics {
        vec![("mean".to_owned(), stats.iter().sum::<f64>() / stats.len() as f64)]
    }
}

/// The pairs in an order that depends on the epoch, split into micro-batches, and those for replicas.
pub(crate) struct Memory {
    pub(crate) micro_batches: usize,
    pub(crate) replicas: usize,
    /// Epoch and step of it that cannot be read.
    pub(crate) unreadable: Option<(usize, usize)>,
    /// Called before each step with (epoch, step): tests raise the stop flag here.
    pub(crate) on_step: Box<dyn Fn(usize, usize)>,
    pub(crate) served: Cell<usize>,
}

impl Memory {
    pub(crate) fn new(micro_batches: usize) -> Self {
        let on_step = Box::new(|_, _| ());
        Self { micro_batches, replicas: 1, unreadable: None, on_step, served: Cell::new(0) }
    }

    pub(crate) fn on(replicas: usize, micro_batches: usize) -> Self {
        Self { replicas, ..Self::new(micro_batches) }
    }
}

impl Batches for Memory {
    type Batch = Batch;

    fn epoch(&self, epoch: usize, first: usize) -> BatchIter<'_, Batch> {
        Box::new((first..self.steps()).map(move |step| {
            (self.on_step)(epoch, step);
            self.served.set(self.served.get() + 1);
            if self.unreadable == Some((epoch, step)) {
                return Err(DataError::Sample {
                    sample: format!("pair of step {step}"),
                    problem: "planned".to_owned(),
                });
            }
            let start = step * BATCH + epoch;
            let indices: Vec<usize> = (start..start + BATCH).map(|i| i * 5 % PAIRS).collect();
            let micro_batches = indices.chunks(BATCH / self.micro_batches);
            Ok(micro_batches.flat_map(|part| cut(part, self.replicas)).map(Vec::from).collect())
        }))
    }

    fn steps(&self) -> usize {
        PAIRS / BATCH
    }

    fn report(&self) -> Option<String> {
        None
    }
}

pub(crate) fn plan(epochs: usize) -> Plan {
    let schedule =
        Schedule { decay: Decay::Linear, warmup_steps: 2, rises_from: 1, total_steps: 12 };
    Plan {
        epochs,
        steps_per_epoch: PAIRS / BATCH,
        schedule,
        clip_grad_norm: Some(0.5),
        checkpoint: Every::Epochs(1),
        validate: Every::Epochs(1),
        log_interval: 1,
        key: Key::new(7),
    }
}

pub(crate) fn fresh(rule: Rule) -> TrainState<Towers> {
    let device = Device::flex().autodiff();
    let towers = Towers {
        left: linear(&device),
        right: linear(&device),
        logit_scale: Param::from_tensor(Tensor::from_data([1.5f32], &device)),
    };
    let mut phase = 0.0;
    let model = map_values(towers, |parameter| {
        phase += 1.0;
        (parameter.name != "logit_scale")
            .then(|| (0..parameter.len()).map(|i| (i as f32 * 0.9 + phase).cos() * 0.5).collect())
    });
    let config = OptimizerConfig { rule, betas: [0.9, 0.95], eps: 1e-6 };
    let task = Toy { contrast: Contrast::SigLip, broken_step: None, half: false };
    let groups = task.parameter_groups(&model);
    let optimizer = Optimizer::new(config, groups, &model, &device);
    let (step, epoch_loss, scaler, unreadable) = Default::default();
    TrainState { model, optimizer, step, epoch_loss, scaler, average: None, unreadable }
}

/// As [`fresh`], with a scale of the loss.
pub(crate) fn scaled() -> TrainState<Towers> {
    TrainState { scaler: Precision::Fp16.scaler(None), ..fresh(Rule::AdamW) }
}

fn linear(device: &Device) -> Linear {
    burn::nn::LinearConfig::new(WIDTH, WIDTH).init(device)
}

/// Checkpoints in `folder` whose model files are read back by [`resume`].
pub(crate) fn checkpoints(folder: &Path) -> Checkpoints<'static, Towers> {
    let map = KeyMap::same_names("toy");
    let save = move |model: &Towers, path: &Path| save(model, path, &map, &Default::default());
    let fingerprint = Fingerprint::from([("samples".to_owned(), PAIRS.to_string())]);
    Checkpoints::new(folder, "toy_latest", fingerprint, Box::new(save), None)
}

/// The state of the newest checkpoint in `folder`.
pub(crate) fn resume(folder: &Path) -> Result<TrainState<Towers>, EngineError> {
    let file = hearth_engine::latest(folder, "toy_latest").expect("a checkpoint");
    let mut state = fresh(Rule::AdamW);
    let weights = WeightsFile::open(&file)?;
    let (model, _) = load(state.model, &weights, &KeyMap::same_names("toy"), &Default::default())?;
    state.model = model;
    let restored = checkpoints(folder).restore(&file, &mut state.optimizer)?;
    (state.step, state.epoch_loss) = (restored.step, restored.epoch_loss);
    (state.scaler, state.unreadable) = (restored.scaler, restored.unreadable);
    Ok(state)
}

pub(crate) fn run(folder: &Path) -> Run {
    Run::silent("train", folder, Device::flex()).expect("a writable folder")
}

/// Trains `state` for `epochs` in `folder`.
pub(crate) fn train(
    folder: &Path,
    task: &Toy,
    data: &Memory,
    epochs: usize,
    state: TrainState<Towers>,
) -> Result<TrainState<Towers>, EngineError> {
    train_in(&run(folder), task, data, epochs, state)
}

pub(crate) fn train_in(
    run: &Run,
    task: &Toy,
    data: &Memory,
    epochs: usize,
    state: TrainState<Towers>,
) -> Result<TrainState<Towers>, EngineError> {
    let (plan, replicas) = (plan(epochs), Replicas::new(data.replicas)?);
    let checkpoints = checkpoints(&run.results).of_replicas(data.replicas);
    let session = Session {
        task,
        plan: &plan,
        train: data,
        validation: Some(data),
        checkpoints: &checkpoints,
        replicas: &replicas,
        run,
    };
    fit(&session, state)
}

/// All values of the model.
pub(crate) fn weights(state: &TrainState<Towers>) -> Vec<f32> {
    let mut all = Vec::new();
    visit_values(&state.model, |_, values| all.extend(values));
    all
}
