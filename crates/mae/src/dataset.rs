//! Pictures, with or without classes, as batches: what the loader reads, prepares and hands to a task.

use std::{ops::Range, path::PathBuf};

use hearth_data::{
    DataError,
    decode::{Orientation, Reading, decode_part, read_bytes},
    loader::{Dataset, Stage, Stages},
    picture::Picture,
    random::Key,
    transform::{Augmentation, PictureRecipe},
    unreadable::Unreadable,
};
use hearth_engine::Samples;

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
}

/// One picture, prepared but for its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    name: String,
    /// In the size of the input.
    picture: Picture,
    label: Option<usize>,
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
            is_turned: part.orientation != Orientation::UPRIGHT,
        })
    }

    fn name(&self, index: usize) -> String {
        self.files[index].display().to_string()
    }
}

impl Samples for Pictures {
    type Batch = Batch;

    fn collate(&self, global: &[Sample], part: Range<usize>, _key: &Key) -> Batch {
        let samples = &global[part];
        let numbers = samples.first().map_or(1, |sample| sample.picture.pixels.len());
        let mut pixels = vec![0.0; numbers * samples.len()];
        for (sample, input) in samples.iter().zip(pixels.chunks_exact_mut(numbers)) {
            self.picture.write(&sample.picture, input);
        }
        Batch {
            names: samples.iter().map(|sample| sample.name.clone()).collect(),
            pixels,
            targets: Vec::new(),
            labels: samples.iter().filter_map(|sample| sample.label).collect(),
        }
    }

    fn unreadable(&self) -> &Unreadable {
        &self.unreadable
    }

    fn is_turned(&self, sample: &Sample) -> bool {
        sample.is_turned
    }
}
