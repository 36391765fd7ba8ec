//! Reading pictures as a spec asks, and all of them once before a training.

use hearth_data::{
    DataError,
    decode::{Orientation, Reading},
    unreadable::Tolerance,
};
use hearth_spec::common::{ExifOrientation, PictureReading};
use rayon::prelude::*;

use crate::{
    batches::{Samples, ignored_orientation},
    run::Run,
};

/// How pictures are read.
pub fn reading(spec: &PictureReading) -> Reading {
    let upright = spec.exif_orientation == ExifOrientation::Apply;
    Reading { upright, draft: spec.jpeg_draft, ..Reading::default() }
}

/// How much of a data set may be unreadable.
pub fn tolerance(spec: &PictureReading) -> Tolerance {
    Tolerance { share: spec.max_unreadable, key: "hearth.dataset.max_unreadable" }
}

/// Reads every picture once and names all that cannot be used; an error where they may not be left out.
///
/// Only the headers tell size and format; the pixels behind them may be torn, so `read` decodes the picture
/// of a sample. Where one `repeats` that of the sample in front, it is read once.
pub fn check_pictures<D: Samples>(
    dataset: &D,
    read: impl Fn(usize) -> Result<Orientation, DataError> + Sync,
    repeats: impl Fn(usize) -> bool,
    run: &Run,
) -> Result<(), DataError> {
    let (count, unreadable) = (dataset.len(), dataset.unreadable());
    let first: Vec<usize> = (0..count).filter(|at| !repeats(*at)).collect();
    let found: Vec<Result<Orientation, DataError>> = first.par_iter().map(|at| read(*at)).collect();
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
        match unreadable.leave_out(index, error) {
            Err(error) => refused.push(error),
            // Its other samples are lost with it.
            Ok(()) => {
                for at in (index + 1..count).take_while(|at| repeats(*at)) {
                    let Err(error) = read(at) else { break };
                    refused.extend(unreadable.leave_out(at, error).err());
                }
            }
        }
    }
    unreadable.take_news().iter().for_each(|news| run.warn(news));
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
