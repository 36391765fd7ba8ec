//! Why there is no engine.

use std::{io, path::PathBuf};

use hearth_tensorrt::LibraryError;

use super::{InputShapes, Product};
use crate::error::FileError;

/// Every variant says where and what; [`TensorRtError::hints`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TensorRtError {
    /// `If`, `Loop` and the like.
    #[error(
        "node `{node}` ({operator}) has a graph inside, f16 needs a graph without branches and loops"
    )]
    GraphInside {
        /// What kind of node.
        operator: String,
        /// Its name.
        node: String,
    },
    /// An entry of `layers_precision` that says nothing.
    #[error("layers_precision: found `{entry}`, needed `layer:fp32` or `layer:fp16`")]
    LayerPrecision {
        /// As it was written.
        entry: String,
    },
    /// An entry of `layers_precision` that means no node.
    #[error(
        "layers_precision: found `{layer}`, needed the beginning of the name of a node in the graph"
    )]
    NoSuchLayer {
        /// As it was written.
        layer: String,
        /// Names that begin alike.
        near: Vec<String>,
    },
    /// A tensor whose values are not where they should be.
    #[error("tensor `{tensor}`: its values are not as many as its shape says")]
    NoValues {
        /// Which.
        tensor: String,
    },
    /// A weight that is infinite in f16.
    #[error("weight `{tensor}` holds {value:e}, f16 ends at 65504")]
    WeightOverflow {
        /// Which.
        tensor: String,
        /// A node that takes it.
        node: String,
        /// A value that it holds.
        value: f32,
    },
    /// A result of the twin that f16 cannot hold.
    #[error("f16 rejected: `{node}` ({operator}) gives results that are not finite")]
    NotFinite {
        /// The node.
        node: String,
        /// What kind of node.
        operator: String,
    },
    /// A result of the twin that is too close to what f16 cannot hold.
    #[error(
        "f16 rejected: `{node}` ({operator}) reaches {value:.0}, at most 32768 is safe: f16 ends at 65504"
    )]
    OutOfRange {
        /// The node.
        node: String,
        /// What kind of node.
        operator: String,
        /// The largest magnitude.
        value: f32,
    },
    /// An output of the twin that is not that of the original.
    #[error("f16 rejected: output `{output}` has cosine {cosine:.5} to that in f32, needed 0.999{}", first(.node))]
    Apart {
        /// The output.
        output: String,
        /// The smallest cosine of a row.
        cosine: f32,
        /// The first node that is as far away, and its cosine.
        node: Option<(String, f32)>,
    },
    /// Sizes that are not in order.
    #[error("batches {min}, {opt}, {max}: needed 1 <= min <= opt <= max")]
    Batches {
        /// The smallest.
        min: usize,
        /// The usual.
        opt: usize,
        /// The largest.
        max: usize,
    },
    /// A graph that takes nothing.
    #[error("the graph has no inputs")]
    NoInputs,
    /// Two inputs that are not for the same samples.
    #[error("inputs `{one}` and `{other}` have different batches, needed the same for all")]
    UnequalBatches {
        /// One.
        one: String,
        /// The other.
        other: String,
    },
    /// An input for which no profile can be made.
    #[error("input `{input}` {problem}")]
    InputShape {
        /// Which.
        input: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Values that the engine was not built for.
    #[error("input `{}`: found the shape {shape:?}, the engine takes {:?} to {:?}", .input.name, .input.min, .input.max)]
    OutsideProfile {
        /// Which, and what it takes.
        input: InputShapes,
        /// What came.
        shape: Vec<i64>,
    },
    /// No builder anywhere.
    #[error(
        "no TensorRT found: no `trtexec` in PATH or the usual folders, no TensorRT library in this program"
    )]
    NoBuilder,
    /// `TRTEXEC` names no file.
    #[error("TRTEXEC: {}: not a program", .path.display())]
    NoProgram {
        /// What it names.
        path: PathBuf,
    },
    /// A program that the system does not start.
    #[error("{}: cannot be started", .program.display())]
    NotStarted {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `hearth-trtexec` without the libraries that it loads.
    #[error("{}: TensorRT's libraries are missing{}", .program.display(), lines(.said))]
    NoLibraries {
        /// The program.
        program: PathBuf,
        /// What it says, with what to do.
        said: Vec<String>,
    },
    /// A program that does not say its version.
    #[error("{}: does not say which TensorRT it belongs to, needed `trtexec` of TensorRT 8 or newer", .program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
    },
    /// The builder gave up.
    #[error("{builder}: no engine ({status}){}", lines(.said))]
    NotBuilt {
        /// The program or library.
        builder: String,
        /// How it ended.
        status: String,
        /// Its last words.
        said: Vec<String>,
    },
    /// TensorRT's libraries, or a call of theirs.
    #[error(transparent)]
    Library(LibraryError),
    /// A signal arrived.
    #[error("stopped while the engine was built")]
    Stopped,
    /// The operating system refused to read or to write.
    #[error(transparent)]
    File(#[from] FileError),
    /// A card that is not one.
    #[error("{}: not the description of an engine: {problem}", .path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An engine without a card.
    #[error("{}: its description `{}` is not beside it", .engine.display(), super::EngineCard::path(.engine).display())]
    NoCard {
        /// The engine.
        engine: PathBuf,
    },
    /// An engine that is not the one that its card was written for.
    #[error("{}: {problem}", .engine.display())]
    Damaged {
        /// The engine.
        engine: PathBuf,
        /// What was found, and what is needed.
        problem: String,
    },
    /// A program that runs no engines.
    #[error("{}: needs {product} {version}, this program was built without TensorRT's libraries", .engine.display())]
    NoRuntime {
        /// The engine.
        engine: PathBuf,
        /// Whose it is.
        product: Product,
        /// Version of the product.
        version: String,
    },
    /// An engine of another product, version or GPU.
    #[error("{}: built {built}, found {found}", .engine.display())]
    ForeignEngine {
        /// The engine.
        engine: PathBuf,
        /// By or for what.
        built: String,
        /// What is here.
        found: String,
    },
    /// A run of the twin without one of its outputs.
    #[error("the run of the f16 check gave no `{output}`")]
    NoOutput {
        /// The output.
        output: String,
    },
}

