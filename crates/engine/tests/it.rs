//! The training loop with a toy task and data in memory.
#![recursion_limit = "256"]

mod it {
    pub(crate) mod contrast;
    pub(crate) mod loop_;
    pub(crate) mod optimizers;
    pub(crate) mod toy;
}
