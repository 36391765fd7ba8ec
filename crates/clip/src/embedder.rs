//! Whatever makes embeddings: the towers, or graphs that were exported from them.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use hearth_deploy::{DeployError, EngineRunner, Named, Port};
use hearth_engine::{Replicas, Run};

use crate::{
    error::ClipError, export::names, exported::Runner, model::Clip, pictures::Pictures,
    retrieval::Pairs, setup::Setup, zero_shot::Calibration,
};

/// A model to embed with.
pub(crate) enum Embedder {
    /// The towers themselves.
    Towers(Box<Clip>, Device),
    /// Graphs or engines.
    Graphs(Graphs),
}

/// Graphs or engines of one model, as a runtime has loaded them.
pub(crate) struct Graphs {
    runners: Vec<Mutex<Runner>>,
    image_size: usize,
    context_length: usize,
}

impl Embedder {
    /// The towers.
    pub(crate) fn towers(model: &Clip, device: &Device) -> Embedder {
        Embedder::Towers(Box::new(model.valid()), device.clone())
    }

    /// What runs the exported files of `setup`.
    pub(crate) fn exported(setup: &Setup, runners: Vec<Runner>) -> Embedder {
        Embedder::Graphs(Graphs {
            runners: runners.into_iter().map(Mutex::new).collect(),
            image_size: setup.recipe.picture.size as usize,
            context_length: setup.recipe.text.context_length,
        })
    }

    /// Into how many parts a batch is cut: a runtime has threads of its own.
    pub(crate) fn replicas(&self, batch: usize, run: &Run) -> Result<Replicas, ClipError> {
        match self {
            Embedder::Towers(..) => Ok(Replicas::of_machine(batch, &run.device)?),
            Embedder::Graphs(graphs) => {
                graphs.tell_of_parts(batch, run);
                Ok(Replicas::one())
            }
        }
    }

    /// Rows of `pictures`, which are of the `size` of the model, L2-normalised.
    pub(crate) fn images(&self, pictures: &Pictures, size: usize) -> Result<Vec<f32>, ClipError> {
        match self {
            Embedder::Towers(model, device) => {
                Ok(values(model.embed_images(pictures.images(size, device), false)))
            }
            Embedder::Graphs(graphs) => {
                let each = 3 * graphs.image_size.pow(2);
                let samples: Vec<Sample<'_>> =
                    pictures.pixels.chunks_exact(each).map(|pixels| (pixels, &[][..])).collect();
                let [rows] = graphs.embed([names::IMAGE_EMBEDDING], &samples)?;
                Ok(rows)
            }
        }
    }

    /// Rows of texts, `ids` of which are as many for each as the context is long, L2-normalised.
    pub(crate) fn texts(&self, ids: &[i32], length: usize) -> Result<Vec<f32>, ClipError> {
        match self {
            Embedder::Towers(model, device) => {
                let ids = TensorData::new(ids.to_vec(), [ids.len() / length, length]);
                let ids = Tensor::<2, Int>::from_data(ids, device);
                Ok(values(model.embed_texts(ids, false)))
            }
            Embedder::Graphs(graphs) => {
                let samples: Vec<Sample<'_>> =
                    ids.chunks_exact(graphs.context_length).map(|ids| (&[][..], ids)).collect();
                let [rows] = graphs.embed([names::TEXT_EMBEDDING], &samples)?;
                Ok(rows)
            }
        }
    }

    /// Rows of pictures and their texts.
    pub(crate) fn pairs(
        &self,
        (pictures, size): (&Pictures, usize),
        (ids, length): (&[i32], usize),
    ) -> Result<Pairs, ClipError> {
        let both = [names::IMAGE_EMBEDDING, names::TEXT_EMBEDDING];
        let [images, texts] = match self {
            Embedder::Graphs(graphs) if graphs.runner(&both).is_ok() => {
                let pixels = pictures.pixels.chunks_exact(3 * size * size);
                let samples: Vec<Sample<'_>> = pixels.zip(ids.chunks_exact(length)).collect();
                graphs.embed(both, &samples)?
            }
            _ => [self.images(pictures, size)?, self.texts(ids, length)?],
        };
        let width = images.len() / (ids.len() / length).max(1);
        Ok(Pairs { width, images, texts })
    }

    /// What a cosine is multiplied with, and what is added.
    pub(crate) fn calibration(&self) -> Result<Calibration, ClipError> {
        match self {
            Embedder::Towers(model, _) => {
                let value = |param: &Param<Tensor<1>>| param.val().into_scalar::<f32>();
                Ok(Calibration {
                    scale: value(&model.logit_scale).exp(),
                    bias: model.logit_bias.as_ref().map_or(0.0, value),
                })
            }
            Embedder::Graphs(graphs) => graphs.calibration(),
        }
    }
}

