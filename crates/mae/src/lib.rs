//! `mae`: masked autoencoders of ConvNeXt V2, Hiera and ViT, and the classifiers made of them.
//!
//! Architecture Invariant: a mask is a function of the random numbers of a step and of the place of the
//! picture in the global batch. `mae` never knows another network, the command line or a terminal; what
//! it says goes through the run.
//!
//! Start reading at [`autoencoder`], then [`train`](train()).
#![recursion_limit = "256"]

pub mod arch;
pub mod autoencoder;
mod begin;
mod benchmark;
mod check;
pub mod classifier;
mod contents;
pub mod dataset;
mod error;
mod evaluate;
pub mod export;
pub mod fcmae;
mod freezing;
mod gen_trt_engine;
pub mod groups;
pub mod hiera;
mod inference;
pub mod init;
pub mod layouts;
pub mod masking;
pub mod patches;
mod plan;
mod recipe;
mod setup;
pub mod sheet;
mod source;
pub mod spec;
mod summary;
pub mod task;
mod train;
pub mod vit;
pub mod weights;

pub use benchmark::benchmark;
pub use check::check;
pub use error::MaeError;
pub use evaluate::evaluate;
pub use export::export;
pub use gen_trt_engine::gen_trt_engine;
pub use inference::inference;
pub use train::train;

/// Every key with its default, as YAML.
pub fn default_specs() -> String {
    hearth_spec::to_yaml(&spec::MaeSpec::default())
}
