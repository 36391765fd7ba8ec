//! The command line as terminal sessions: what is typed, what comes back on both streams.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    mod embedding;
    mod help;
    mod memory;
    pub(crate) mod session;
    pub(crate) mod shapes;
    mod shards;
    mod spec_file;
    mod training;
    mod usage;
}
