//! Whatever makes embeddings: the towers, or graphs that were exported from them.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use hearth_deploy::{DeployError, EngineRunner, Named, OnnxRuntime, Port};
use hearth_engine::{Replicas, Run};

use crate::{
    error::ClipError, export::names, model::Clip, pictures::Pictures, replicas, retrieval::Pairs,
    setup::Setup, zero_shot::Calibration,
};

/// A model to embed with.
pub(crate) enum Embedder {
    /// The towers themselves.
    Towers(Box<Clip>, Device),
    /// Graphs.
    Graphs(Graphs),
}

/// Graphs of one model, as a runtime has loaded them.
pub(crate) struct Graphs {
    runners: Vec<Mutex<Runner>>,
    paths: Vec<PathBuf>,
    image_size: usize,
    context_length: usize,
}

type Runner = Box<dyn EngineRunner + Send>;

impl Embedder {
    /// The towers.
    pub(crate) fn towers(model: &Clip, device: &Device) -> Embedder {
        Embedder::Towers(Box::new(model.valid()), device.clone())
    }

    /// The graphs of `setup`, in ONNX Runtime.
    pub(crate) fn graphs(setup: &Setup) -> Result<Embedder, ClipError> {
        let runtime = OnnxRuntime::find()?;
        let mut runners: Vec<Mutex<Runner>> = Vec::new();
        for path in &setup.graphs {
            runners.push(Mutex::new(Box::new(runtime.open(path)?)));
        }
        Ok(Embedder::Graphs(Graphs {
            runners,
            paths: setup.graphs.clone(),
            image_size: setup.recipe.picture.size as usize,
            context_length: setup.recipe.text.context_length,
        }))
    }

    /// Into how many parts a batch is cut: a runtime has threads of its own.
    pub(crate) fn replicas(&self, batch: usize, run: &Run) -> Result<Replicas, ClipError> {
        match self {
            Embedder::Towers(..) => replicas::of_machine(batch, &run.device),
            Embedder::Graphs(_) => Ok(Replicas::one()),
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
            let runner = runner.lock().unwrap_or_else(PoisonError::into_inner);
            if names.iter().all(|name| runner.outputs().iter().any(|output| output == name)) {
                return Ok(runner);
            }
        }
        let path = self.paths.first().cloned().unwrap_or_default();
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

/// The values of an output.
fn output(found: &[Named], name: &str) -> Vec<f32> {
    let values = found.iter().find(|(found, _)| found == name).map(|(_, values)| values.clone());
    values.and_then(|values| values.convert::<f32>().try_into_vec().ok()).unwrap_or_default()
}

/// The files of the model that `path` names: itself with the one of the other tower, if it is there, or
/// both towers of a name that does not exist.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, DeployError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = |stem: &str| path.with_file_name(format!("{stem}.onnx"));
    let of_towers = |base: &str| ["_vision", "_text"].map(|tower| file(&format!("{base}{tower}")));
    if path.exists() {
        let base = stem.strip_suffix("_vision").or_else(|| stem.strip_suffix("_text"));
        return Ok(match base {
            Some(base) => of_towers(base).into_iter().filter(|path| path.exists()).collect(),
            None => vec![path.to_owned()],
        });
    }
    let found: Vec<PathBuf> = of_towers(&stem).into_iter().filter(|path| path.exists()).collect();
    match found.is_empty() {
        true => Err(DeployError::Missing { path: path.to_owned() }),
        false => Ok(found),
    }
}

fn values(rows: Tensor<2>) -> Vec<f32> {
    rows.into_data().try_to_vec().expect("embeddings are f32")
}
