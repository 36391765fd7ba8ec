//! Tests of the chores, and of the repository through them.

#[path = "it/assets.rs"]
mod assets;
#[path = "it/fuzz.rs"]
mod fuzz;
#[path = "it/house.rs"]
mod house;
#[path = "it/tidy.rs"]
mod tidy;
