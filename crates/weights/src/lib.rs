//! Reads and writes checkpoints: safetensors, PyTorch files and folders, key maps, the load report.
//!
//! Architecture Invariant: `weights` never knows a network, a spec or training, and never guesses
//! silently. It holds the mechanism; the map of a layout lies beside the model it belongs to.
//!
//! The way of a checkpoint: [`WeightsFile::open`] checks the file and reads its header,
//! [`KeyMap::recognise`] tells which layout it has, [`load`] compares every name and shape before
//! it touches the model, then fills it tensor by tensor. [`save`] walks the same map backwards.
//! [`hub`] makes a local file of a name such as `google/siglip2-base-patch16-224`.

mod atomic;
mod error;
mod file;
mod folder;
pub mod header;
pub mod hub;
mod keymap;
mod layout;
mod load;
mod mismatch;
mod module;
mod names;
mod pattern;
mod plan;
mod pytorch;
mod refused;
mod report;
mod save;
mod shard;
mod values;
mod write;

pub use atomic::AtomicFile;
pub use error::WeightsError;
pub use file::WeightsFile;
pub use header::{Dtype, Entry};
pub use keymap::{KeyMap, Rule};
pub use load::{Fit, LoadOptions, Resize, load};
pub use mismatch::{Mismatch, Misshapen, Missing, Unexpected};
pub use module::{Parameter, map_values, parameters, visit_values};
pub use pytorch::PyTorchProblem;
pub use report::{LoadReport, Renamed, Resized};
pub use save::{save, save_pth, save_tensors};
pub use write::TensorWriter;
