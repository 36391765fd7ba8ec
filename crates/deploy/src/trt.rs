//! TensorRT engines: from an ONNX file to a plan for one product, version and GPU.

mod builder;
mod card;
mod error;
mod job;
mod profile;
mod runtime;
mod trtexec;
mod version;

pub use hearth_tensorrt::LibraryError;

pub use builder::Builder;
pub use card::{EngineCard, Plan, Source};
pub use error::{Blame, TensorRtError};
pub use job::{Job, JobKeys};
pub use profile::{Batches, InputShapes, Profile};
pub use runtime::TensorRtEngine;
pub use trtexec::{Listener, Order, Trtexec, arguments};
pub use version::{Product, Version};
