//! Pre-training and fine-tuning, as the loop of `engine` sees them.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};
use hearth_backbones::{Mode, cells::Cells};
use hearth_data::random::Key;
use hearth_engine::{Losses, Metrics, ParameterGroup, Step, Task, classification::Tally};

use crate::{
    arch::{Arch, Kind},
    autoencoder::Autoencoder,
    classifier::Classifier,
    fcmae::MaskMode,
    groups::{Rates, of_autoencoder, of_classifier},
    masking,
};

/// Pictures of one part of a batch on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// Pictures as the user knows them.
    pub names: Vec<String>,
    /// [B, 3, S, S], normalised.
    pub pixels: Vec<f32>,
    /// [B, K], what a classifier should answer; empty in pre-training.
    pub targets: Vec<f32>,
    /// [B], the classes; empty where there are none.
    pub labels: Vec<usize>,
}

impl Batch {
    /// B.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it has no picture.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// [B, 3, S, S] on the device.
    pub fn images(&self, size: usize, device: &Device) -> Tensor<4> {
        let data = TensorData::new(self.pixels.clone(), [self.len(), 3, size, size]);
        Tensor::from_data(data, device)
    }
}

/// Prediction of what an encoder does not see.
#[derive(Debug, Clone)]
pub struct PretrainTask {
    /// Cells, and which parameters decay.
    pub arch: Arch,
    /// S.
    pub image_size: usize,
    /// Share of the cells that the encoder does not see.
    pub mask_ratio: f64,
    /// For ConvNeXt V2.
    pub mask_mode: MaskMode,
    /// Predicts patches at mean 0 and variance 1.
    pub normalize: bool,
    /// What the encoder computes in.
    pub mode: Mode,
    /// Peak learning rate and weight decay.
    pub rates: Rates,
    /// Where batches are put.
    pub device: Device,
}

/// What the forward pass of one part computed.
pub struct Local {
    /// Mean over the samples of the part, [1].
    loss: Tensor<1>,
    samples: usize,
}

/// Sums over samples, and their number.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    loss: f64,
    /// See [`crate::autoencoder::Reconstruction::errors`].
    errors: [f64; 2],
    samples: f64,
}

impl PretrainTask {
    /// The masks that pictures have in evaluation: each always the same.
    pub fn own_cells(&self, batch: &Batch) -> Cells {
        let keys = batch.names.iter().map(|name| Key::new(0).of("validation").of(name));
        let grid = [self.image_size / self.arch.cell(); 2];
        let one = |key: Key| masking::draw(grid, self.mask_ratio, &key, 0, 1).visible;
        Cells { grid, visible: keys.flat_map(one).collect() }
    }

    fn cells(&self, key: &Key, first: usize, samples: usize) -> Cells {
        let grid = [self.image_size / self.arch.cell(); 2];
        masking::draw(grid, self.mask_ratio, key, first, samples)
    }

    /// Hiera always predicts normalised patches, as its authors do.
    pub fn normalizes(&self) -> bool {
        self.normalize || matches!(self.arch.kind, Kind::Hiera(..))
    }
}

impl Task for PretrainTask {
    type Model = Autoencoder;
    type Batch = Batch;
    type Local = Local;
    /// Samples of a part: every picture has as many masked patches.
    type Shared = usize;
    type Stats = Sum;

    fn forward(&self, model: &Autoencoder, batch: &Batch, step: &Step) -> Local {
        let images = batch.images(self.image_size, &self.device);
        let cells = self.cells(&step.key, step.first, batch.len());
        let reconstruction = model.forward(images.clone(), &cells, self.mask_mode, self.mode);
        Local { loss: reconstruction.loss(images, self.normalizes()), samples: batch.len() }
    }

    fn share(&self, local: &Local) -> usize {
        local.samples
    }

    fn losses(&self, local: Local, all: &[usize], _me: usize) -> Losses {
        mean_over_samples(local, all)
    }

    fn parameter_groups(&self, model: &Autoencoder) -> Vec<ParameterGroup> {
        of_autoencoder(model, self.rates)
    }

    fn samples(&self, batch: &Batch) -> Vec<String> {
        batch.names.clone()
    }

    /// Every validation sees each picture behind the same mask.
    fn evaluate(&self, model: &Autoencoder, batch: &Batch) -> Sum {
        let images = batch.images(self.image_size, &self.device);
        let cells = self.own_cells(batch);
        let reconstruction = model.forward(images.clone(), &cells, self.mask_mode, Mode::default());
        let samples = batch.len() as f64;
        let sum = |mean: Tensor<1>| f64::from(mean.into_scalar::<f32>()) * samples;
        let errors = reconstruction.errors(images.clone()).map(sum);
        Sum { loss: sum(reconstruction.loss(images, self.normalizes())), errors, samples }
    }

