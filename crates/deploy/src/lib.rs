//! From a trained model to a file that other programs run.
//!
//! Architecture Invariant: `deploy` never knows a network, training or a terminal. A model comes in as
//! a forward pass with names for its inputs and outputs.

mod error;
pub mod half;
pub mod onnx;
pub mod trt;
pub mod twin;

pub use error::DeployError;
