//! Samples of any family as batches of the loop: in a new order every epoch for training, in their own
//! for evaluation.

use std::{
    cell::{Cell, RefCell},
    ops::Range,
    sync::Arc,
};

use hearth_data::{
    DataError,
    loader::{Dataset, Loader, LoaderReport},
    random::Key,
    sampler::EpochPlan,
    unreadable::Unreadable,
};

use crate::{
    fit::{BatchIter, Batches},
    replicas::cut,
};

/// What a family contributes: samples that become batches.
pub trait Samples: Dataset {
    /// What a replica computes at a time.
    type Batch: Send;

    /// The samples `part` of a global batch, as the task takes them. Random numbers that the samples of
    /// a batch share are those of `key`.
    fn collate(&self, global: &[Self::Sample], part: Range<usize>, key: &Key) -> Self::Batch;

    /// Those that cannot be read, as far as they may be left out.
    fn unreadable(&self) -> &Unreadable;

    /// Whether the picture's EXIF data asks for a turn that was not made.
    fn is_turned(&self, sample: &Self::Sample) -> bool;
}

/// Training data: a new order every epoch, full global batches only.
#[derive(Debug)]
pub struct TrainBatches<D: Samples> {
    source: Source<D>,
    seed: u64,
    global_batch: usize,
    micro_batches: usize,
    /// Parts of a micro-batch.
    replicas: usize,
}

/// Evaluation data in its own order, the last batch as long as it comes.
#[derive(Debug)]
pub struct EvalBatches<D: Samples> {
    source: Source<D>,
    batch: usize,
    /// Parts of a batch.
    replicas: usize,
}

/// A loader and where its time went.
#[derive(Debug)]
struct Source<D: Dataset> {
    loader: Loader<D>,
    threads: usize,
    report: RefCell<LoaderReport>,
    /// Pictures read so far.
    pictures: Cell<usize>,
    /// What to say of turned pictures, once.
    turned: Cell<Turned>,
}

/// Whether pictures with an EXIF orientation came, which is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Turned {
    #[default]
    NoneYet,
    /// So many, among so many.
    Seen(usize, usize),
    Said,
}

impl<D: Samples> TrainBatches<D> {
    /// Steps of `global_batch` samples, each in at most `micro_batches` parts; the last part may be
    /// smaller. `threads` read.
    pub fn new(
        dataset: D,
        threads: usize,
        seed: u64,
        global_batch: usize,
        micro_batches: usize,
    ) -> Self {
        let source = Source::new(dataset, threads);
        Self { source, seed, global_batch, micro_batches, replicas: 1 }
    }

    /// With a part of each micro-batch for every replica.
    pub fn for_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// Gives a part of each micro-batch to every one of so many replicas.
    pub fn set_replicas(&mut self, replicas: usize) {
        self.replicas = replicas;
    }

    /// How many replicas have a part of each micro-batch.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// What the batches are made of.
    pub fn dataset(&self) -> &D {
        self.source.loader.dataset()
    }

    /// Number of samples.
    #[expect(clippy::len_without_is_empty, reason = "training data holds a global batch at least")]
    pub fn len(&self) -> usize {
        self.dataset().len()
    }

    /// Samples of one optimizer step.
    pub fn global_batch(&self) -> usize {
        self.global_batch
    }

    /// Samples that are in memory at once.
    pub fn micro_batch(&self) -> usize {
        self.global_batch.div_ceil(self.micro_batches)
    }

    /// Leaves out what an earlier part of the run found unreadable.
    pub fn restore(&self, unreadable: &[usize]) {
        let dataset = self.dataset();
        let known: Vec<usize> =
            unreadable.iter().copied().filter(|index| *index < dataset.len()).collect();
        dataset.unreadable().restore(&known, |index| dataset.name(index));
    }
}

impl<D: Samples> EvalBatches<D> {
    /// Batches of `batch` samples, which `threads` read.
    pub fn new(dataset: D, threads: usize, batch: usize) -> Self {
        Self { source: Source::new(dataset, threads), batch, replicas: 1 }
    }

    /// With a part of each batch for every replica.
    pub fn for_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// The same batches of other samples.
    pub fn with(&self, dataset: D) -> Self {
        let source = Source::new(dataset, self.source.threads);
        Self { source, batch: self.batch, replicas: self.replicas }
    }

    /// Number of samples without those that were found unreadable.
    pub fn readable(&self) -> usize {
        self.len() - self.dataset().unreadable().found().len()
    }

    /// What the batches are made of.
    pub fn dataset(&self) -> &D {
        self.source.loader.dataset()
    }

    /// Number of samples.
    #[expect(clippy::len_without_is_empty, reason = "an empty data set is an error before")]
    pub fn len(&self) -> usize {
        self.dataset().len()
    }
}

