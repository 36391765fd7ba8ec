//! Tests of the chores, and of the repository through them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "it/assets.rs"]
mod assets;
#[path = "it/fuzz.rs"]
mod fuzz;
#[path = "it/house.rs"]
mod house;
#[path = "it/tidy.rs"]
mod tidy;
