//! Differentiable tensor operations that Burn lacks or runs slowly on a CPU.
//!
//! Each file is one operation: a function on [`burn::tensor::Tensor`], its composed form for every
//! device, a kernel of our own for the CPU, its backward pass, and one node in a captured graph.
//!
//! Never knows a model, a file or a network.
#![recursion_limit = "256"]

mod activation;
mod attention;
mod backward;
mod capture;
mod cpu;
mod deformable;
mod depthwise;
#[cfg(feature = "gpu")]
mod gpu;
mod graph;
mod linear;
mod memory;
mod norm;
mod response;
mod softmax;
mod update;

pub use activation::{Activation, activate};
pub use attention::{View, attention, self_attention};
pub use backward::backward_with;
pub use deformable::deformable_sampling;
pub use depthwise::depthwise_conv;
pub use linear::linear;
pub use memory::keep_memory;
pub use norm::layer_norm;
pub use response::response_norm;
pub use softmax::{log_softmax, softmax};
pub use update::{Adam, Slot, adam, average, sum_of_squares};