    fn merge(&self, a: Sum, b: Sum) -> Sum {
        let errors = [a.errors[0] + b.errors[0], a.errors[1] + b.errors[1]];
        Sum { loss: a.loss + b.loss, errors, samples: a.samples + b.samples }
    }

    /// As TAO's logs have it, without the name of the set.
    fn validated(&self, metric: &str) -> String {
        metric.to_owned()
    }

    /// The loss; where pixels are predicted, also the error over that of the mean visible colour.
    fn metrics(&self, sum: Sum) -> Metrics {
        let mut metrics = vec![("val_loss".to_owned(), sum.loss / sum.samples)];
        if !self.normalizes() {
            metrics.push(("relative_error".to_owned(), sum.errors[0] / sum.errors[1]));
        }
        metrics
    }
}

/// Classification with soft targets.
#[derive(Debug, Clone)]
pub struct FinetuneTask {
    /// Which parameters decay, and the layers.
    pub arch: Arch,
    /// S.
    pub image_size: usize,
    /// K.
    pub num_classes: usize,
    /// Largest probability that a block is left out.
    pub drop_path: f64,
    /// What the encoder computes in.
    pub mode: Mode,
    /// Peak learning rate, weight decay and decay by layer.
    pub rates: Rates,
    /// Where batches are put.
    pub device: Device,
}

/// What a validation counts.
#[derive(Clone)]
pub struct Counted {
    tally: Tally,
    loss: f64,
}

impl Counted {
    /// Right and wrong answers.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Task for FinetuneTask {
    type Model = Classifier;
    type Batch = Batch;
    type Local = Local;
    /// Samples of a part.
    type Shared = usize;
    type Stats = Counted;

    fn forward(&self, model: &Classifier, batch: &Batch, step: &Step) -> Local {
        let dropping = (self.drop_path > 0.0).then(|| {
            let key = step.key.of("drop path");
            let samples = step.first..step.first + batch.len();
            let seeds: Arc<[u64]> =
                samples.map(|sample| key.at(sample as u64).rng().bits()).collect();
            model.clone().with_drop_path(self.drop_path, &seeds)
        });
        let model = dropping.as_ref().unwrap_or(model);
        let logits = model.forward(batch.images(self.image_size, &self.device), self.mode);
        let targets = TensorData::new(batch.targets.clone(), [batch.len(), self.num_classes]);
        let targets = Tensor::<2>::from_data(targets, &self.device);
        let sum = (log_softmax(logits, 1) * targets).sum().neg();
        Local { loss: sum / batch.len() as f64, samples: batch.len() }
    }

    fn share(&self, local: &Local) -> usize {
        local.samples
    }

    fn losses(&self, local: Local, all: &[usize], _me: usize) -> Losses {
        mean_over_samples(local, all)
    }

    fn parameter_groups(&self, model: &Classifier) -> Vec<ParameterGroup> {
        of_classifier(model, self.arch.kind, self.rates)
    }

    fn samples(&self, batch: &Batch) -> Vec<String> {
        batch.names.clone()
    }

    fn evaluate(&self, model: &Classifier, batch: &Batch) -> Counted {
        let logits = model.forward(batch.images(self.image_size, &self.device), Mode::default());
        let scores: Vec<f32> =
            log_softmax(logits, 1).into_data().try_to_vec().expect("logits are f32");
        let mut counted = Counted { tally: Tally::new(self.num_classes), loss: 0.0 };
        for (scores, &label) in scores.chunks_exact(self.num_classes).zip(&batch.labels) {
            counted.tally.add(label, scores);
            counted.loss -= f64::from(scores[label]);
        }
        counted
    }

    fn merge(&self, mut a: Counted, b: Counted) -> Counted {
        a.tally.merge(b.tally);
        Counted { tally: a.tally, loss: a.loss + b.loss }
    }

    /// As TAO's logs have it, without the name of the set.
    fn validated(&self, metric: &str) -> String {
        metric.to_owned()
    }

    fn metrics(&self, counted: Counted) -> Metrics {
        let Counted { tally, loss } = counted;
        let samples = tally.confusion().samples() as f64;
        [("val_loss", loss / samples), ("ACC_all", tally.top1()), ("top5", tally.top5())]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }
}

/// The loss of a part whose gradients add up to those of the mean over the global batch.
fn mean_over_samples(Local { loss, samples }: Local, all: &[usize]) -> Losses {
    let total: usize = all.iter().sum();
    let objective = loss * (samples as f64 / total as f64);
    Losses { terms: vec![("loss", objective.clone().detach())], objective }
}
