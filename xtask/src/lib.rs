//! `xtask`: the chores of this repository, each a function that `cargo xtask` runs and a test can call.
//!
//! Architecture Invariant: nothing depends on `xtask`, and no check exists that only the CI machine can run.
#![recursion_limit = "256"]
#![expect(clippy::print_stdout, reason = "a chore reports to the person who started it")]

pub mod assets;
pub mod bench;
pub mod ci;
pub mod draw;
pub mod floors;
pub mod fuzz;
pub mod generate;
pub mod goldens;
pub mod gpu;
mod process;
pub mod shapes;
mod source;
pub mod tidy;

use std::path::Path;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}
