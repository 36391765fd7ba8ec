//! `clip export`: the towers as ONNX, compared with the model before they count as written.

mod files;
mod side;
mod towers;

use burn::tensor::{Device, TensorData};
use hearth_data::random::Key;
use hearth_deploy::{
    DeployError, Named, Network, OnnxRuntime, Options, first_difference, get_onnx_runtime, onnx,
    parity::{self, Parity, Sample},
};
use hearth_engine::{Run, Summary};
use hearth_spec::Document;

use crate::{
    error::ClipError,
    experiment,
    model::Clip,
    recipe,
    setup::Setup,
    spec::{Action, ClipSpec},
};

pub(crate) use files::{Files, Graph, TEXT, VISION};
pub(crate) use towers::names;
pub use towers::{TowerGraph, Towers};

/// Versions of the operators that are written.
pub(crate) const OPSETS: std::ops::RangeInclusive<i64> = 17..=22;

/// Numbers of samples with which a file is checked.
const CHECKED_WITH: [usize; 3] = [1, 2, 5];

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
    let spec = experiment::read(document, Action::Export, run)?;
    let checkpoint = spec.weights(Action::Export);
    let setup = Setup::new(document, &spec, checkpoint, run)?;
    let files = Files::of(&spec, run);
    let graphs = files.graphs(document, &setup)?;
    files.claim(&graphs)?;
    if let Some(path) = checkpoint {
        run.status.loading(path);
    }
    experiment::write(&spec, run)?;

    let job = Job { setup: &setup, spec: &spec, run, runtime: OnnxRuntime::find() };
    let mut written = Vec::new();
    for graph in &graphs {
        written.push(job.write(graph)?);
    }
    side::write(&spec, &setup, &files, &job.model(true)?)?;
    written.push(job.verdict());
    let next = ["evaluate", "inference"].map(|action| {
        let (spec, model) = (document.name(), files.base().display());
        format!("clip {action} -e {spec} {action}.checkpoint={model}")
    });
    Ok(Summary { text: written.join("\n\n"), next: next.into() })
}

struct Job<'a> {
    setup: &'a Setup,
    spec: &'a ClipSpec,
    run: &'a Run,
    runtime: Result<OnnxRuntime, DeployError>,
}

impl Job<'_> {
    /// The model, on the CPU: an export records it and computes little.
    fn model(&self, silent: bool) -> Result<Clip, ClipError> {
        let (model, reports) = self.setup.model(&Key::new(0), &Device::flex())?;
        if !silent {
            reports.iter().for_each(|report| self.run.notice(&report.to_string()));
        }
        Ok(model)
    }

    fn options(&self) -> Options {
        let export = &self.spec.export;
        Options {
            opset: export.opset_version.max(*OPSETS.start()),
            batch: usize::try_from(export.batch_size).ok(),
            metadata: recipe::onnx_metadata(&self.setup.recipe, &self.setup.tokenizer),
            kernels: Vec::new(),
        }
    }

    /// Writes one graph and compares it. The model is not kept beside what is made of it: both are large.
    fn write(&self, graph: &Graph) -> Result<String, ClipError> {
        let Graph { network, path } = graph;
        self.run.progress.begin(&path.display().to_string(), 3);
        let model = self.model(network.towers() == Towers::Text)?;
        let options = self.options();
        let batches = options.batch.map_or(CHECKED_WITH, |batch| [batch; 3]);
        let samples = match &self.runtime {
            Ok(_) => (batches.into_iter().enumerate())
                .map(|(index, batch)| self.sample(network, &model, (index, batch)))
                .collect::<Result<Vec<Sample>, ClipError>>()?,
            Err(_) => Vec::new(),
        };
        self.run.progress.advance(1, "");
        let written = hearth_deploy::export(network, &model, &options)?;
        drop(model);
        onnx::check(&written, path)?;
        if self.spec.export.verbose {
            onnx::listing(&written).iter().for_each(|line| self.run.notice(line));
        }
        onnx::write(&written, path)?;
        drop(written);
        self.run.progress.advance(2, "");
        let parity = match &self.runtime {
            Ok(runtime) => self.verify(graph, runtime, &options, &samples)?.to_string(),
            Err(_) => {
                parity::forget(path)?;
                "not verified".to_owned()
            }
        };
        self.run.progress.end();
        Ok(format!("{}\n{parity}", path.display()))
    }

    /// What the model makes of pictures of noise and of sentences.
    fn sample(
        &self,
        network: &TowerGraph,
        model: &Clip,
        (index, batch): (usize, usize),
    ) -> Result<Sample, ClipError> {
        let mut inputs: Vec<Named> = Vec::new();
        for port in network.inputs() {
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
        Ok(parity::sample(network, model, inputs, &Device::flex()))
    }

    /// Compares the file with `samples`, and finds the first module that differs if they do.
    fn verify(
        &self,
        Graph { network, path }: &Graph,
        runtime: &OnnxRuntime,
        options: &Options,
        samples: &[Sample],
    ) -> Result<Parity, ClipError> {
        let mut session = runtime.open(path)?;
        let parity = parity::compare(&mut session, samples, parity::TOLERANCE)?;
        drop(session);
        let mut first = None;
        if !parity.holds() {
            let (model, written) = (self.model(true)?, (path.as_path(), options));
            let inputs = &samples[0].inputs;
            first = first_difference(network, &model, written, inputs, runtime, parity::TOLERANCE)?;
        }
        parity::settle(path, &parity, "ONNX Runtime", first.as_deref())?;
        Ok(parity)
    }

    /// What the end of the action says about the comparison.
    fn verdict(&self) -> String {
        match &self.runtime {
            Ok(_) => "verified: ONNX Runtime computes what the model does".to_owned(),
            Err(problem) => {
                self.run.warn(&format!("{problem}; the files are not verified"));
                let commands = get_onnx_runtime().join("\n  ");
                format!(
                    "not verified. To verify an export, get ONNX Runtime and export again:\n  {commands}"
                )
            }
        }
    }
}
