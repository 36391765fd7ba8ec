//! Captioned pictures as batches: what the loader reads, prepares and hands to the task.

use std::{cell::RefCell, sync::Arc};

use hearth_data::{
    DataError,
    decode::{Limits, decode},
    loader::{Dataset, Loader, LoaderReport, Stage, Stages},
    pairs::Pair,
    random::Key,
    sampler::EpochPlan,
    tokenizer::Tokenizer,
    transform::{Augmentation, PictureRecipe},
};
use hearth_engine::{BatchIter, Batches};
use rayon::prelude::*;

use crate::{parts::Identity, task::Batch};

/// Pairs that are read when they are needed.
#[derive(Debug)]
pub(crate) struct CaptionedPictures {
    /// Where pictures and captions are.
    pub(crate) pairs: Vec<Pair>,
    /// Preparation for the model.
    pub(crate) picture: PictureRecipe,
    /// Random changes in front of it; none in evaluation.
    pub(crate) augmentation: Option<Augmentation>,
    /// Captions to ids.
    pub(crate) tokenizer: Arc<Tokenizer>,
}

/// One pair, prepared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The picture as the user knows it.
    pub(crate) name: String,
    /// [3, S, S].
    pub(crate) pixels: Vec<f32>,
    /// [C].
    pub(crate) ids: Vec<i32>,
}

/// Training data: a new order every epoch, full global batches only.
#[derive(Debug)]
pub(crate) struct TrainBatches {
    source: Source,
    seed: u64,
    global_batch: usize,
    micro_batches: usize,
}

/// Validation data in its own order, the last batch as long as it comes.
#[derive(Debug)]
pub(crate) struct EvalBatches {
    source: Source,
    batch: usize,
}

/// A loader and where its time went.
#[derive(Debug)]
struct Source {
    loader: Loader<CaptionedPictures>,
    threads: usize,
    report: RefCell<LoaderReport>,
}

impl Dataset for CaptionedPictures {
    type Sample = Sample;

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Sample, DataError> {
        let Pair { image, caption } = &self.pairs[index];
        let limits = Limits::default();
        let bytes = stages.time(Stage::Read, || image.read(limits.bytes))?;
        let picture = stages
            .time(Stage::Decode, || decode(&bytes, &limits))
            .map_err(|problem| image.refuse(problem))?;
        let pixels = stages.time(Stage::Transform, || match &self.augmentation {
            Some(augmentation) => {
                let drawn = augmentation.draw(key, picture.width, picture.height);
                self.picture.normalise(&augmentation.apply(&picture, &drawn, self.picture.size))
            }
            None => self.picture.apply(&picture),
        });
        let caption = stages.time(Stage::Read, || caption.text(key))?;
        let ids = stages.time(Stage::Tokenize, || self.tokenizer.encode(&caption))?;
        Ok(Sample { name: self.name(index), pixels, ids })
    }

    fn name(&self, index: usize) -> String {
        self.pairs[index].image.to_string()
    }
}

impl TrainBatches {
    /// Steps of `global_batch` pairs, each in `micro_batches` parts that differ by one pair at most.
    pub(crate) fn new(
        dataset: CaptionedPictures,
        threads: usize,
        seed: u64,
        global_batch: usize,
        micro_batches: usize,
    ) -> Self {
        Self { source: Source::new(dataset, threads), seed, global_batch, micro_batches }
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.source.dataset().len()
    }

    /// Pairs of one optimizer step.
    pub(crate) fn global_batch(&self) -> usize {
        self.global_batch
    }

    /// Pairs that are in memory at once.
    pub(crate) fn micro_batch(&self) -> usize {
        self.global_batch.div_ceil(self.micro_batches)
    }

    /// Reads and decodes every picture once; all that cannot be used are in one error.
    pub(crate) fn check_pictures(&self) -> Result<(), DataError> {
        check_pictures(self.source.dataset())
    }

    /// SHA-256 over names and captions, in order, without folders: the same data elsewhere is the
    /// same data.
    pub(crate) fn digest(&self) -> String {
        let mut identity = Identity::default();
        for Pair { image, caption } in &self.source.dataset().pairs {
            identity.add(image.name());
            caption.identify(|part| identity.add(part));
        }
        identity.finish()
    }
}

