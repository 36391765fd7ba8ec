//! `backbones`: vision and text transformers, ConvNeXt V2, Hiera, and the layers they share.
//!
//! Architecture Invariant: `backbones` never knows a spec, a file, a loss or a network; a backbone is
//! a function of tensors, and its field names are those of timm, for C-RADIO those of its own files.
#![recursion_limit = "256"]

pub mod cells;
pub mod convnext;
pub mod dropout;
mod error;
pub mod hiera;
pub mod layers;
pub mod lora;
mod mode;
pub mod naflex;
pub mod positions;
pub mod radio;
pub mod recompute;
pub mod text;
pub mod vit;

pub use error::BackboneError;
pub use mode::Mode;
