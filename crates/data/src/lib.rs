//! `data`: from files to what a model eats: pictures, captions, tokens, in a fixed order.
//!
//! Architecture Invariant: `data` never knows a network, a spec, a tensor or training. The content
//! of a batch is a function of (seed, epoch, index); threads only change how soon it arrives.

pub mod archives;
pub mod cache;
pub mod captions;
pub mod classes;
mod compressed;
pub mod decode;
pub mod encode;
mod error;
mod folder;
pub mod inputs;
pub mod loader;
pub mod mixing;
pub mod pairs;
pub mod picture;
pub mod random;
pub mod resize;
pub mod sampler;
pub mod shards;
mod tarball;
mod text;
pub mod tokenizer;
pub mod transform;
pub mod unreadable;
pub mod work;

pub use error::{DataError, MemberProblem, NothingFound};
