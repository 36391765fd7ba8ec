//! Captioned pictures as batches: what the loader reads, prepares and hands to the task.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use hearth_data::{
    DataError,
    decode::{Orientation, Part, Reading, decode_as, decode_part},
    loader::{Dataset, Loader, LoaderReport, Stage, Stages},
    pairs::Pair,
    random::Key,
    resize::View,
    sampler::EpochPlan,
    tokenizer::Tokenizer,
    transform::{Augmentation, Drawn, PictureRecipe, ResizeMode},
    unreadable::Unreadable,
};
use hearth_engine::{BatchIter, Batches, Run, cut};
use rayon::prelude::*;

use crate::{
    parts::Identity,
    pictures::{Pictures, Prepared, position_crop},
    task::Batch,
};

/// Pairs that are read when they are needed.
#[derive(Debug)]
pub(crate) struct CaptionedPictures {
    /// Where pictures and captions are.
    pub(crate) pairs: Vec<Pair>,
    /// How the pictures are read.
    pub(crate) reading: Reading,
    /// Pairs that cannot be read, as far as they may be left out.
    pub(crate) unreadable: Unreadable,
    /// Preparation for the model.
    pub(crate) picture: PictureRecipe,
    /// Random changes in front of it; none in evaluation.
    pub(crate) augmentation: Option<Augmentation>,
    /// Whether each picture sees a random part of the position table (C-RADIO in training).
    pub(crate) position_crops: bool,
    /// Captions to ids.
    pub(crate) tokenizer: Arc<Tokenizer>,
}

/// One pair, prepared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The picture as the user knows it.
    pub(crate) name: String,
    /// The picture.
    pub(crate) picture: Prepared,
    /// [C].
    pub(crate) ids: Vec<i32>,
    /// The picture's EXIF data asks for a turn that was not made.
    pub(crate) is_turned: bool,
}

/// Training data: a new order every epoch, full global batches only.
#[derive(Debug)]
pub(crate) struct TrainBatches {
    source: Source,
    seed: u64,
    global_batch: usize,
    micro_batches: usize,
    /// Parts of a micro-batch.
    replicas: usize,
}

/// Validation data in its own order, the last batch as long as it comes.
#[derive(Debug)]
pub(crate) struct EvalBatches {
    source: Source,
    batch: usize,
    /// Parts of a batch.
    replicas: usize,
}

/// A loader and where its time went.
#[derive(Debug)]
struct Source {
    loader: Loader<CaptionedPictures>,
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

impl Dataset for CaptionedPictures {
    type Sample = Sample;

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Sample, DataError> {
        let Pair { image, caption } = &self.pairs[index];
        let limit = self.reading.limits.bytes;
        let bytes = stages.time(Stage::Read, || image.read(limit))?;
        let view = |width, height| self.view(key, width, height);
        let part = stages
            .time(Stage::Decode, || decode_part(&bytes, &self.reading, view))
            .map_err(|problem| image.refuse(problem))?;
        let is_turned = part.orientation != Orientation::UPRIGHT;
        let picture = stages.time(Stage::Transform, || self.prepare(&part, key));
        let caption = stages.time(Stage::Read, || caption.text(key))?;
        let ids = stages.time(Stage::Tokenize, || self.tokenizer.encode(&caption))?;
        Ok(Sample { name: self.name(index), picture, ids, is_turned })
    }

    fn name(&self, index: usize) -> String {
        self.pairs[index].image.to_string()
    }
}

impl CaptionedPictures {
    /// What the model sees of a picture of this size.
    fn view(&self, key: &Key, width: u32, height: u32) -> View {
        match self.draw(key, width, height) {
            Some((augmentation, drawn)) => augmentation.view(&drawn, self.picture.size),
            None => self.picture.view(width, height),
        }
    }

    /// The random changes, which the key and the size decide.
    fn draw(&self, key: &Key, width: u32, height: u32) -> Option<(&Augmentation, Drawn)> {
        let augmentation = self.augmentation.as_ref()?;
        Some((augmentation, augmentation.draw(key, width, height)))
    }

