//! `clip inference`: embeddings of pictures and prompts as HDF5 files, at bounded memory, continued
//! after a kill.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hearth_data::{
    DataError,
    decode::{Orientation, Reading, decode_part, read_bytes},
    inputs::{PictureSource, pictures, prompts},
    loader::{Dataset, Loader, Stage, Stages},
    random::Key,
    sampler::EpochPlan,
    tokenizer::Tokenizer,
    transform::PictureRecipe,
};
use hearth_engine::{
    EngineError, Identity, Replicas, Run, Summary, cut, experiment, ignored_orientation,
};
use hearth_spec::Document;

use crate::{
    embedder::Embedder,
    embeddings::{self, Kind},
    error::ClipError,
    parts::{Parts, Record},
    pictures::{Pictures, Prepared},
    setup::Setup,
    spec::{Action, ClipSpec},
};

/// Records read back at once when the HDF5 file is assembled.
const ASSEMBLY_BATCH: usize = 1024;

/// Embeds everything that the spec names.
pub fn inference(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::Inference, run)?;
    let setup = Setup::of_action(document, &spec, Action::Inference, run)?;
    let model = spec.model_path(Action::Inference);
    let (embedder, reports) = setup.embedder(run)?;
    model.iter().for_each(|path| run.status.loading(path));
    reports.iter().for_each(|report| run.notice(&report.to_string()));
    experiment::write(&spec, run)?;

    let (batch, reading) =
        (spec.inference.batch_size, hearth_engine::reading(&spec.hearth.dataset.reading));
    let replicas = embedder.replicas(batch, run)?;
    let job = Job { embedder, setup: &setup, run, replicas, batch, reading };
    let mut written = Vec::new();
    if !spec.inference.datasets.is_empty() {
        written.push(job.images(&spec)?);
    }
    if let Some(path) = &spec.inference.text_file {
        written.push(job.texts(Path::new(path))?);
    }
    Ok(written.join("\n").into())
}

/// What both kinds of input need.
struct Job<'a> {
    embedder: Embedder,
    setup: &'a Setup,
    run: &'a Run,
    replicas: Replicas,
    batch: usize,
    reading: Reading,
}

