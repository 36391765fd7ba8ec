//! From class folders to the outcome of a classification: prompts, pictures, counts.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use burn::tensor::{Tensor, TensorData};
use hearth_data::{
    DataError,
    classes::{ByClass, ClassSource, Labelled, Purpose, read_classes},
    decode::{Orientation, Reading, decode_part, read_bytes},
    loader::{Dataset, Loader, Stage, Stages},
    random::Key,
    sampler::EpochPlan,
    transform::PictureRecipe,
    unreadable::Unreadable,
};
use hearth_engine::{
    EngineError, Replicas, Run, classification::Tally, cut, ignored_orientation, tolerance,
};

use super::{Classifier, Prompts, class_embeddings, scores::Scores, templates};
use crate::{
    embedder::Embedder,
    error::ClipError,
    pictures::{Pictures, Prepared},
    registry::Family,
    setup::Setup,
    spec::{ClipSpec, ZeroShotSpec},
};

/// What a classification gave.
pub(crate) struct Outcome {
    /// What was classified.
    pub(super) data: ByClass,
    /// Right and wrong answers.
    pub(super) tally: Tally,
    /// How many sentences stand for a class.
    pub(super) num_templates: usize,
}

/// The classes and pictures that a spec names; `None` where it names none.
pub(crate) fn data(spec: &ZeroShotSpec, run: &Run) -> Result<Option<ByClass>, ClipError> {
    let Some(image_dir) = &spec.image_dir else { return Ok(None) };
    let data = read_classes(&ClassSource {
        image_dir: image_dir.into(),
        image_list_file: spec.image_list_file.as_ref().map(Into::into),
        class_names: spec.class_names.as_ref().map(Into::into),
        purpose: Purpose::Words,
        key: "image_dir",
    })?;
    data.warnings.iter().for_each(|warning| run.warn(warning));
    if data.classes.len() <= 5 {
        run.notice(&format!("top-5 of {} classes is always 1", data.classes.len()));
    }
    Ok(Some(data))
}

/// Classifies `data`; with `scores` of the spec, every score goes to a file in the results folder.
pub(crate) fn classify(
    spec: &ClipSpec,
    data: ByClass,
    embedder: &Embedder,
    setup: &Setup,
    run: &Run,
) -> Result<Outcome, ClipError> {
    let reading = &spec.hearth.dataset.reading;
    let unreadable = Unreadable::new(tolerance(reading), data.pictures.len(), Vec::new())?;
    let reading = hearth_engine::reading(reading);
    let spec = &spec.hearth.evaluate.zero_shot;
    let prompts = Prompts {
        names: data.classes.iter().map(|class| class.name.clone()).collect(),
        templates: templates(&spec.templates).expect("`experiment::read` checked the templates"),
    };
    if setup.family() == Family::SigLip2 && !setup.recipe.text.canonicalize {
        run.warn(
            "`model.canonicalize_text` is false: SigLIP2 learned from canonicalised text, and \
             zero-shot classification gains from it",
        );
    }
    let replicas = embedder.replicas(spec.batch_size, run)?;
    let job = Job { spec, embedder, setup, replicas, run };
    let classifier = job.classifier(&prompts)?;
    let turned = Arc::new(AtomicUsize::new(0));
    let pictures = OfClasses {
        pictures: data.pictures.clone(),
        recipe: setup.recipe.picture.clone(),
        reading,
        turned: Arc::clone(&turned),
    };
    let tally = job.tally(&data, &classifier, pictures, &unreadable)?;
    unreadable.take_news().iter().for_each(|news| run.warn(news));
    if unreadable.count() > 0 {
        let count = unreadable.count();
        run.notice(&format!("{count} unreadable pictures are left out of the classification"));
    }
    match turned.load(Ordering::Relaxed) {
        0 => {}
        turned => run.warn(&ignored_orientation(turned, &data.pictures.len().to_string())),
    }
    Ok(Outcome { data, tally, num_templates: prompts.templates.len() })
}

struct Job<'a> {
    spec: &'a ZeroShotSpec,
    embedder: &'a Embedder,
    setup: &'a Setup,
    replicas: Replicas,
    run: &'a Run,
}

