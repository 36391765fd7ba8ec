//! The data sets that a spec names.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use hearth_data::{
    DataError,
    cache::Cache,
    captions::{Captions, PairSource},
    pairs::{Missing, Pair, Pairs, Reading, Source, read_pairs},
    random::Key,
    shards::{Shard, ShardSource, is_address, is_shard},
    transform::{Augmentation, ColourJitter, ResizeMode},
    unreadable::Unreadable,
};
use hearth_engine::{Run, reading, tolerance};
use hearth_spec::Document;

use crate::{
    dataset::{CaptionedPictures, EvalBatches, TrainBatches},
    error::ClipError,
    peft::{Adaptation, Peft},
    registry::Family,
    setup::Setup,
    spec::{CaptionChoice, ClipSpec, PathBlock, TrainSource, WdsSpec},
    waiting::Waiting,
};

/// Training pairs in steps of the global batch.
pub(crate) fn training_data(
    document: &Document,
    spec: &ClipSpec,
    setup: &Setup,
    peft: &Peft,
    run: &Run,
) -> Result<TrainBatches, ClipError> {
    let train = &spec.dataset.train;
    let captions = spec.hearth.dataset.train.captions;
    let sources = match train.kind {
        TrainSource::Custom => train.datasets.iter().map(source).collect::<Result<_, _>>()?,
        TrainSource::Wds => vec![Source::Shards(shards(&train.wds))],
    };
    let (Pairs { pairs, shards, .. }, unreadable) =
        pairs(&sources, training_captions(captions), spec, run)?;
    if train.kind == TrainSource::Wds {
        compare_counts(document, spec, &shards, run);
    }
    let devices = spec.train.common.num_devices();
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
        && peft.vision != Adaptation::Frozen;
    let micro_batches = devices * spec.hearth.train.common.micro_batches;
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
    let captions = match spec.hearth.dataset.train.captions {
        Some(_) => Captions::First,
        None => Captions::Whole,
    };
    let sources = val.datasets.iter().map(source).collect::<Result<Vec<Source>, _>>()?;
    let (Pairs { pairs, .. }, unreadable) = pairs(&sources, captions, spec, run)?;
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
        reading: reading(&spec.hearth.dataset.reading),
        unreadable,
        picture: setup.recipe.picture.clone(),
        augmentation: None,
        position_crops: false,
        tokenizer: Arc::clone(&setup.tokenizer),
    }
}

fn pairs(
    sources: &[Source],
    captions: Captions,
    spec: &ClipSpec,
    run: &Run,
) -> Result<(Pairs, Unreadable), ClipError> {
    let (cache, watch, tolerance) =
        (cache(), Waiting::of(run), tolerance(&spec.hearth.dataset.reading));
    let missing = if tolerance.share > 0.0 { Missing::IsLeftOut } else { Missing::IsAnError };
    let mut found =
        read_pairs(sources, &Reading { captions, cache: &cache, missing, watch: &watch })
            .map_err(|error| watch.explained(error))?;
    found.warnings.iter().for_each(|warning| run.warn(warning));
    let left_out = std::mem::take(&mut found.left_out);
    let unreadable = Unreadable::new(tolerance, found.pairs.len(), left_out)?;
    unreadable.take_news().iter().for_each(|news| run.warn(news));
    Ok((found, unreadable))
}

/// Where indexes of shards and unpacked archives are kept.
pub(crate) fn cache() -> Cache {
    Cache::from_environment(&|name| env::var_os(name))
}

fn training_captions(choice: Option<CaptionChoice>) -> Captions {
    match choice {
        None => Captions::Whole,
        Some(CaptionChoice::First) => Captions::First,
        Some(CaptionChoice::All) => Captions::All,
        Some(CaptionChoice::Random) => Captions::Random,
    }
}

/// A folder of pictures, or a shard: an address, or an archive with no key beside it that is about
/// folders.
fn source(block: &PathBlock) -> Result<Source, DataError> {
    let image_dir = PathBuf::from(&block.image_dir);
    let of_folders = [
        ("caption_dir", block.caption_dir.is_some()),
        ("image_list_file", block.image_list_file.is_some()),
        (
            "caption_file_suffix",
            block.caption_file_suffix != PathBlock::default().caption_file_suffix,
        ),
    ];
    let beside = of_folders.iter().find(|(_, is_set)| *is_set).map(|(key, _)| *key);
    let shard = ShardSource::One(image_dir.clone());
    match beside {
        Some(key) if is_address(&block.image_dir) => {
            return Err(DataError::Archive {
                name: shard.shown(),
                problem: format!(
                    "found `{key}` beside the address of a shard, which holds its captions"
                ),
                hint: Some(format!(
                    "take out `{key}`, or fetch the archive and name it by its path"
                )),
            });
        }
        None if is_address(&block.image_dir) || is_shard(&image_dir) && !image_dir.is_dir() => {
            return Ok(Source::Shards(shard));
        }
        _ => {}
    }
    Ok(Source::Folder(PairSource {
        image_dir,
        image_list_file: block.image_list_file.as_ref().map(PathBuf::from),
        caption_dir: block.caption_dir.as_ref().map(PathBuf::from),
        caption_file_suffix: block.caption_file_suffix.clone(),
    }))
}

fn shards(wds: &WdsSpec) -> ShardSource {
    match (&wds.shard_list_file, &wds.root_dir) {
        (Some(list), root) => ShardSource::List { list: list.into(), root: root.clone() },
        (None, root) => {
            let root = root.as_deref().expect("`spec::check` asks for one of the two");
            ShardSource::Below(Path::new(root).to_owned())
        }
    }
}

/// Says so where the shards do not hold what the spec says: an epoch is what they hold.
fn compare_counts(document: &Document, spec: &ClipSpec, shards: &[Arc<Shard>], run: &Run) {
    let key = "dataset.train.wds.samples_per_shard";
    let written = spec.dataset.train.wds.samples_per_shard;
    let different = shards.iter().filter(|shard| shard.len() != written).count();
    if document.is_written(key) && different > 0 {
        let counts = shards.iter().map(|shard| shard.len());
        let (least, most) = (counts.clone().min().unwrap_or(0), counts.clone().max().unwrap_or(0));
        let held = if least == most { least.to_string() } else { format!("{least} to {most}") };
        run.warn(&format!(
            "`{key}` is {written}, {different} of {} shards hold another number of samples ({held}): \
             an epoch is what they hold, {} samples",
            shards.len(),
            counts.sum::<usize>()
        ));
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
        filter: setup.recipe.picture.filter.into(),
        colour_jitter: colour_jitter(&augmentation.color_jitter),
        grayscale: augmentation.grayscale,
        flip: spec.hearth.dataset.train.flip,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shards_and_are_refused_without_their_secrets() {
        for (address, shown) in [
            ("https://me:PASSWORD@h/a.tar?sig=TOKEN", "https://h/a.tar: "),
            ("s3://KEY:SECRET@bucket/a", "s3://bucket/a: "),
        ] {
            let block = PathBlock { image_dir: address.to_owned(), ..PathBlock::default() };
            let expected = Source::Shards(ShardSource::One(address.into()));
            assert_eq!(source(&block).unwrap(), expected);
            let text = Some("x".to_owned());
            for block in [
                PathBlock { caption_dir: text.clone(), ..block.clone() },
                PathBlock { image_list_file: text.clone(), ..block.clone() },
                PathBlock { caption_file_suffix: ".caption".to_owned(), ..block.clone() },
            ] {
                let error = source(&block).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{shown}found `")), "{error}");
            }
        }
    }
}
