//! The data sets that a spec names.

use std::{path::PathBuf, sync::Arc};

use hearth_data::{
    captions::{Pair, PairSource, Pairs, read_pairs, read_readable_pairs},
    random::Key,
    transform::{Augmentation, ColourJitter, ResizeMode},
    unreadable::Unreadable,
};
use hearth_engine::Run;
use hearth_spec::Document;

use crate::{
    dataset::{CaptionedPictures, EvalBatches, TrainBatches},
    error::ClipError,
    registry::Family,
    setup::Setup,
    spec::{ClipSpec, PathBlock},
};

/// Training pairs in steps of the global batch.
pub(crate) fn training_data(
    document: &Document,
    spec: &ClipSpec,
    setup: &Setup,
    run: &Run,
) -> Result<TrainBatches, ClipError> {
    let train = &spec.dataset.train;
    let (pairs, unreadable) = pairs(&train.datasets, spec, run)?;
    let devices = spec.train.num_devices();
    let global_batch = train.batch_size * devices;
    if pairs.len() < global_batch {
        let mut checks = document.check();
        checks.refuse(
            "dataset.train.batch_size",
            format!(
                "dataset size ({}) is smaller than the total batch size ({global_batch}), not \
                 enough data for train",
                pairs.len()
            ),
        );
        checks.hint(format!("at most {} fit on {devices} device(s)", pairs.len() / devices));
        checks.into_result()?;
    }
    let mut dataset = dataset(pairs, unreadable, spec, setup);
    dataset.augmentation = augmentation(document, spec, setup, run);
    dataset.position_crops = setup.family() == Family::Radio
        && spec.hearth.train.position_crops
        && !spec.model.freeze_vision_encoder;
    let micro_batches = devices * spec.hearth.train.micro_batches;
    let seed = spec.dataset.seed as u64;
    Ok(TrainBatches::new(dataset, train.num_workers, seed, global_batch, micro_batches))
}

/// Validation pairs of `dataset.val`; none where the spec names none.
pub(crate) fn validation_data(
    spec: &ClipSpec,
    setup: &Setup,
    run: &Run,
) -> Result<Option<EvalBatches>, ClipError> {
    let val = &spec.dataset.val;
    if val.datasets.is_empty() {
        return Ok(None);
    }
    let (pairs, unreadable) = pairs(&val.datasets, spec, run)?;
    let dataset = dataset(pairs, unreadable, spec, setup);
    Ok(Some(EvalBatches::new(dataset, val.num_workers, val.batch_size)))
}

/// The same pictures, each with the caption of another.
pub(crate) fn shuffled(data: &EvalBatches) -> EvalBatches {
    let dataset = data.dataset();
    let order = Key::new(0).of("shuffled captions").rng().permutation(dataset.pairs.len());
    let pairs = dataset.pairs.iter().zip(order).map(|(pair, other)| Pair {
        image: pair.image.clone(),
        caption: dataset.pairs[other].caption.clone(),
    });
    data.with(CaptionedPictures {
        pairs: pairs.collect(),
        reading: dataset.reading,
        unreadable: dataset.unreadable.clone(),
        picture: dataset.picture.clone(),
        augmentation: None,
        position_crops: false,
        tokenizer: Arc::clone(&dataset.tokenizer),
    })
}

/// The pairs as evaluation reads them.
fn dataset(
    pairs: Vec<Pair>,
    unreadable: Unreadable,
    spec: &ClipSpec,
    setup: &Setup,
) -> CaptionedPictures {
    CaptionedPictures {
        pairs,
        reading: spec.reading(),
        unreadable,
        picture: setup.recipe.picture.clone(),
        augmentation: None,
        position_crops: false,
        tokenizer: Arc::clone(&setup.tokenizer),
    }
}

fn pairs(
    blocks: &[PathBlock],
    spec: &ClipSpec,
    run: &Run,
) -> Result<(Vec<Pair>, Unreadable), ClipError> {
    let sources: Vec<PairSource> = blocks.iter().map(pair_source).collect();
    let tolerance = spec.tolerance();
    let Pairs { pairs, warnings, left_out } = match tolerance.share > 0.0 {
        true => read_readable_pairs(&sources)?,
        false => read_pairs(&sources)?,
    };
    warnings.iter().for_each(|warning| run.warn(warning));
    let unreadable = Unreadable::new(tolerance, pairs.len(), left_out)?;
    unreadable.take_news().iter().for_each(|news| run.warn(news));
    Ok((pairs, unreadable))
}

fn pair_source(block: &PathBlock) -> PairSource {
    PairSource {
        image_dir: PathBuf::from(&block.image_dir),
        image_list_file: block.image_list_file.as_ref().map(PathBuf::from),
        caption_dir: block.caption_dir.as_ref().map(PathBuf::from),
        caption_file_suffix: block.caption_file_suffix.clone(),
    }
}

/// The random changes of training pictures. As in TAO, SigLIP2 has none: its processor of the
/// evaluation serves training too.
fn augmentation(
    document: &Document,
    spec: &ClipSpec,
    setup: &Setup,
    run: &Run,
) -> Option<Augmentation> {
    let flexible = matches!(setup.recipe.picture.resize, ResizeMode::PatchBudget { .. });
    if setup.family() == Family::SigLip2 || flexible {
        if document.is_written("dataset.augmentation") {
            run.warn(&format!(
                "`dataset.augmentation` is ignored: `{}` trains on pictures as it evaluates them",
                setup.recipe.model_type
            ));
        }
        return None;
    }
    let augmentation = &spec.dataset.augmentation;
    Some(Augmentation {
        scale: [augmentation.scale[0], augmentation.scale[1]],
        filter: setup.recipe.picture.filter,
        colour_jitter: colour_jitter(&augmentation.color_jitter),
        grayscale: augmentation.grayscale,
        ..Augmentation::default()
    })
}

/// `[probability, brightness, contrast, saturation, hue]`; four values are without the probability,
/// none switch the changes off. Other lengths are errors of the spec.
fn colour_jitter(values: &[f64]) -> Option<ColourJitter> {
    let (probability, rest) = match values {
        [probability, rest @ ..] if rest.len() == 4 => (*probability, rest),
        rest => (0.8, rest),
    };
    let &[brightness, contrast, saturation, hue] = rest else { return None };
    Some(ColourJitter { probability, brightness, contrast, saturation, hue })
}
