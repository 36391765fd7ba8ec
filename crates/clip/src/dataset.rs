//! Captioned pictures as batches: what the loader reads, prepares and hands to the task.

use std::{ops::Range, sync::Arc};

use hearth_data::{
    DataError,
    decode::{Orientation, Part, Reading, decode_as, decode_part},
    loader::{Dataset, Stage, Stages},
    pairs::Pair,
    random::Key,
    resize::View,
    tokenizer::Tokenizer,
    transform::{Augmentation, Drawn, PictureRecipe, ResizeMode},
    unreadable::Unreadable,
};
use hearth_engine::{Identity, Run, Samples};

use crate::{
    pictures::{Pictures, Prepared, position_crop},
    task::Batch,
};

/// Training pairs.
pub(crate) type TrainBatches = hearth_engine::TrainBatches<CaptionedPictures>;
/// Validation pairs.
pub(crate) type EvalBatches = hearth_engine::EvalBatches<CaptionedPictures>;

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

impl Samples for CaptionedPictures {
    type Batch = Batch;

    fn collate(&self, global: &[Sample], part: Range<usize>, _key: &Key) -> Batch {
        let samples = &global[part];
        let pictures =
            Pictures::collate(&self.picture, samples.iter().map(|sample| &sample.picture));
        let mut batch = Batch { pictures, ..Batch::default() };
        for sample in samples {
            batch.names.push(sample.name.clone());
            batch.ids.extend_from_slice(&sample.ids);
        }
        batch
    }

    fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    fn is_turned(&self, sample: &Sample) -> bool {
        sample.is_turned
    }
}

impl CaptionedPictures {
    /// The most patches of a picture, where there is a budget.
    pub(crate) fn patch_budget(&self) -> Option<u32> {
        match self.picture.resize {
            ResizeMode::PatchBudget { budget, .. } => Some(budget),
            _ => None,
        }
    }

    /// SHA-256 over names and captions, in order, without folders: the same data elsewhere is the
    /// same data.
    pub(crate) fn digest(&self) -> String {
        let mut identity = Identity::default();
        for Pair { image, caption } in &self.pairs {
            identity.add(image.name());
            caption.identify(|part| identity.add(part));
        }
        identity.finish()
    }
}

/// Reads every picture once; see [`hearth_engine::check_pictures`]. That of several pairs, which then follow
/// each other, is decoded once.
pub(crate) fn check_pictures(dataset: &CaptionedPictures, run: &Run) -> Result<(), DataError> {
    let image = |at: usize| &dataset.pairs[at].image;
    let read = |at: usize| {
        let bytes = image(at).read(dataset.reading.limits.bytes)?;
        let decoded = decode_as(&bytes, &dataset.reading);
        decoded.map(|decoded| decoded.orientation).map_err(|problem| image(at).refuse(problem))
    };
    let repeats = |at: usize| at > 0 && image(at - 1) == image(at);
    hearth_engine::check_pictures(dataset, read, repeats, run)
}