impl Job<'_> {
    fn images(&self, spec: &ClipSpec) -> Result<String, ClipError> {
        let sources = spec.inference.datasets.iter().map(|block| PictureSource {
            image_dir: PathBuf::from(&block.image_dir),
            image_list_file: block.image_list_file.as_ref().map(PathBuf::from),
        });
        let found = pictures(&sources.collect::<Vec<_>>())?;
        found.warnings.iter().for_each(|warning| self.run.warn(warning));
        let paths = found.pictures;
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();

        let size = self.setup.recipe.picture.size as usize;
        let turned = Arc::new(AtomicUsize::new(0));
        let recipe = &self.setup.recipe.picture;
        let reading = self.reading;
        let dataset =
            PictureFiles { paths, recipe: recipe.clone(), reading, turned: Arc::clone(&turned) };
        let threads = spec.inference.num_workers;
        let embedder = &self.embedder;
        let written = self.embed(Kind::Images, &names, dataset, threads, |pictures| {
            embedder.images(&Pictures::collate(recipe, pictures.iter()), size)
        })?;
        match turned.load(Ordering::Relaxed) {
            0 => {}
            turned => self.run.warn(&ignored_orientation(turned, &names.len().to_string())),
        }
        Ok(written)
    }

    fn texts(&self, path: &Path) -> Result<String, ClipError> {
        let prompts = prompts(path)?;
        let length = self.setup.recipe.text.context_length;
        let tokenizer = Arc::clone(&self.setup.tokenizer);
        let dataset = Prompts { prompts: prompts.clone(), tokenizer };
        let embedder = &self.embedder;
        self.embed(Kind::Texts, &prompts, dataset, 0, |ids| embedder.texts(&ids.concat(), length))
    }

    /// Embeds what is not in the part file yet, then assembles the HDF5 file from it.
    fn embed<T: Send + Sync + 'static>(
        &self,
        kind: Kind,
        names: &[String],
        dataset: impl Dataset<Sample = Option<T>>,
        threads: usize,
        forward: impl Fn(&[T]) -> Result<Vec<f32>, ClipError> + Sync,
    ) -> Result<String, ClipError> {
        let width = self.setup.embed_dim();
        let output = self.run.results.join(kind.file_name());
        let part_file = output.with_extension("h5.part");
        let mut parts = Parts::open(&part_file, &self.identity(names)?, width, self.batch)?;
        if parts.finished() > 0 {
            self.run.notice(&format!(
                "{}: continuing behind {} of {}",
                part_file.display(),
                parts.finished(),
                names.len()
            ));
        }

        let loader = Loader::new(Arc::new(dataset), threads);
        let plan = EpochPlan::sequential(names.len(), self.batch);
        let first_batch = parts.finished().div_ceil(self.batch);
        self.run.progress.begin(kind.file_name(), names.len() as u64);
        for samples in loader.batches(plan, first_batch) {
            let samples = samples?;
            let first = parts.finished();
            let present: Vec<bool> = samples.iter().map(Option::is_some).collect();
            let readable: Vec<T> = samples.into_iter().flatten().collect();
            let of_replicas = cut(&readable, self.replicas.count());
            let rows = self.replicas.map(of_replicas, |_, part| forward(part));
            let rows = rows.into_iter().collect::<Result<Vec<_>, ClipError>>()?;
            let mut rows = rows.into_iter().flatten();
            let records: Vec<Record> = (present.iter().enumerate())
                .map(|(i, present)| Record {
                    index: (first + i) as u64,
                    row: present.then(|| rows.by_ref().take(width).collect()),
                })
                .collect();
            parts.append(&records)?;
            self.run.progress.advance(parts.finished() as u64, "");
            if self.run.stop.requested().is_some() && parts.finished() < names.len() {
                self.run.progress.end();
                return Err(EngineError::interrupted(self.run).into());
            }
        }
        self.run.progress.end();
        self.assemble(kind, names, parts, &output)
    }

    fn assemble(
        &self,
        kind: Kind,
        names: &[String],
        parts: Parts,
        output: &Path,
    ) -> Result<String, ClipError> {
        let mut unreadable = 0;
        let mut records = parts.records()?.peekable();
        let batches = std::iter::from_fn(|| {
            records.peek()?;
            let mut batch = (Vec::new(), Vec::new());
            for record in records.by_ref().take(ASSEMBLY_BATCH) {
                match record {
                    Ok(Record { index, row: Some(row) }) => {
                        batch.0.push(names[index as usize].clone());
                        batch.1.extend(row);
                    }
                    Ok(Record { row: None, .. }) => unreadable += 1,
                    Err(error) => return Some(Err(error.into())),
                }
            }
            Some(Ok(batch))
        });
        let recipe = self.setup.recipe.to_json();
        let width = self.setup.embed_dim();
        let rows = embeddings::write(output, kind, width, &recipe, batches)?;
        parts.remove()?;
        let skipped = match unreadable {
            0 => String::new(),
            n => format!(", {n} unreadable left out"),
        };
        Ok(format!("{}: {rows} rows of width {width}{skipped}", output.display()))
    }

    /// The same inputs, model and recipe give the same rows.
    fn identity(&self, names: &[String]) -> Result<String, ClipError> {
        let mut identity = Identity::default();
        identity.add(self.setup.recipe.to_json().as_bytes());
        identity.add(self.setup.tokenizer.digest().as_bytes());
        identity.add(self.setup.weights_digest()?.as_bytes());
        identity.add(&self.batch.to_le_bytes());
        if self.reading.upright {
            identity.add(b"upright");
        }
        if self.reading.draft {
            identity.add(b"draft");
        }
        names.iter().for_each(|name| identity.add(name.as_bytes()));
        Ok(identity.finish())
    }
}

/// Pictures without captions; one that cannot be read is `None`, as TAO leaves it out.
struct PictureFiles {
    paths: Vec<PathBuf>,
    recipe: PictureRecipe,
    reading: Reading,
    /// Pictures whose EXIF data asks for a turn that was not made.
    turned: Arc<AtomicUsize>,
}

impl Dataset for PictureFiles {
    type Sample = Option<Prepared>;

    fn len(&self) -> usize {
        self.paths.len()
    }

    fn sample(
        &self,
        index: usize,
        _key: &Key,
        stages: &mut Stages,
    ) -> Result<Self::Sample, DataError> {
        let path = &self.paths[index];
        let view = |width, height| self.recipe.view(width, height);
        let bytes = stages.time(Stage::Read, || read_bytes(path, self.reading.limits.bytes));
        let part = bytes.and_then(|bytes| {
            let part = stages.time(Stage::Decode, || decode_part(&bytes, &self.reading, view));
            part.map_err(|problem| problem.in_file(path))
        });
        match part {
            Ok(part) => {
                let is_turned = part.orientation != Orientation::UPRIGHT;
                self.turned.fetch_add(usize::from(is_turned), Ordering::Relaxed);
                let prepare = || Prepared::new(&self.recipe, &part);
                Ok(Some(stages.time(Stage::Transform, prepare)))
            }
            Err(error) => {
                tracing::warn!("{error}; left out");
                Ok(None)
            }
        }
    }

    fn name(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }
}

struct Prompts {
    prompts: Vec<String>,
    tokenizer: Arc<Tokenizer>,
}

impl Dataset for Prompts {
    type Sample = Option<Vec<i32>>;

    fn len(&self) -> usize {
        self.prompts.len()
    }

    fn sample(
        &self,
        index: usize,
        _key: &Key,
        stages: &mut Stages,
    ) -> Result<Self::Sample, DataError> {
        let ids = stages.time(Stage::Tokenize, || self.tokenizer.encode(&self.prompts[index]))?;
        Ok(Some(ids))
    }
}