/// A picture, a text, or nothing in the place of one.
type Sample<'a> = (&'a [f32], &'a [i32]);

impl Graphs {
    /// Says it where a graph or engine takes fewer samples than the spec puts together.
    fn tell_of_parts(&self, batch: usize, run: &Run) {
        for runner in self.runners.iter().map(lock) {
            let (path, most) = (runner.path().display(), *runner.batches().end());
            if batch > most {
                run.notice(&format!(
                    "{path}: takes {most} samples at a time, batches of {batch} are cut into parts"
                ));
            }
        }
    }

    /// The rows of outputs that one graph has.
    fn embed<const N: usize>(
        &self,
        names: [&str; N],
        samples: &[Sample<'_>],
    ) -> Result<[Vec<f32>; N], ClipError> {
        let mut runner = self.runner(&names)?;
        let batches = runner.batches();
        let mut rows = [const { Vec::new() }; N];
        for part in samples.chunks(*batches.end()) {
            // A graph may take no fewer: the last one stands in for those that are missing.
            let missing = batches.start().saturating_sub(part.len());
            let more = part.last().into_iter().cycle().take(missing);
            let filled: Vec<Sample<'_>> = part.iter().chain(more).copied().collect();
            let found = self.run(runner.as_mut(), &filled)?;
            for (rows, name) in rows.iter_mut().zip(names) {
                let values = output(&found, name);
                rows.extend_from_slice(&values[..values.len() / filled.len() * part.len()]);
            }
        }
        Ok(rows)
    }

    /// The graph that has these outputs.
    fn runner(&self, names: &[&str]) -> Result<MutexGuard<'_, Runner>, ClipError> {
        for runner in &self.runners {
            let runner = lock(runner);
            if names.iter().all(|name| runner.outputs().iter().any(|output| output == name)) {
                return Ok(runner);
            }
        }
        let first = self.runners.first().map(lock);
        let path = first.map_or_else(PathBuf::new, |runner| runner.path().to_owned());
        let tower = if names.contains(&names::TEXT_EMBEDDING) { "text" } else { "vision" };
        Err(ClipError::NoTower { path, tower })
    }

    fn run(
        &self,
        runner: &mut dyn EngineRunner,
        samples: &[Sample<'_>],
    ) -> Result<Vec<Named>, DeployError> {
        let input = |port: &Port| {
            (port.name.clone(), self.input(&port.name, &port.shape(samples.len()), samples))
        };
        let inputs: Vec<Named> = runner.inputs().iter().map(input).collect();
        runner.run(&inputs)
    }

    /// The samples as the input called `name`; where they have none, zeros.
    fn input(&self, name: &str, shape: &[usize], samples: &[Sample<'_>]) -> TensorData {
        let (count, length) = (samples.len(), self.context_length);
        let size = self.image_size;
        match name {
            names::IMAGE => {
                let mut values = Vec::with_capacity(count * 3 * size * size);
                samples.iter().for_each(|(pixels, _)| values.extend_from_slice(pixels));
                values.resize(count * 3 * size * size, 0.0_f32);
                TensorData::new(values, [count, 3, size, size])
            }
            names::INPUT_IDS => {
                let mut ids = Vec::with_capacity(count * length);
                samples.iter().for_each(|(_, of)| ids.extend(of.iter().map(|&id| i64::from(id))));
                ids.resize(count * length, 0);
                TensorData::new(ids, [count, length])
            }
            names::ATTENTION_MASK => TensorData::new(vec![1_i64; count * length], [count, length]),
            // An input of someone else's: the runner says that its name is unknown.
            _ => TensorData::zeros::<f32, _>(shape.to_vec()),
        }
    }

    fn calibration(&self) -> Result<Calibration, ClipError> {
        let names = [names::LOGIT_SCALE, names::LOGIT_BIAS];
        let mut runner = self.runner(&names)?;
        let nothing = vec![(&[][..], &[][..]); *runner.batches().start()];
        let found = self.run(runner.as_mut(), &nothing)?;
        let [scale, bias] = names.map(|name| output(&found, name).first().copied());
        Ok(Calibration { scale: scale.unwrap_or(1.0), bias: bias.unwrap_or(0.0) })
    }
}

fn lock(runner: &Mutex<Runner>) -> MutexGuard<'_, Runner> {
    runner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The values of an output.
fn output(found: &[Named], name: &str) -> Vec<f32> {
    let values = found.iter().find(|(found, _)| found == name).map(|(_, values)| values.clone());
    values.and_then(|values| values.convert::<f32>().try_into_vec().ok()).unwrap_or_default()
}

fn values(rows: Tensor<2>) -> Vec<f32> {
    rows.into_data().try_to_vec().expect("embeddings are f32")
}
