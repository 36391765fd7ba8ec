//! Writing a graph and comparing it with its model before it counts as written.

use std::{fs, path::Path};

use burn::tensor::Device;

use crate::follower::Follower;
use crate::{
    error::{DeployError, FileError, get_onnx_runtime},
    export::{Options, export},
    network::Network,
    onnx,
    onnx_runtime::OnnxRuntime,
    parity::{self, Parity, Sample},
    probe::first_difference,
    runner::Named,
};

/// Numbers of samples with which a file is checked.
const CHECKED_WITH: [usize; 3] = [1, 2, 5];

/// What an export needs of a model.
pub trait Exported {
    /// Inputs, outputs and the forward pass.
    type Network: Network;
    /// What goes wrong on the family's side.
    type Error: From<DeployError>;

    /// The graph.
    fn network(&self) -> &Self::Network;

    /// The model, on the CPU: an export records it and computes little. Asked for anew where it is needed
    /// again, so that it is not kept beside what is made of it.
    fn model(&self) -> Result<<Self::Network as Network>::Model, Self::Error>;

    /// Values of all inputs for a comparison: number `index`, of `batch` samples.
    fn inputs(&self, index: usize, batch: usize) -> Result<Vec<Named>, Self::Error>;
}

/// Makes the folder of the graph at `path`; fails where a file of it exists already or cannot be made.
pub fn claim(path: &Path) -> Result<(), DeployError> {
    let files = [path.to_owned(), onnx::external_file(path)];
    if let Some(path) = files.into_iter().find(|path| path.exists()) {
        return Err(DeployError::Exists { path });
    }
    if let Some(folder) = path.parent().filter(|folder| *folder != Path::new("")) {
        fs::create_dir_all(folder).map_err(FileError::writing(folder))?;
    }
    onnx::try_place(path)
}

/// Writes graphs that are compared with their models where ONNX Runtime is found.
pub struct Exporter<'a> {
    runtime: Result<OnnxRuntime, DeployError>,
    follower: &'a Follower<'a>,
    lists: bool,
}

impl<'a> Exporter<'a> {
    /// With `lists`, the nodes of every graph are told.
    pub fn new(follower: &'a Follower<'a>, lists: bool) -> Self {
        Self { runtime: OnnxRuntime::find(), follower, lists }
    }

    /// Writes one graph to `path`; returns what the comparison found. A file that differs is renamed,
    /// and the first module that differs is named.
    pub fn write<E: Exported>(
        &self,
        exported: &E,
        path: &Path,
        options: &Options,
    ) -> Result<String, E::Error> {
        let (network, model) = (exported.network(), exported.model()?);
        let batches = options.batch.map_or(CHECKED_WITH, |batch| [batch; 3]);
        let sample = |(index, batch)| -> Result<Sample, E::Error> {
            let inputs = exported.inputs(index, batch)?;
            Ok(parity::sample(network, &model, inputs, &Device::flex()))
        };
        let samples = match &self.runtime {
            Ok(_) => batches.into_iter().enumerate().map(sample).collect::<Result<_, _>>()?,
            Err(_) => Vec::new(),
        };
        let written = export(network, &model, options)?;
        drop(model);
        onnx::check(&written, path)?;
        if self.lists {
            onnx::listing(&written).iter().for_each(|line| (self.follower.notice)(line));
        }
        onnx::write(&written, path)?;
        drop(written);
        match &self.runtime {
            Ok(runtime) => Ok(verify(exported, (path, options), runtime, &samples)?.to_string()),
            Err(_) => {
                parity::forget(path)?;
                Ok("not verified".to_owned())
            }
        }
    }

    /// What the end of an export says about the comparison.
    pub fn verdict(&self) -> String {
        match &self.runtime {
            Ok(_) => "verified: ONNX Runtime computes what the model does".to_owned(),
            Err(problem) => {
                (self.follower.warn)(&format!("{problem}; the files are not verified"));
                let commands = get_onnx_runtime().join("\n  ");
                format!(
                    "not verified. To verify an export, get ONNX Runtime and export again:\n  {commands}"
                )
            }
        }
    }
}

/// Compares the file with `samples`, and finds the first module that differs if they do.
fn verify<E: Exported>(
    exported: &E,
    (path, options): (&Path, &Options),
    runtime: &OnnxRuntime,
    samples: &[Sample],
) -> Result<Parity, E::Error> {
    let mut session = runtime.open(path)?;
    let parity = parity::compare(&mut session, samples, parity::TOLERANCE)?;
    drop(session);
    let mut first = None;
    if !parity.holds() {
        let (network, model) = (exported.network(), exported.model()?);
        let (written, inputs) = ((path, options), &samples[0].inputs);
        first = first_difference(network, &model, written, inputs, runtime, parity::TOLERANCE)?;
    }
    parity::settle(path, &parity, "ONNX Runtime", first.as_deref())?;
    Ok(parity)
}
