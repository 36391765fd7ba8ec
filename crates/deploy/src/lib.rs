//! From a trained model to a file that other programs run.
//!
//! Architecture Invariant: `deploy` never knows a network, training or a terminal. A model comes in as
//! a forward pass with names for its inputs and outputs.

mod capture;
mod error;
mod export;
mod fold;
mod follower;
pub mod half;
pub mod keys;
mod lower;
mod network;
pub mod onnx;
mod onnx_runtime;
pub mod parity;
mod probe;
mod replay;
mod runner;
mod speed;
pub mod trt;
pub mod twin;
mod verified;

pub use error::{DeployError, FileError, get_onnx_runtime};
pub use export::{Options, export};
pub use follower::Follower;
pub use lower::{KernelCall, KernelLowering, Lowering};
pub use network::{Element, Inputs, Network, Outputs, Port, Side, run};
pub use onnx_runtime::{OnnxRuntime, OnnxSession};
pub use probe::first_difference;
pub use runner::{EngineRunner, Named};
pub use speed::time_graph;
pub use verified::{Exported, Exporter, claim};
