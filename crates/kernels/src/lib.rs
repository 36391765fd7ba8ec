//! Tensor operations that Burn lacks or runs slowly on a CPU.
//!
//! Each file is one operation: a function on [`burn::tensor::Tensor`], its composed form for every
//! device, a kernel of our own for the CPU, its backward pass, and one node in a captured graph. Beside
//! them: `lean` (two operations that keep one input), `backward` (where a backward pass starts),
//! `update` (steps of optimizers, which nobody differentiates), `wide` (half types) and `memory` (the
//! allocator).
//!
//! Architecture Invariant: `kernels` never knows a model, a file or a network. A result is a function
//! of the inputs and the number of threads, not of their speed. Inputs that do not fit are a panic of
//! the public function, before a kernel sees them: the kernels rely on it.
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
mod lean;
mod linear;
mod memory;
mod norm;
mod response;
mod rows;
mod softmax;
mod update;
mod wide;

pub use activation::{Activation, activate};
pub use attention::{View, attention, self_attention};
pub use backward::backward_with;
pub use deformable::deformable_sampling;
pub use depthwise::depthwise_conv;
pub use lean::{linear_of_activated, linear_of_normalized};
pub use linear::linear;
pub use memory::keep_memory;
pub use norm::layer_norm;
pub use response::response_norm;
pub use rows::{Rows, spread_rows, take_rows};
pub use softmax::{log_softmax, softmax};
pub use update::{Adam, Slot, adam, average, sum_of_squares};
