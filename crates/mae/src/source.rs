//! From a spec's data sets to batches.

use std::path::{Path, PathBuf};

use hearth_data::{
    classes::{ByClass, Class, ClassSource, read_classes},
    inputs::{PictureSource, pictures},
    mixing::{MixMode, Mixing},
    resize::{Filter, FilterChoice},
    transform::{Augmentation, ColourJitter, RandAugment, RandomErasing, fill_colour},
    unreadable::{Tolerance, Unreadable},
};
use hearth_engine::{EvalBatches, Run, TrainBatches, reading, tolerance};
use hearth_spec::Document;

use crate::{
    dataset::{Pictures, Targets},
    error::MaeError,
    recipe::{Classes, Gives, Recipe},
    spec::{AugmentationSpec, Interpolation, MaeSpec, MixupMode, Stage},
};

/// Keys of the data sets.
const TRAIN: &str = "dataset.train_data_sources";
const VAL: &str = "dataset.val_data_sources";

/// Training pictures in steps of the global batch; what a classifier learns to tell goes to the recipe.
pub(crate) fn training_data(
    document: &Document,
    spec: &MaeSpec,
    recipe: &mut Recipe,
    seed: u64,
    run: &Run,
) -> Result<TrainBatches<Pictures>, MaeError> {
    let path = Path::new(&spec.dataset.train_data_sources);
    let (files, labels) = match &mut recipe.gives {
        Gives::Reconstructions(_) => (files(path, run)?, Vec::new()),
        Gives::Classes(classes) => {
            let found = by_class(path, TRAIN, classes, run)?;
            learn(document, &found.classes, classes, run)?;
            split(found)
        }
    };
    let turns = spec.train.common.num_devices() * spec.train.accum_grad_batches;
    let global_batch = spec.dataset.batch_size * turns;
    if files.len() < global_batch {
        let mut checks = document.check();
        let message = format!(
            "dataset size ({}) is smaller than the total batch size ({global_batch}), not enough data \
             for train",
            files.len()
        );
        checks.refuse("dataset.batch_size", message);
        checks.hint(format!("at most {} fit", files.len() / turns));
        checks.into_result()?;
    }
    let mut dataset = dataset(files, labels, spec, recipe)?;
    let own = &spec.dataset.augmentation;
    dataset.augmentation = Some(augmentation(own, recipe.stage()));
    if let Gives::Classes(classes) = &recipe.gives {
        dataset.targets = Some(targets(own, classes));
        dataset.erasing = (own.re_prob > 0.0).then(|| RandomErasing::new(own.re_prob));
    }
    let threads = spec.dataset.num_workers_per_gpu;
    let micro_batches = turns * spec.hearth.train.common.micro_batches;
    Ok(TrainBatches::new(dataset, threads, seed, global_batch, micro_batches))
}

/// Validation pictures; none where the spec names none.
pub(crate) fn validation_data(
    spec: &MaeSpec,
    recipe: &Recipe,
    batch: usize,
    run: &Run,
) -> Result<Option<EvalBatches<Pictures>>, MaeError> {
    let path = &spec.dataset.val_data_sources;
    if path.is_empty() {
        return Ok(None);
    }
    let path = Path::new(path);
    let (files, labels) = match &recipe.gives {
        Gives::Reconstructions(_) => (files(path, run)?, Vec::new()),
        Gives::Classes(classes) => split(by_class(path, VAL, classes, run)?),
    };
    let dataset = dataset(files, labels, spec, recipe)?;
    Ok(Some(EvalBatches::new(dataset, spec.dataset.num_workers_per_gpu, batch)))
}

/// Pictures of `inference`.
pub(crate) fn test_data(
    spec: &MaeSpec,
    recipe: &Recipe,
    batch: usize,
    run: &Run,
) -> Result<EvalBatches<Pictures>, MaeError> {
    let path = spec.dataset.test_data_sources.as_deref().unwrap_or_default();
    let files = files(Path::new(path), run)?;
    let mut dataset = dataset(files, Vec::new(), spec, recipe)?;
    // As in TAO, what cannot be read is left out.
    let all = Tolerance { share: 1.0, ..tolerance(&spec.hearth.dataset) };
    dataset.unreadable = Unreadable::new(all, dataset.files.len(), Vec::new())?;
    Ok(EvalBatches::new(dataset, spec.dataset.num_workers_per_gpu, batch))
}