    fn prepare(&self, part: &Part, key: &Key) -> Prepared {
        let mut prepared = match self.draw(key, part.width, part.height) {
            Some((_, drawn)) => {
                let mut picture = part.view();
                drawn.finish(&mut picture);
                Prepared { picture, grid: None, crop: None }
            }
            None => Prepared::new(&self.picture, part),
        };
        prepared.crop = self.position_crops.then(|| position_crop(key));
        prepared
    }
}

impl TrainBatches {
    /// Steps of `global_batch` pairs, each in at most `micro_batches` parts; the last part may be smaller.
    pub(crate) fn new(
        dataset: CaptionedPictures,
        threads: usize,
        seed: u64,
        global_batch: usize,
        micro_batches: usize,
    ) -> Self {
        let source = Source::new(dataset, threads);
        Self { source, seed, global_batch, micro_batches, replicas: 1 }
    }

    /// With a part of each micro-batch for every replica.
    pub(crate) fn for_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// How many replicas have a part of each micro-batch.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas
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

    /// Reads and decodes every picture once and names all that cannot be used; an error where they
    /// may not be left out.
    pub(crate) fn check_pictures(&self, run: &Run) -> Result<(), DataError> {
        check_pictures(self.source.dataset(), run)
    }

    /// The most patches of a picture, where there is a budget.
    pub(crate) fn patch_budget(&self) -> Option<u32> {
        match self.source.dataset().picture.resize {
            ResizeMode::PatchBudget { budget, .. } => Some(budget),
            _ => None,
        }
    }

    /// Whether each picture sees a random part of the position table.
    pub(crate) fn position_crops(&self) -> bool {
        self.source.dataset().position_crops
    }

    /// Whether pictures are changed at random.
    pub(crate) fn augments(&self) -> bool {
        self.source.dataset().augmentation.is_some()
    }

    /// Leaves out what an earlier part of the run found unreadable.
    pub(crate) fn restore(&self, unreadable: &[usize]) {
        let dataset = self.source.dataset();
        let known: Vec<usize> =
            unreadable.iter().copied().filter(|index| *index < dataset.len()).collect();
        dataset.unreadable.restore(&known, |index| dataset.name(index));
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
        Self { source: Source::new(dataset, threads), batch, replicas: 1 }
    }

    /// With a part of each batch for every replica.
    pub(crate) fn for_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// The same batches of other pairs.
    pub(crate) fn with(&self, dataset: CaptionedPictures) -> Self {
        let source = Source::new(dataset, self.source.threads);
        Self { source, batch: self.batch, replicas: self.replicas }
    }

    /// Reads and decodes every picture once and names all that cannot be used; an error where they
    /// may not be left out.
    pub(crate) fn check_pictures(&self, run: &Run) -> Result<(), DataError> {
        check_pictures(self.dataset(), run)
    }