/// Last words, one line each.
fn lines(said: &[String]) -> String {
    said.iter().map(|line| format!("\n  {line}")).collect()
}

fn first(node: &Option<(String, f32)>) -> String {
    match node {
        Some((node, cosine)) => format!("; `{node}` is the first to differ, with {cosine:.5}"),
        None => String::new(),
    }
}

/// What an error asks to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The spec.
    Spec,
    /// Files and folders.
    Files,
    /// The model or the engine that was given.
    Model,
    /// The precision: its numbers are refused.
    Numbers,
    /// The machine or its driver.
    Machine,
    /// Something must be installed.
    Installation,
    /// What builds or runs the engine, which gave up.
    Builder,
}

impl From<LibraryError> for TensorRtError {
    fn from(error: LibraryError) -> TensorRtError {
        match error {
            LibraryError::Stopped => TensorRtError::Stopped,
            other => TensorRtError::Library(other),
        }
    }
}

/// How to get a builder.
const INSTALL: &[&str] = &[
    "install TensorRT (https://developer.nvidia.com/tensorrt) and put its `bin` folder into PATH, or set TRTEXEC to its `trtexec`",
    "engines for GeForce and RTX cards need no GPU to build: \
     `cargo build --release -p hearth-tensorrt --features tensorrt-rtx --target-dir target/tensorrt`, \
     `pip download tensorrt_rtx_cu13_libs`, unzip it, set TENSORRT_LIBS to the folder of its libraries and \
     TRTEXEC to target/tensorrt/release/hearth-trtexec",
];

