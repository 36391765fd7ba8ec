//! Specs: YAML with positions, overrides, interpolation and diagnostics, and the machinery that defines a key once.
//!
//! ```
//! use hearth_spec::{Document, block};
//!
//! block! {
//!     /// A run.
//!     pub struct RunSpec {
//!         /// Passes over the data.
//!         num_epochs: usize = 10 => min(1),
//!     }
//! }
//!
//! let document = Document::parse("run.yaml", "num_epoch: 3", &[], &|_| None).unwrap();
//! let errors = document.read::<RunSpec>().unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "error: run.yaml:1:1: `num_epoch`: unknown key\n  \
//!        |\n\
//!      1 | num_epoch: 3\n  \
//!        | ^^^^^^^^^\n  \
//!        = hint: did you mean `num_epochs`?"
//! );
//! ```
//!
//! Architecture Invariant: `spec` never knows burn, a network, a device, or a file other than the spec.
//! The same text and environment give the same value or the same errors.

mod block;
mod checks;
pub mod common;
mod diagnostic;
mod document;
mod emit;
mod interpolation;
mod key;
mod markdown;
mod overrides;
mod read;
mod scalar;
mod schema;
mod source;
mod suggest;
mod tree;
mod yaml;

pub use block::{Block, Value};
pub use checks::Checks;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::Document;
pub use emit::to_yaml;
pub use key::{Choice, Key, Kind, Range, State};
pub use markdown::{differences, markdown};
pub use read::Reader;
pub use schema::json_schema;
pub use serde_json::{Map as JsonMap, Value as Json};
pub use tree::{Map, Node};

#[doc(hidden)]
pub use block::{flattened_keys, write_key};
#[doc(hidden)]
pub use key::running_text;