impl EvalBatches {
    /// Batches of `batch` pairs.
    pub(crate) fn new(dataset: CaptionedPictures, threads: usize, batch: usize) -> Self {
        Self { source: Source::new(dataset, threads), batch }
    }

    /// The same batches of other pairs.
    pub(crate) fn with(&self, dataset: CaptionedPictures) -> Self {
        Self { source: Source::new(dataset, self.source.threads), batch: self.batch }
    }

    /// Reads and decodes every picture once; all that cannot be used are in one error.
    pub(crate) fn check_pictures(&self) -> Result<(), DataError> {
        check_pictures(self.dataset())
    }

    /// What the batches are made of.
    pub(crate) fn dataset(&self) -> &CaptionedPictures {
        self.source.dataset()
    }

    /// Number of pairs.
    pub(crate) fn len(&self) -> usize {
        self.dataset().len()
    }
}

impl Batches for TrainBatches {
    type Batch = Batch;

    fn epoch(&self, epoch: usize, first: usize) -> BatchIter<'_, Batch> {
        let plan = EpochPlan::shuffled(self.seed, epoch as u64, self.len(), self.global_batch);
        let part = self.micro_batch();
        let samples = self.source.batches(plan, first);
        Box::new(samples.map(move |samples| Ok(samples?.chunks(part).map(collate).collect())))
    }

    fn steps(&self) -> usize {
        self.len() / self.global_batch
    }

    fn report(&self) -> Option<String> {
        Some(self.source.report.take().to_string())
    }
}

impl Batches for EvalBatches {
    type Batch = Batch;

    fn epoch(&self, _epoch: usize, first: usize) -> BatchIter<'_, Batch> {
        let samples = self.source.batches(EpochPlan::sequential(self.len(), self.batch), first);
        Box::new(samples.map(|samples| Ok(vec![collate(&samples?)])))
    }

    fn steps(&self) -> usize {
        self.len().div_ceil(self.batch)
    }

    fn report(&self) -> Option<String> {
        Some(self.source.report.take().to_string())
    }
}

impl Source {
    fn new(dataset: CaptionedPictures, threads: usize) -> Self {
        let loader = Loader::new(Arc::new(dataset), threads);
        Self { loader, threads, report: RefCell::default() }
    }

    fn dataset(&self) -> &CaptionedPictures {
        self.loader.dataset()
    }

    /// The batches of a plan; the report follows them.
    fn batches(
        &self,
        plan: EpochPlan,
        first: usize,
    ) -> impl Iterator<Item = Result<Vec<Sample>, DataError>> + '_ {
        let mut batches = self.loader.batches(plan, first);
        std::iter::from_fn(move || {
            let batch = batches.next();
            self.report.replace(*batches.report());
            batch
        })
    }
}

/// Only the headers tell size and format; the pixels behind them may be torn, so all are decoded. A
/// picture of several pairs, which then follow each other, is decoded once.
fn check_pictures(dataset: &CaptionedPictures) -> Result<(), DataError> {
    let limits = Limits::default();
    let check = |(at, Pair { image, .. }): (usize, &Pair)| {
        if at > 0 && dataset.pairs[at - 1].image == *image {
            return None;
        }
        let decoded = image
            .read(limits.bytes)
            .and_then(|bytes| decode(&bytes, &limits).map_err(|problem| image.refuse(problem)));
        decoded.err()
    };
    let errors: Vec<DataError> = dataset.pairs.par_iter().enumerate().filter_map(check).collect();
    match errors.len() {
        0 => Ok(()),
        _ => Err(DataError::Several(errors)),
    }
}

fn collate(samples: &[Sample]) -> Batch {
    let mut batch = Batch::default();
    for sample in samples {
        batch.names.push(sample.name.clone());
        batch.pixels.extend_from_slice(&sample.pixels);
        batch.ids.extend_from_slice(&sample.ids);
    }
    batch
}
