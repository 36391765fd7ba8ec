//! `mae inference`: classes of pictures; of an autoencoder, sheets of what it makes of them. Features of
//! both, on request.

mod reconstructions;

use std::{ops::ControlFlow, path::Path};

use burn::tensor::{Tensor, activation::softmax};
use hearth_backbones::Mode;
use hearth_data::random::Key;
use hearth_engine::{
    Batches, EngineError, EvalBatches, Replicas, Run, Summary, each, experiment,
    hdf5::{Layout, RowsFile},
    table::write_csv,
};
use hearth_spec::Document;

use crate::{
    begin::told,
    classifier::Classifier,
    dataset::Pictures,
    error::MaeError,
    evaluate::names,
    recipe::{Classes, Gives},
    setup::Setup,
    source::test_data,
    spec::{Action, MaeSpec},
    task::Batch,
};

/// File of features.
const FEATURES: &str = "features.h5";
/// Most probable classes that are written for each picture.
const MOST: usize = 5;

/// Writes what a checkpoint makes of the pictures of `dataset.test_data_sources`.
pub fn inference(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::Inference, run)?;
    let path = Path::new(&spec.inference.checkpoint);
    let setup = Setup::of_checkpoint(document, &spec, path, run)?;
    run.status.loading(path);
    let batch = usize::try_from(spec.inference.batch_size).unwrap_or(spec.dataset.batch_size);
    let replicas = Replicas::of_machine(batch, &run.device)?;
    let data = test_data(&spec, &setup.recipe, batch, run)?.for_replicas(replicas.count());
    let job = Job { spec: &spec, setup: &setup, data, replicas, run };
    match &setup.recipe.gives {
        Gives::Reconstructions(numbers) => {
            let (model, report) = setup.autoencoder(numbers, &Key::new(0), &run.device)?;
            told(report.as_ref(), run);
            experiment::write(&spec, run)?;
            job.show(&model, numbers)
        }
        Gives::Classes(classes) => {
            let (model, report) = setup.classifier(classes, &run.device)?;
            told(report.as_ref(), run);
            experiment::write(&spec, run)?;
            job.classify(&model, classes)
        }
    }
}

struct Job<'a> {
    spec: &'a MaeSpec,
    setup: &'a Setup,
    data: EvalBatches<Pictures>,
    replicas: Replicas,
    run: &'a Run,
}

/// What a classifier says of some pictures.
struct Answers {
    names: Vec<String>,
    /// [B, K].
    probabilities: Vec<f32>,
    /// [B, W].
    features: Vec<f32>,
}

impl Job<'_> {
    fn classify(&self, model: &Classifier, classes: &Classes) -> Result<Summary, MaeError> {
        let names = names(classes);
        let width = self.setup.encoder().width();
        let mut features = self.features(width)?;
        let (mut indices, mut probable) = (Vec::new(), vec![header()]);
        let (size, device) = (self.setup.recipe.size(), &self.run.device);
        let of_part = |batch: Batch| {
            let images = batch.images(size, device);
            let features = model.features(images, Mode::default());
            let probabilities = softmax(model.head.forward(features.clone()), 1);
            let [probabilities, features] = [probabilities, features].map(values);
            Ok(Answers { names: batch.names, probabilities, features })
        };
        let take = |answers: Answers| -> Result<(), MaeError> {
            let Answers { names: pictures, probabilities, features: rows } = answers;
            for (picture, scores) in pictures.iter().zip(probabilities.chunks_exact(names.len())) {
                if scores.iter().any(|score| !score.is_finite()) {
                    return Err(MaeError::NotFinite { sample: picture.clone() });
                }
                let mut order: Vec<usize> = (0..scores.len()).collect();
                order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
                indices.push(vec![picture.clone(), order[0].to_string()]);
                for (place, &class) in order.iter().take(MOST).enumerate() {
                    let (name, score) = (names[class].clone(), format!("{:.6}", scores[class]));
                    let place = (place + 1).to_string();
                    probable.push(vec![picture.clone(), place, class.to_string(), name, score]);
                }
            }
            append(&mut features, &pictures, &rows)
        };
        self.each(&self.data, of_part, take)?;
        let (count, file) = (indices.len(), |name: &str| self.run.results.join(name));
        write_csv(&file("results.csv"), indices)?;
        write_csv(&file("probabilities.csv"), probable)?;
        let mut written = vec![
            format!("{}: classes of {count} pictures", file("results.csv").display()),
            format!("{}: the most probable", file("probabilities.csv").display()),
        ];
        written.extend(self.finish(features)?);
        Ok(written.join("\n").into())
    }

    /// Hands over what is found in every part, in order.
    fn each<S: Send>(
        &self,
        data: &EvalBatches<Pictures>,
        of_part: impl Fn(Batch) -> Result<S, MaeError> + Sync,
        take: impl FnMut(S) -> Result<(), MaeError>,
    ) -> Result<(), MaeError> {
        match each(data, &self.replicas, self.run, of_part, take)? {
            ControlFlow::Break(()) => Err(EngineError::interrupted(self.run).into()),
            ControlFlow::Continue(()) => {
                let left_out = data.left_out();
                if left_out > 0 {
                    self.run.notice(&format!("{left_out} unreadable pictures are left out"));
                }
                Ok(())
            }
        }
    }

    /// The file of features of this width, where the spec asks for one: the layout of TAO's embeddings.
    fn features(&self, width: usize) -> Result<Option<RowsFile>, MaeError> {
        if !self.spec.hearth.inference.features {
            return Ok(None);
        }
        let layout = Layout {
            arrays: vec![("embeddings", vec![width])],
            names: "image_paths",
            count: "num_images",
            numbers: vec![("embedding_dim", width as i64)],
            texts: vec![("hearth_recipe", self.setup.recipe.to_json())],
        };
        Ok(Some(RowsFile::create(&self.run.results.join(FEATURES), layout)?))
    }

    /// Completes the file of features; a line about it.
    fn finish(&self, features: Option<RowsFile>) -> Result<Option<String>, MaeError> {
        let Some(file) = features else { return Ok(None) };
        let rows = file.finish()?;
        let path = self.run.results.join(FEATURES);
        Ok(Some(format!("{}: features of {rows} pictures", path.display())))
    }
}

fn append(file: &mut Option<RowsFile>, names: &[String], rows: &[f32]) -> Result<(), MaeError> {
    if let Some(file) = file {
        file.append(names, &[rows])?;
    }
    Ok(())
}

fn header() -> Vec<String> {
    ["image", "place", "class_index", "class", "probability"].map(str::to_owned).into()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("answers are f32")
}