impl<D: Samples> Batches for TrainBatches<D> {
    type Batch = D::Batch;

    fn epoch(&self, epoch: usize, first: usize) -> BatchIter<'_, D::Batch> {
        let plan = EpochPlan::shuffled(self.seed, epoch as u64, self.len(), self.global_batch);
        let keys = Key::new(self.seed).of("batch").at(epoch as u64);
        let samples = self.source.batches(plan, first);
        Box::new((first as u64..).zip(samples).map(move |(step, samples)| {
            let (dataset, samples) = (self.dataset(), samples?);
            if samples.is_empty() {
                return Err(dataset.unreadable().nothing_left());
            }
            // What is left of a batch is split: no part is larger than without a gap, and none empty.
            let order: Vec<usize> = (0..samples.len()).collect();
            let parts = order.chunks(self.micro_batch()).flat_map(|part| cut(part, self.replicas));
            Ok(collated(dataset, &samples, parts, &keys.at(step)))
        }))
    }

    fn steps(&self) -> usize {
        self.len() / self.global_batch
    }

    fn report(&self) -> Option<String> {
        Some(self.source.report.take().to_string())
    }

    fn warnings(&self) -> Vec<String> {
        self.source.warnings()
    }

    fn left_out(&self) -> usize {
        self.dataset().unreadable().count()
    }

    fn unreadable(&self) -> Vec<usize> {
        self.dataset().unreadable().found()
    }
}

impl<D: Samples> Batches for EvalBatches<D> {
    type Batch = D::Batch;

    fn epoch(&self, _epoch: usize, first: usize) -> BatchIter<'_, D::Batch> {
        let samples = self.source.batches(EpochPlan::sequential(self.len(), self.batch), first);
        Box::new(samples.map(|samples| {
            let samples = samples?;
            let order: Vec<usize> = (0..samples.len()).collect();
            let parts = cut(&order, self.replicas).into_iter();
            Ok(collated(self.dataset(), &samples, parts, &Key::new(0)))
        }))
    }

    fn steps(&self) -> usize {
        self.len().div_ceil(self.batch)
    }

    fn report(&self) -> Option<String> {
        Some(self.source.report.take().to_string())
    }

    fn warnings(&self) -> Vec<String> {
        self.source.warnings()
    }

    fn left_out(&self) -> usize {
        self.dataset().unreadable().count()
    }

    fn unreadable(&self) -> Vec<usize> {
        self.dataset().unreadable().found()
    }
}

/// The parts of a batch; a part is a list of numbers in a row.
fn collated<'a, D: Samples>(
    dataset: &D,
    samples: &[D::Sample],
    parts: impl Iterator<Item = &'a [usize]>,
    key: &Key,
) -> Vec<D::Batch> {
    let range = |part: &[usize]| part[0]..part[0] + part.len();
    parts.map(|part| dataset.collate(samples, range(part), key)).collect()
}

impl<D: Samples> Source<D> {
    fn new(dataset: D, threads: usize) -> Self {
        let unreadable = dataset.unreadable().clone();
        let loader = Loader::new(Arc::new(dataset), threads).leaving_out(unreadable);
        Self {
            loader,
            threads,
            report: RefCell::default(),
            pictures: Cell::default(),
            turned: Cell::default(),
        }
    }

    /// The batches of a plan; the report follows them.
    fn batches(
        &self,
        plan: EpochPlan,
        first: usize,
    ) -> impl Iterator<Item = Result<Vec<D::Sample>, DataError>> + '_ {
        let mut batches = self.loader.batches(plan, first);
        std::iter::from_fn(move || {
            let batch = batches.next();
            self.report.replace(*batches.report());
            if let Some(Ok(samples)) = &batch {
                self.look_at(samples);
            }
            batch
        })
    }

    fn look_at(&self, samples: &[D::Sample]) {
        self.pictures.set(self.pictures.get() + samples.len());
        let dataset = self.loader.dataset();
        let turned = samples.iter().filter(|sample| dataset.is_turned(sample)).count();
        if turned > 0 && self.turned.get() == Turned::NoneYet {
            self.turned.set(Turned::Seen(turned, self.pictures.get()));
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.loader.dataset().unreadable().take_news();
        if let Turned::Seen(turned, pictures) = self.turned.get() {
            warnings.push(ignored_orientation(turned, &format!("the first {pictures}")));
            self.turned.set(Turned::Said);
        }
        warnings
    }
}

/// What to say of pictures that stay on their side; `among` how many.
pub fn ignored_orientation(turned: usize, among: &str) -> String {
    format!(
        "{turned} of {among} pictures carry an EXIF orientation, which is ignored as in TAO: \
         `hearth.dataset.exif_orientation: apply` turns them upright"
    )
}
