//! `clip export`: the towers as ONNX, compared with the model before they count as written.

mod files;
mod side;
mod towers;

use burn::tensor::{Device, TensorData};
use hearth_data::random::Key;
use hearth_deploy::{Exported, Exporter, Follower, Named, Network, Options, keys};
use hearth_engine::{Run, Summary, experiment};
use hearth_spec::Document;

use crate::{
    error::ClipError,
    model::Clip,
    recipe,
    setup::Setup,
    spec::{Action, ClipSpec},
};

pub(crate) use files::{Files, Graph, TEXT, VISION};
pub(crate) use towers::names;
pub use towers::{TowerGraph, Towers};

/// Captions of the check.
pub(crate) const CAPTIONS: [&str; 8] = [
    "a photo of a cat",
    "two dogs run on the beach",
    "a red square on a white background",
    "an old man reads a newspaper in the park",
    "night",
    "a plate with three slices of pizza, seen from above",
    "the street after the rain",
    "a child with a blue balloon",
];

/// Writes the towers of a checkpoint as ONNX.
pub fn export(document: &Document, run: &Run) -> Result<Summary, ClipError> {
    let spec = ClipSpec::read(document, Action::Export, run)?;
    let checkpoint = spec.weights(Action::Export);
    let setup = Setup::new(document, &spec, checkpoint, run)?;
    let files = Files::of(&spec, run);
    let graphs = files.graphs(document, &setup)?;
    files.claim(&graphs)?;
    if let Some(path) = checkpoint {
        run.status.loading(path);
    }
    experiment::write(&spec, run)?;

    let follower = Follower {
        notice: &|line| run.notice(line),
        warn: &|line| run.warn(line),
        is_stopped: &|| run.stop.requested().is_some(),
    };
    let exporter = Exporter::new(&follower, spec.export.verbose);
    let options = options(&spec, &setup);
    run.progress.begin("export", graphs.len() as u64);
    let mut written = Vec::new();
    for (done, Graph { network, path }) in (1..).zip(&graphs) {
        let towers = OfSetup { network, setup: &setup, run: (done == 1).then_some(run) };
        let parity = exporter.write(&towers, path, &options)?;
        written.push(format!("{}\n{parity}", path.display()));
        run.progress.advance(done, "");
    }
    run.progress.end();
    side::write(&spec, &setup, &files, &model(&setup, None)?)?;
    written.push(exporter.verdict());
    let next = ["evaluate", "inference"].map(|action| {
        let (spec, model) = (document.name(), files.base().display());
        format!("clip {action} -e {spec} {action}.checkpoint={model}")
    });
    Ok(Summary { text: written.join("\n\n"), next: next.into() })
}

fn options(spec: &ClipSpec, setup: &Setup) -> Options {
    let export = &spec.export;
    Options {
        opset: keys::opset(export.opset_version),
        batch: usize::try_from(export.batch_size).ok(),
        metadata: recipe::onnx_metadata(&setup.recipe, &setup.tokenizer),
        kernels: Vec::new(),
    }
}

/// The model on the CPU; what was loaded is told to `run`.
fn model(setup: &Setup, run: Option<&Run>) -> Result<Clip, ClipError> {
    let (model, reports) = setup.model(&Key::new(0), &Device::flex())?;
    if let Some(run) = run {
        reports.iter().for_each(|report| run.notice(&report.to_string()));
    }
    Ok(model)
}

/// Towers of a setup's model.
pub(crate) struct OfSetup<'a> {
    pub(crate) network: &'a TowerGraph,
    pub(crate) setup: &'a Setup,
    /// Who hears what was loaded.
    pub(crate) run: Option<&'a Run>,
}

impl Exported for OfSetup<'_> {
    type Network = TowerGraph;
    type Error = ClipError;

    fn network(&self) -> &TowerGraph {
        self.network
    }

    fn model(&self) -> Result<Clip, ClipError> {
        model(self.setup, self.run)
    }

    /// Pictures of noise, and sentences.
    fn inputs(&self, index: usize, batch: usize) -> Result<Vec<Named>, ClipError> {
        let mut inputs: Vec<Named> = Vec::new();
        for port in self.network.inputs() {
            let shape = port.shape(batch);
            let count = shape.iter().product();
            let values = match port.name.as_str() {
                names::IMAGE => {
                    let mut random = Key::new(0).of("export").at(index as u64).rng();
                    let noise = (0..count).map(|_| random.normal() as f32).collect::<Vec<f32>>();
                    TensorData::new(noise, shape)
                }
                names::INPUT_IDS => {
                    let mut ids = Vec::with_capacity(count);
                    for caption in CAPTIONS.iter().cycle().skip(index).take(batch) {
                        let caption = self.setup.tokenizer.encode(caption)?;
                        ids.extend(caption.into_iter().map(i64::from));
                    }
                    TensorData::new(ids, shape)
                }
                _ => TensorData::new(vec![1_i64; count], shape),
            };
            inputs.push((port.name, values));
        }
        Ok(inputs)
    }
}
