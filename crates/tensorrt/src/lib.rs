//! TensorRT's own libraries, loaded at run time: they build engines and run them.
//!
//! Architecture Invariant: knows neither a network nor a tensor nor a spec: names, shapes, bytes and
//! paths go in, bytes come out. It is a package of its own so that both kinds of TensorRT, which no
//! program can hold at once, compile without anything else. Without a feature it is an error that says
//! what is missing.

#[cfg(all(feature = "tensorrt", feature = "tensorrt-rtx"))]
compile_error!(
    "features `tensorrt` and `tensorrt-rtx` exclude each other: both are the crate `trtx`, which holds one of the two"
);

#[cfg(not(any(feature = "tensorrt", feature = "tensorrt-rtx")))]
#[path = "absent.rs"]
mod native;
#[cfg(any(feature = "tensorrt", feature = "tensorrt-rtx"))]
mod native;

mod error;

pub use error::LibraryError;
pub use native::{Engine, Library};

/// Whose libraries this program can load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TensorRT.
    Standard,
    /// TensorRT for RTX.
    Rtx,
}

/// Which kind of libraries this program was built for, if any.
pub const BUILT_FOR: Option<Kind> = if cfg!(feature = "tensorrt-rtx") {
    Some(Kind::Rtx)
} else if cfg!(feature = "tensorrt") {
    Some(Kind::Standard)
} else {
    None
};

/// What the shape of an input may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shapes {
    /// The input.
    pub name: String,
    /// The smallest.
    pub min: Vec<i64>,
    /// The one to be fast with.
    pub opt: Vec<i64>,
    /// The largest.
    pub max: Vec<i64>,
}

/// How an engine is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildOptions {
    /// The shapes of all inputs; none if the graph leaves nothing open.
    pub shapes: Vec<Shapes>,
    /// Bytes for trying algorithms; nothing leaves the library's own limit.
    pub workspace: Option<usize>,
    /// Which GPU, for a library that asks it.
    pub gpu: usize,
    /// Tells everything, not only what is important.
    pub verbose: bool,
}

/// What is told while an engine is built.
pub struct Listener<'a> {
    /// Takes a line.
    pub say: &'a mut dyn FnMut(&str),
    /// Whether the work shall end.
    pub stopped: &'a dyn Fn() -> bool,
}

/// What the elements of a tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// f32.
    Float,
    /// f16.
    Half,
    /// i64.
    Int64,
    /// i32.
    Int32,
}

/// A tensor that goes into an engine or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub element: Element,
    /// They, as they lie in memory.
    pub bytes: Vec<u8>,
}

/// What an engine says of a tensor that it takes or gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// What its elements are.
    pub element: Element,
    /// Whether it is taken, not given.
    pub is_input: bool,
}

impl Element {
    /// Bytes of one.
    pub fn width(self) -> usize {
        match self {
            Element::Half => 2,
            Element::Float | Element::Int32 => 4,
            Element::Int64 => 8,
        }
    }
}
