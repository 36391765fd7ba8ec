//! `mae export`: classifiers and encoders as ONNX, compared with the model before they count as written.

mod graph;

use std::path::{Path, PathBuf};

use burn::{
    module::Module,
    tensor::{Device, TensorData},
};
use hearth_data::random::Key;
use hearth_deploy::{Exported, Exporter, Follower, Named, Network, Options, claim, keys};
use hearth_engine::{Run, Summary, experiment};
use hearth_spec::Document;

pub use graph::{ClassifierGraph, EncoderGraph, INPUT};

use crate::{
    autoencoder::Autoencoder,
    classifier::Classifier,
    error::MaeError,
    recipe::{Classes, Gives, Reconstructions},
    setup::Setup,
    spec::{Action, MaeSpec},
};

/// Writes the model of a checkpoint as ONNX.
pub fn export(document: &Document, run: &Run) -> Result<Summary, MaeError> {
    let spec = MaeSpec::read(document, Action::Export, run)?;
    let checkpoint = Path::new(&spec.export.checkpoint);
    let setup = Setup::of_checkpoint(document, &spec, checkpoint, run)?;
    let setup = resized(document, &spec, setup)?;
    let path = PathBuf::from(&spec.export.onnx_file);
    claim(&path)?;
    run.status.loading(checkpoint);
    experiment::write(&spec, run)?;

    let follower = Follower {
        notice: &|line| run.notice(line),
        warn: &|line| run.warn(line),
        is_stopped: &|| run.stop.requested().is_some(),
    };
    let exporter = Exporter::new(&follower, spec.export.verbose);
    let options = Options {
        opset: keys::opset(spec.export.opset_version),
        batch: usize::try_from(spec.export.batch_size).ok(),
        metadata: setup.recipe.for_graph(),
        kernels: Vec::new(),
    };
    let written = match &setup.recipe.gives {
        Gives::Classes(classes) => {
            let of_setup = OfClassifier::new(&setup, classes.clone());
            exporter.write(&of_setup, &path, &options)?
        }
        Gives::Reconstructions(_) if spec.hearth.export.untrained_classifier => {
            run.warn("the head of this classifier was never trained: its answers mean nothing");
            let classes = Classes { count: spec.model.num_classes, names: Vec::new() };
            exporter.write(&OfClassifier::new(&setup, classes), &path, &options)?
        }
        Gives::Reconstructions(numbers) => {
            let graph = EncoderGraph::new(setup.recipe.size());
            let of_setup = OfEncoder { graph, setup: &setup, numbers };
            exporter.write(&of_setup, &path, &options)?
        }
    };
    let text = format!("{}\n{written}\n\n{}", path.display(), exporter.verdict());
    let (spec, onnx, engine) = (document.name(), path.display(), path.with_extension("engine"));
    let next = format!(
        "mae gen_trt_engine -e {spec} gen_trt_engine.onnx_file={onnx} gen_trt_engine.trt_engine={}",
        engine.display()
    );
    Ok(Summary { text, next: vec![next] })
}

/// For the size that `export` writes, if it writes one.
fn resized(document: &Document, spec: &MaeSpec, mut setup: Setup) -> Result<Setup, MaeError> {
    let keys = [
        ("export.input_height", spec.export.input_height),
        ("export.input_width", spec.export.input_width),
    ];
    let Some((key, size)) = keys.into_iter().find(|(key, _)| document.is_written(key)) else {
        return Ok(setup);
    };
    let cell = setup.arch().cell();
    if !size.is_multiple_of(cell) {
        let mut checks = document.check();
        checks
            .error(key, size, format!("a multiple of {cell}, the cell of `{}`", setup.recipe.arch))
            .hint(format!("leave it out for {}, the size of the checkpoint", setup.recipe.size()));
        checks.into_result()?;
    }
    setup.recipe.picture.size = size as u32;
    Ok(setup)
}

/// A classifier of a setup.
pub(crate) struct OfClassifier<'a> {
    graph: ClassifierGraph,
    setup: &'a Setup,
    classes: Classes,
}

impl<'a> OfClassifier<'a> {
    /// Of pictures of the setup's size.
    pub(crate) fn new(setup: &'a Setup, classes: Classes) -> Self {
        Self { graph: ClassifierGraph::new(setup.recipe.size()), setup, classes }
    }
}

impl Exported for OfClassifier<'_> {
    type Network = ClassifierGraph;
    type Error = MaeError;

    fn network(&self) -> &ClassifierGraph {
        &self.graph
    }

    fn model(&self) -> Result<Classifier, MaeError> {
        let device = Device::flex();
        let (model, _) = match self.setup.recipe.gives {
            Gives::Classes(_) if self.setup.is_trained => {
                self.setup.classifier(&self.classes, &device)?
            }
            Gives::Classes(_) | Gives::Reconstructions(_) => {
                self.setup.new_classifier(&self.classes, None, &Key::new(0), &device)?
            }
        };
        Ok(model)
    }

    fn inputs(&self, index: usize, batch: usize) -> Result<Vec<Named>, MaeError> {
        Ok(noise(&self.graph, index, batch))
    }
}

/// The encoder of an autoencoder.
struct OfEncoder<'a> {
    graph: EncoderGraph,
    setup: &'a Setup,
    numbers: &'a Reconstructions,
}

impl Exported for OfEncoder<'_> {
    type Network = EncoderGraph;
    type Error = MaeError;

    fn network(&self) -> &EncoderGraph {
        &self.graph
    }

    fn model(&self) -> Result<Autoencoder, MaeError> {
        Ok(self.setup.autoencoder(self.numbers, &Key::new(0), &Device::flex())?.0)
    }

    fn inputs(&self, index: usize, batch: usize) -> Result<Vec<Named>, MaeError> {
        Ok(noise(&self.graph, index, batch))
    }
}

/// Pictures of noise.
fn noise<N: Network<Model: Module>>(graph: &N, index: usize, batch: usize) -> Vec<Named> {
    let of_port = |port: hearth_deploy::Port| {
        let shape = port.shape(batch);
        let mut random = Key::new(0).of("export").at(index as u64).rng();
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|_| random.normal() as f32).collect();
        (port.name, TensorData::new(values, shape))
    };
    graph.inputs().into_iter().map(of_port).collect()
}