    /// Number of pairs without those that were found unreadable.
    pub(crate) fn readable(&self) -> usize {
        self.len() - self.dataset().unreadable.found().len()
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
        Box::new(samples.map(move |samples| match samples?.as_slice() {
            [] => Err(self.source.dataset().unreadable.nothing_left()),
            // What is left of a batch is split: no part is larger than without a gap, and none empty.
            samples => {
                let recipe = &self.source.dataset().picture;
                let parts = samples.chunks(part).flat_map(|samples| cut(samples, self.replicas));
                Ok(parts.map(|part| collate(recipe, part)).collect())
            }
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
        self.source.dataset().unreadable.count()
    }

    fn unreadable(&self) -> Vec<usize> {
        self.source.dataset().unreadable.found()
    }
}

impl Batches for EvalBatches {
    type Batch = Batch;

    fn epoch(&self, _epoch: usize, first: usize) -> BatchIter<'_, Batch> {
        let samples = self.source.batches(EpochPlan::sequential(self.len(), self.batch), first);
        Box::new(samples.map(|samples| {
            let recipe = &self.dataset().picture;
            let samples = samples?;
            let parts = cut(&samples, self.replicas).into_iter();
            Ok(parts.map(|part| collate(recipe, part)).collect())
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
        self.source.dataset().unreadable.count()
    }

    fn unreadable(&self) -> Vec<usize> {
        self.source.dataset().unreadable.found()
    }
}

impl Source {
    fn new(dataset: CaptionedPictures, threads: usize) -> Self {
        let unreadable = dataset.unreadable.clone();
        let loader = Loader::new(Arc::new(dataset), threads).leaving_out(unreadable);
        Self {
            loader,
            threads,
            report: RefCell::default(),
            pictures: Cell::default(),
            turned: Cell::default(),
        }
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
            if let Some(Ok(samples)) = &batch {
                self.look_at(samples);
            }
            batch
        })
    }

    fn look_at(&self, samples: &[Sample]) {
        self.pictures.set(self.pictures.get() + samples.len());
        let turned = samples.iter().filter(|sample| sample.is_turned).count();
        if turned > 0 && self.turned.get() == Turned::NoneYet {
            self.turned.set(Turned::Seen(turned, self.pictures.get()));
        }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.dataset().unreadable.take_news();
        if let Turned::Seen(turned, pictures) = self.turned.get() {
            warnings.push(ignored_orientation(turned, &format!("the first {pictures}")));
            self.turned.set(Turned::Said);
        }
        warnings
    }
}

/// Only the headers tell size and format; the pixels behind them may be torn, so all are decoded. A
/// picture of several pairs, which then follow each other, is decoded once.
fn check_pictures(dataset: &CaptionedPictures, run: &Run) -> Result<(), DataError> {
    let repeats = |at: usize| at > 0 && dataset.pairs[at - 1].image == dataset.pairs[at].image;
    let read = |Pair { image, .. }: &Pair| {
        let bytes = image.read(dataset.reading.limits.bytes)?;
        let decoded = decode_as(&bytes, &dataset.reading);
        decoded.map(|decoded| decoded.orientation).map_err(|problem| image.refuse(problem))
    };
    let first: Vec<usize> = (0..dataset.pairs.len()).filter(|at| !repeats(*at)).collect();
    let found: Vec<Result<Orientation, DataError>> =
        first.par_iter().map(|at| read(&dataset.pairs[*at])).collect();
    let is_turned = |found: &&Result<Orientation, DataError>| {
        found.as_ref().is_ok_and(|orientation| *orientation != Orientation::UPRIGHT)
    };
    match found.iter().filter(is_turned).count() {
        0 => {}
        turned => run.warn(&ignored_orientation(turned, &found.len().to_string())),
    }
    let mut refused = Vec::new();
    for (index, found) in first.into_iter().zip(found) {
        let Err(error) = found else { continue };
        match dataset.unreadable.leave_out(index, error) {
            Err(error) => refused.push(error),
            // Its other pairs are lost with it.
            Ok(()) => {
                for at in (index + 1..dataset.pairs.len()).take_while(|at| repeats(*at)) {
                    let Err(error) = read(&dataset.pairs[at]) else { break };
                    refused.extend(dataset.unreadable.leave_out(at, error).err());
                }
            }
        }
    }
    dataset.unreadable.take_news().iter().for_each(|news| run.warn(news));
    match refused.pop() {
        None => Ok(()),
        // All of them were named just now.
        Some(error @ DataError::TooManyUnreadable { .. }) => Err(error),
        Some(error) => {
            refused.push(error);
            Err(DataError::Several(refused))
        }
    }
}

/// What to say of pictures that stay on their side; `among` how many.
pub(crate) fn ignored_orientation(turned: usize, among: &str) -> String {
    format!(
        "{turned} of {among} pictures carry an EXIF orientation, which is ignored as in TAO: \
         `hearth.dataset.exif_orientation: apply` turns them upright"
    )
}

fn collate(recipe: &PictureRecipe, samples: &[Sample]) -> Batch {
    let pictures = Pictures::collate(recipe, samples.iter().map(|sample| &sample.picture));
    let mut batch = Batch { pictures, ..Batch::default() };
    for sample in samples {
        batch.names.push(sample.name.clone());
        batch.ids.extend_from_slice(&sample.ids);
    }
    batch
}