fn files(path: &Path, run: &Run) -> Result<Vec<PathBuf>, MaeError> {
    let found = pictures(&[PictureSource::at(path)])?;
    found.warnings.iter().for_each(|warning| run.warn(warning));
    Ok(found.pictures)
}

/// Pictures with classes, numbered as the model knows them if it knows any.
fn by_class(
    path: &Path,
    key: &'static str,
    classes: &Classes,
    run: &Run,
) -> Result<ByClass, MaeError> {
    let found = read_classes(&ClassSource::labels_at(path, key))?;
    found.warnings.iter().for_each(|warning| run.warn(warning));
    if classes.names.is_empty() {
        return Ok(found);
    }
    let known: Vec<Class> =
        classes.names.iter().map(|name| Class { key: name.clone(), name: name.clone() }).collect();
    Ok(found.in_order_of(&known, path)?)
}

fn split(found: ByClass) -> (Vec<PathBuf>, Vec<usize>) {
    found.pictures.into_iter().map(|picture| (picture.image, picture.class)).unzip()
}

/// Gives the head its classes: at most as many as it has answers.
fn learn(
    document: &Document,
    found: &[Class],
    classes: &mut Classes,
    run: &Run,
) -> Result<(), MaeError> {
    let (key, count) = ("model.num_classes", classes.count);
    if found.len() > count {
        let mut checks = document.check();
        checks
            .error(key, count, format!("{}, the classes of `{TRAIN}`", found.len()))
            .hint(format!("set `{key}={}`", found.len()));
        checks.into_result()?;
    }
    if found.len() < count {
        run.warn(&format!(
            "`{key}` is {count}, `{TRAIN}` has {} classes: the other answers stay untrained; \
             `{key}={}` leaves them out",
            found.len(),
            found.len()
        ));
    }
    classes.names = found.iter().map(|class| class.key.clone()).collect();
    Ok(())
}

/// Pictures as evaluation reads them.
fn dataset(
    files: Vec<PathBuf>,
    labels: Vec<usize>,
    spec: &MaeSpec,
    recipe: &Recipe,
) -> Result<Pictures, MaeError> {
    Ok(Pictures {
        unreadable: Unreadable::new(tolerance(&spec.hearth.dataset), files.len(), Vec::new())?,
        files,
        labels,
        reading: reading(&spec.hearth.dataset),
        picture: recipe.picture.clone(),
        augmentation: None,
        erasing: None,
        targets: None,
    })
}

/// Random changes of single pictures. Pre-training crops and mirrors; its resizing is bicubic.
fn augmentation(own: &AugmentationSpec, stage: Stage) -> Augmentation {
    let crops = Augmentation {
        scale: [own.min_scale, own.max_scale],
        ratio: [own.min_ratio, own.max_ratio],
        filter: Filter::Bicubic.into(),
        flip: own.hflip,
        ..Augmentation::default()
    };
    if stage == Stage::Pretrain {
        return crops;
    }
    let filter = match own.interpolation {
        Interpolation::Bilinear => Filter::Bilinear.into(),
        Interpolation::Bicubic => Filter::Bicubic.into(),
        Interpolation::Random => FilterChoice::Either,
    };
    let policy = own.auto_aug.as_deref().filter(|policy| !policy.is_empty());
    let rand_augment = policy.map(|policy| RandAugment {
        fill: fill_colour([own.mean[0], own.mean[1], own.mean[2]]),
        ..RandAugment::parse(policy).expect("the spec's check read it")
    });
    let jitters = policy.is_none() && own.color_jitter > 0.0;
    let colour_jitter = jitters.then_some(ColourJitter {
        probability: 1.0,
        brightness: own.color_jitter,
        contrast: own.color_jitter,
        saturation: own.color_jitter,
        hue: 0.0,
    });
    Augmentation { filter, colour_jitter, rand_augment, ..crops }
}

/// What becomes of the labels of a global batch.
fn targets(own: &AugmentationSpec, classes: &Classes) -> Targets {
    let mixing = Mixing {
        mixup: own.mixup,
        cutmix: own.cutmix,
        cutmix_sides: None,
        probability: own.mixup_prob,
        switch: own.mixup_switch_prob,
        mode: match own.mixup_mode {
            MixupMode::Batch => MixMode::Batch,
            MixupMode::Pair => MixMode::Pair,
            MixupMode::Elem => MixMode::Elem,
        },
    };
    Targets { mixing, smoothing: own.smoothing, classes: classes.count }
}
