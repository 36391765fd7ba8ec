//! The training loop with a toy task and data in memory.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    pub(crate) mod contrast;
    pub(crate) mod optimizers;
    pub(crate) mod toy;
    pub(crate) mod training;
}
