//! ONNX Runtime, loaded at run time.

use std::{
    env, fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use burn::tensor::{DType, TensorData};
use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::{Tensor, TensorElementType, ValueType},
};

use crate::{
    error::DeployError,
    network::{Element, Port, Side},
    onnx,
    runner::{EngineRunner, Named},
};

const NAME: &str = "ONNX Runtime";

/// Where the library is named.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library. A process has one.
#[derive(Debug, Clone)]
pub struct OnnxRuntime {
    environment: Environment,
}

/// A model that ONNX Runtime has loaded.
#[derive(Debug)]
pub struct OnnxSession {
    path: PathBuf,
    session: Session,
    inputs: Vec<Port>,
    outputs: Vec<String>,
    batches: RangeInclusive<usize>,
}

impl OnnxRuntime {
    /// Looks where `ORT_DYLIB_PATH` says, else beside the program, else where the system's loader looks.
    pub fn find() -> Result<OnnxRuntime, DeployError> {
        static FOUND: OnceLock<Result<OnnxRuntime, String>> = OnceLock::new();
        let found = FOUND.get_or_init(load).clone();
        found.map_err(|problem| DeployError::NoOnnxRuntime { problem })
    }

    /// Loads a model.
    pub fn open(&self, path: &Path) -> Result<OnnxSession, DeployError> {
        // Its own messages are about bytes; ours say what to do.
        onnx::read_structure(path)?;
        self.load(path, GraphOptimizationLevel::Level3)
    }

    /// Loads a model as it is written, so that its nodes can be looked at, in little memory: weights
    /// that lie beside it are mapped, and none is kept in another order.
    pub(crate) fn open_plain(&self, path: &Path) -> Result<OnnxSession, DeployError> {
        self.load(path, GraphOptimizationLevel::Disable)
    }

    fn load(&self, path: &Path, level: GraphOptimizationLevel) -> Result<OnnxSession, DeployError> {
        let plain = level == GraphOptimizationLevel::Disable;
        let refused = |problem: String| refused(path, format!("refuses it: {problem}"));
        let build = || -> ort::Result<Session> {
            let mut builder = Session::builder(&self.environment)?
                .with_log_level(LogLevel::Error)?
                .with_optimization_level(level)?
                .with_prepacking(!plain)?
                .with_intra_op_spinning(false)?;
            builder.commit_from_file(path)
        };
        let session = build().map_err(|error| refused(error.to_string()))?;
        let inputs = session.inputs().iter().map(|outlet| port(outlet.name(), outlet.dtype()));
        let inputs = inputs.collect::<Result<Vec<Port>, String>>().map_err(refused)?;
        let outputs = session.outputs().iter().map(|outlet| outlet.name().to_owned()).collect();
        let batches = batches(&session);
        Ok(OnnxSession { path: path.to_owned(), session, inputs, outputs, batches })
    }
}

fn load() -> Result<OnnxRuntime, String> {
    let mut tried = Vec::new();
    for place in places() {
        let loaded = ort::init_from(&place).map_err(|error| error.to_string());
        match loaded.and_then(|builder| {
            builder.with_telemetry(false).build().map_err(|error| error.to_string())
        }) {
            Ok(environment) => return Ok(OnnxRuntime { environment }),
            Err(problem) => tried.push(format!("{}: {problem}", place.display())),
        }
    }
    Err(tried.join("; "))
}

fn places() -> Vec<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return vec![named.into()];
    }
    let library = format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let mut places = Vec::new();
    let program = env::current_exe().ok();
    if let Some(folder) = program.as_deref().and_then(Path::parent) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_library = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&library)
        };
        places.extend(entries.map(|entry| entry.path()).filter(is_library));
        places.sort();
    }
    places.push(library.into());
    places
}

/// How many samples fit: the first side of the inputs, where it is fixed, else any number.
fn batches(session: &Session) -> RangeInclusive<usize> {
    let mut inputs = session.inputs().iter();
    let first = inputs.find_map(|outlet| outlet.dtype().tensor_shape()?.first().copied());
    match first.map(usize::try_from) {
        Some(Ok(fixed)) => fixed..=fixed,
        _ => 1..=usize::MAX,
    }
}

/// An input as the session describes it; its first side counts samples.
fn port(name: &str, r#type: &ValueType) -> Result<Port, String> {
    let ValueType::Tensor { ty, shape, .. } = r#type else {
        return Err(format!("input `{name}` is no tensor"));
    };
    let element = match ty {
        TensorElementType::Float32 => Element::Float,
        TensorElementType::Int64 => Element::Int,
        other => return Err(format!("input `{name}` is {other:?}, need f32 or i64")),
    };
    let side = |&size: &i64| usize::try_from(size).map_or(Side::Batch, Side::Fixed);
    let mut sides: Vec<Side> = shape.iter().map(side).collect();
    sides.first_mut().into_iter().for_each(|side| *side = Side::Batch);
    Ok(Port { name: name.to_owned(), element, sides })
}

fn refused(path: &Path, problem: String) -> DeployError {
    DeployError::Runtime { path: path.to_owned(), runtime: NAME, problem }
}

impl EngineRunner for OnnxSession {
    fn path(&self) -> &Path {
        &self.path
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn batches(&self) -> RangeInclusive<usize> {
        self.batches.clone()
    }

    fn run_checked(&mut self, inputs: &[Named]) -> Result<Vec<Named>, DeployError> {
        let path = &self.path;
        let failed = |error: ort::Error| refused(path, format!("cannot run it: {error}"));
        let given = inputs.iter().map(|(name, values)| Ok((name.as_str(), given(values)?)));
        let given = given.collect::<ort::Result<Vec<_>>>().map_err(failed)?;
        let computed = self.session.run(given).map_err(failed)?;
        let read = self.outputs.iter().map(|name| {
            let (shape, values) = computed[name.as_str()].try_extract_tensor::<f32>()?;
            let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
            Ok((name.clone(), TensorData::new(values.to_vec(), shape)))
        });
        read.collect::<ort::Result<Vec<Named>>>().map_err(failed)
    }
}

fn given(values: &TensorData) -> ort::Result<SessionInputValue<'static>> {
    let shape = values.shape().as_slice().to_vec();
    Ok(match values.dtype() {
        DType::I64 => {
            let values = values.as_slice::<i64>().expect("of this type").to_vec();
            Tensor::from_array((shape, values))?.into()
        }
        _ => {
            let values = values.as_slice::<f32>().expect("checked to be of this type").to_vec();
            Tensor::from_array((shape, values))?.into()
        }
    })
}