impl TensorRtError {
    /// What has to change.
    pub fn blame(&self) -> Blame {
        match self {
            TensorRtError::LayerPrecision { .. }
            | TensorRtError::NoSuchLayer { .. }
            | TensorRtError::Batches { .. } => Blame::Spec,
            TensorRtError::File(_) => Blame::Files,
            TensorRtError::GraphInside { .. }
            | TensorRtError::NoValues { .. }
            | TensorRtError::NoInputs
            | TensorRtError::UnequalBatches { .. }
            | TensorRtError::InputShape { .. }
            | TensorRtError::OutsideProfile { .. }
            | TensorRtError::Card { .. }
            | TensorRtError::NoCard { .. }
            | TensorRtError::Damaged { .. }
            | TensorRtError::ForeignEngine { .. } => Blame::Model,
            TensorRtError::WeightOverflow { .. }
            | TensorRtError::NotFinite { .. }
            | TensorRtError::OutOfRange { .. }
            | TensorRtError::Apart { .. } => Blame::Numbers,
            TensorRtError::Library(LibraryError::NoGpu { .. } | LibraryError::Cuda { .. }) => {
                Blame::Machine
            }
            TensorRtError::NoBuilder
            | TensorRtError::NoProgram { .. }
            | TensorRtError::NoRuntime { .. }
            | TensorRtError::NoLibraries { .. } => Blame::Installation,
            TensorRtError::Library(error) if error.is_missing() => Blame::Installation,
            TensorRtError::Library(_)
            | TensorRtError::NoOutput { .. }
            | TensorRtError::NotStarted { .. }
            | TensorRtError::NoVersion { .. }
            | TensorRtError::NotBuilt { .. }
            | TensorRtError::Stopped => Blame::Builder,
        }
    }

    /// What the user may do about it.
    pub fn hints(&self) -> Vec<String> {
        let hint = match self {
            TensorRtError::NoSuchLayer { near, .. } if !near.is_empty() => {
                format!("names of the graph that come near: `{}`", near.join("`, `"))
            }
            TensorRtError::WeightOverflow { node, .. }
            | TensorRtError::NotFinite { node, .. }
            | TensorRtError::OutOfRange { node, .. }
            | TensorRtError::Apart { node: Some((node, _)), .. } => keep_full(node),
            TensorRtError::NoBuilder | TensorRtError::NoProgram { .. } => {
                return INSTALL.iter().map(|&line| line.to_owned()).collect();
            }
            TensorRtError::Library(error) => return error.hints(),
            TensorRtError::NoRuntime { product, .. } => return runtime(*product),
            TensorRtError::Damaged { .. } => {
                "copy it again together with its description, or build it again with `gen_trt_engine`"
                    .to_owned()
            }
            TensorRtError::NoCard { .. } => {
                "engines of other programs are not run: build it from its ONNX file with `gen_trt_engine`"
                    .to_owned()
            }
            TensorRtError::ForeignEngine { .. } => {
                "an engine runs on the product, version and GPU that it was built with: build it again here"
                    .to_owned()
            }
            TensorRtError::OutsideProfile { .. } => {
                "change the batch, or build the engine with another `gen_trt_engine.tensorrt.max_batch_size`"
                    .to_owned()
            }
            TensorRtError::InputShape { .. } | TensorRtError::UnequalBatches { .. } => {
                "export the model again, with only the batch open".to_owned()
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }
}

/// How to get a program that runs engines.
fn runtime(product: Product) -> Vec<String> {
    let (feature, libraries) = match product {
        Product::Standard => (
            "tensorrt",
            "TensorRT 11 (https://developer.nvidia.com/tensorrt), whose folder `lib` TENSORRT_LIBS names",
        ),
        Product::Rtx => (
            "tensorrt-rtx",
            "the libraries of `pip download tensorrt_rtx_cu13_libs`, unzipped into a folder that TENSORRT_LIBS names",
        ),
    };
    vec![
        format!("build it with `cargo build --release -p trainer --features {feature}`"),
        format!("it then needs {libraries}, and an NVIDIA driver"),
        "without TensorRT, evaluate the ONNX file that the engine was built from".to_owned(),
    ]
}

fn keep_full(node: &str) -> String {
    format!("keep it in f32: `gen_trt_engine.tensorrt.layers_precision: [\"{node}:fp32\"]`")
}
