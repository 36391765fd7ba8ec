//! `clip`: contrastive image-text models - SigLIP2, NV-CLIP, OpenAI CLIP - from a TAO spec.
//!
//! Architecture Invariant: `clip` never knows another network, the command line or a terminal; what
//! it says goes through the run.
//!
//! Start reading at [`model`], then [`train`](train()).
#![recursion_limit = "256"]

mod adapters;
mod benchmark;
mod check;
mod checkpoints;
mod dataset;
mod embedder;
mod embeddings;
mod error;
mod evaluate;
pub mod export;
mod exported;
pub mod extra;
mod gen_trt_engine;
mod hub;
mod inference;
mod init;
pub mod layouts;
mod memory;
pub mod model;
pub mod parts;
pub mod peft;
pub mod pictures;
mod plan;
pub mod radio;
mod recipe;
pub mod registry;
mod resize;
pub mod retrieval;
mod setup;
mod source;
pub mod spec;
mod summary;
pub mod task;
mod train;
pub mod vision;
mod waiting;
pub mod zero_shot;

pub use benchmark::benchmark;
pub use check::check;
pub use error::ClipError;
pub use evaluate::evaluate;
pub use export::export;
pub use gen_trt_engine::gen_trt_engine;
pub use inference::inference;
pub use train::train;

/// Every key with its default, as YAML.
pub fn default_specs() -> String {
    hearth_spec::to_yaml(&spec::ClipSpec::default())
}