impl Job<'_> {
    fn classifier(&self, prompts: &Prompts) -> Result<Classifier, ClipError> {
        let (mut done, length) = (0, self.setup.recipe.text.context_length);
        self.run.progress.begin("prompts", prompts.len() as u64);
        let classes = class_embeddings(prompts, self.spec.batch_size, |texts| {
            self.check_stop()?;
            let mut ids = Vec::with_capacity(texts.len() * length);
            for text in texts {
                ids.extend(self.setup.tokenizer.encode(text)?);
            }
            let rows = self.embed_texts(&ids)?;
            check_finite(&rows, texts.len(), |at| format!("`{}`", texts[at]))?;
            done += texts.len() as u64;
            self.run.progress.advance(done, "");
            Ok::<_, ClipError>(rows)
        });
        self.run.progress.end();
        Ok(Classifier::new(classes?, prompts.names.len(), &self.run.device))
    }

    fn tally(
        &self,
        data: &ByClass,
        classifier: &Classifier,
        pictures: OfClasses,
        unreadable: &Unreadable,
    ) -> Result<Tally, ClipError> {
        let loader = Loader::new(Arc::new(pictures), self.spec.num_workers);
        let loader = loader.leaving_out(unreadable.clone());
        let scores = self.run.results.join("zero_shot_scores.csv");
        let mut scores = match self.spec.scores {
            true => Some(Scores::create(&scores, &data.classes, self.embedder.calibration()?)?),
            false => None,
        };
        self.run.progress.begin("pictures", data.pictures.len() as u64);
        let tally = self.count(data, &loader, classifier, scores.as_mut());
        self.run.progress.end();
        let tally = tally?;
        scores.map(Scores::finish).transpose()?;
        Ok(tally)
    }

    fn count(
        &self,
        data: &ByClass,
        loader: &Loader<OfClasses>,
        classifier: &Classifier,
        mut scores: Option<&mut Scores>,
    ) -> Result<Tally, ClipError> {
        let (mut tally, mut done) = (Tally::new(data.classes.len()), 0);
        let plan = EpochPlan::sequential(data.pictures.len(), self.spec.batch_size);
        for samples in loader.batches(plan, 0) {
            self.check_stop()?;
            let samples = samples?;
            if samples.is_empty() {
                continue;
            }
            let cosines = classifier.cosines(self.embed(&samples)?);
            let picture = |at: usize| &data.pictures[samples[at].0];
            check_finite(&cosines, samples.len(), |at| picture(at).image.display().to_string())?;
            for (at, cosines) in cosines.chunks_exact(data.classes.len()).enumerate() {
                let picture = picture(at);
                tally.add(picture.class, cosines);
                if let Some(scores) = &mut scores {
                    let class = &data.classes[picture.class];
                    scores.add(&picture.image, class, cosines)?;
                }
            }
            done += samples.len();
            self.run.progress.advance(done as u64, "");
        }
        Ok(tally)
    }

    /// `ids` B times the context length. Returns B rows, L2-normalised.
    fn embed_texts(&self, ids: &[i32]) -> Result<Vec<f32>, ClipError> {
        let (embedder, length) = (self.embedder, self.setup.recipe.text.context_length);
        let texts: Vec<&[i32]> = ids.chunks_exact(length).collect();
        let parts = self.replicas.map(cut(&texts, self.replicas.count()), |_, texts| {
            embedder.texts(&texts.concat(), length)
        });
        let parts = parts.into_iter().collect::<Result<Vec<_>, ClipError>>()?;
        Ok(parts.concat())
    }

    /// [B, E], L2-normalised.
    fn embed(&self, samples: &[(usize, Prepared)]) -> Result<Tensor<2>, ClipError> {
        let (embedder, recipe) = (self.embedder, &self.setup.recipe.picture);
        let parts = self.replicas.map(cut(samples, self.replicas.count()), |_, samples| {
            let pictures = Pictures::collate(recipe, samples.iter().map(|(_, picture)| picture));
            embedder.images(&pictures, recipe.size as usize)
        });
        let rows = parts.into_iter().collect::<Result<Vec<_>, ClipError>>()?.concat();
        let shape = [samples.len(), rows.len() / samples.len()];
        Ok(Tensor::from_data(TensorData::new(rows, shape), &self.run.device))
    }

    fn check_stop(&self) -> Result<(), ClipError> {
        match self.run.stop.requested() {
            Some(_) => Err(EngineError::interrupted(self.run).into()),
            None => Ok(()),
        }
    }
}

/// A comparison with NaN is always false, and would count as a right answer.
fn check_finite(
    rows: &[f32],
    count: usize,
    name: impl Fn(usize) -> String,
) -> Result<(), ClipError> {
    let wrong = rows.chunks(rows.len() / count).position(|row| !row.iter().all(|v| v.is_finite()));
    wrong.map_or(Ok(()), |at| Err(ClipError::NotFinite { sample: name(at) }))
}

/// Pictures of classes. A sample is its number and the picture.
struct OfClasses {
    pictures: Vec<Labelled>,
    recipe: PictureRecipe,
    reading: Reading,
    /// Pictures whose EXIF data asks for a turn that was not made.
    turned: Arc<AtomicUsize>,
}

impl OfClasses {
    fn path(&self, index: usize) -> &Path {
        &self.pictures[index].image
    }
}

impl Dataset for OfClasses {
    type Sample = (usize, Prepared);

    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn sample(
        &self,
        index: usize,
        _key: &Key,
        stages: &mut Stages,
    ) -> Result<Self::Sample, DataError> {
        let path = self.path(index);
        let bytes = stages.time(Stage::Read, || read_bytes(path, self.reading.limits.bytes))?;
        let view = |width, height| self.recipe.view(width, height);
        let part = stages
            .time(Stage::Decode, || decode_part(&bytes, &self.reading, view))
            .map_err(|problem| problem.in_file(path))?;
        let is_turned = part.orientation != Orientation::UPRIGHT;
        self.turned.fetch_add(usize::from(is_turned), Ordering::Relaxed);
        let prepare = || Prepared::new(&self.recipe, &part);
        Ok((index, stages.time(Stage::Transform, prepare)))
    }

    fn name(&self, index: usize) -> String {
        self.path(index).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_that_is_not_finite_is_named() {
        let name = |at: usize| format!("picture {at}");
        assert!(check_finite(&[0.0, 1.0, 2.0, 3.0], 2, name).is_ok());
        for bad in [f32::NAN, f32::INFINITY] {
            let error = check_finite(&[0.0, 1.0, 2.0, bad, 4.0, 5.0], 3, name).unwrap_err();
            assert_eq!(error.to_string(), "picture 1: the model's answer is not finite");
        }
    }
}
