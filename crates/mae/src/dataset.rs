//! Pictures, with or without classes, as batches: what the loader reads, prepares and hands to a task.

use std::{ops::Range, path::PathBuf};

use hearth_data::{
    DataError,
    decode::{Orientation, Reading, decode_part, read_bytes},
    loader::{Dataset, Stage, Stages},
    mixing::{Mixing, mix_labels, mix_pictures},
    picture::Picture,
    random::Key,
    transform::{Augmentation, PictureRecipe, RandomErasing},
    unreadable::Unreadable,
};
use hearth_engine::{Identity, Samples};

use crate::task::Batch;

/// Pictures that are read when they are needed.
#[derive(Debug)]
pub struct Pictures {
    /// The files.
    pub files: Vec<PathBuf>,
    /// The class of every file; nothing in pre-training.
    pub labels: Vec<usize>,
    /// How the files are read.
    pub reading: Reading,
    /// Files that cannot be read, as far as they may be left out.
    pub unreadable: Unreadable,
    /// Preparation for the model.
    pub picture: PictureRecipe,
    /// Random changes in front of it; none in evaluation.
    pub augmentation: Option<Augmentation>,
    /// A box of noise behind it; none in evaluation.
    pub erasing: Option<RandomErasing>,
    /// What a classifier should answer in training.
    pub targets: Option<Targets>,
}

/// How the answers of a global batch are made of its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Which pictures become one.
    pub mixing: Mixing,
    /// What a label gives to all other classes.
    pub smoothing: f64,
    /// Answers.
    pub classes: usize,
}

/// One picture, prepared but for its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    name: String,
    /// In the size of the input.
    picture: Picture,
    label: Option<usize>,
    /// Its random numbers.
    key: Key,
    is_turned: bool,
}

impl Dataset for Pictures {
    type Sample = Sample;

    fn len(&self) -> usize {
        self.files.len()
    }

    fn sample(&self, index: usize, key: &Key, stages: &mut Stages) -> Result<Sample, DataError> {
        let file = &self.files[index];
        let bytes = stages.time(Stage::Read, || read_bytes(file, self.reading.limits.bytes))?;
        let drawn = |width, height| {
            let augmentation = self.augmentation.as_ref()?;
            Some((augmentation, augmentation.draw(key, width, height)))
        };
        let view = |width, height| match drawn(width, height) {
            Some((augmentation, drawn)) => augmentation.view(&drawn, self.picture.size),
            None => self.picture.view(width, height),
        };
        let part = stages
            .time(Stage::Decode, || decode_part(&bytes, &self.reading, view))
            .map_err(|problem| problem.in_file(file))?;
        let picture = stages.time(Stage::Transform, || {
            let mut picture = part.view();
            if let Some((_, drawn)) = drawn(part.width, part.height) {
                drawn.finish(&mut picture);
            }
            picture
        });
        Ok(Sample {
            name: self.name(index),
            picture,
            label: self.labels.get(index).copied(),
            key: key.clone(),
            is_turned: part.orientation != Orientation::UPRIGHT,
        })
    }

    fn name(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }
}

impl Samples for Pictures {
    type Batch = Batch;

    fn collate(&self, global: &[Sample], part: Range<usize>, key: &Key) -> Batch {
        let samples = &global[part.clone()];
        let mut batch = Batch {
            names: samples.iter().map(|sample| sample.name.clone()).collect(),
            labels: samples.iter().filter_map(|sample| sample.label).collect(),
            ..Batch::default()
        };
        let Some(Targets { mixing, smoothing, classes }) = &self.targets else {
            batch.pixels = self.pixels(samples);
            return batch;
        };
        let size = self.picture.size;
        let mixes = mixing.draw(key, global.len(), size, size);
        // Partners lie anywhere in the batch.
        batch.pixels = match mixing.is_active() {
            true => mix_pictures(&mixes, part.clone(), &self.pixels(global), size),
            false => self.pixels(samples),
        };
        let labels: Vec<usize> = global.iter().filter_map(|sample| sample.label).collect();
        batch.targets = mix_labels(&mixes, part, &labels, *classes, *smoothing);
        batch
    }

    fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    fn is_turned(&self, sample: &Sample) -> bool {
        sample.is_turned
    }
}

impl Pictures {
    /// [B, 3, S, S], normalised, with boxes of noise where they are drawn.
    fn pixels(&self, samples: &[Sample]) -> Vec<f32> {
        let numbers = samples.first().map_or(1, |sample| sample.picture.pixels.len());
        let mut pixels = vec![0.0; numbers * samples.len()];
        for (sample, input) in samples.iter().zip(pixels.chunks_exact_mut(numbers)) {
            self.picture.write(&sample.picture, input);
            if let Some(erasing) = &self.erasing {
                erasing.apply(&sample.key, input, self.picture.size, self.picture.size);
            }
        }
        pixels
    }

    /// The first `count` of them, as evaluation reads them.
    pub fn first(&self, count: usize) -> Pictures {
        Pictures {
            files: self.files.iter().take(count).cloned().collect(),
            labels: self.labels.iter().take(count).copied().collect(),
            reading: self.reading,
            unreadable: self.unreadable.clone(),
            picture: self.picture.clone(),
            augmentation: None,
            erasing: None,
            targets: None,
        }
    }

    /// SHA-256 over names and classes, in order, without folders: the same data elsewhere is the same
    /// data.
    pub fn digest(&self) -> String {
        let mut identity = Identity::default();
        for (index, file) in self.files.iter().enumerate() {
            identity.add(file.file_name().unwrap_or_default().as_encoded_bytes());
            let label = self.labels.get(index).map_or(u64::MAX, |label| *label as u64);
            identity.add(&label.to_le_bytes());
        }
        identity.finish()
    }
}
