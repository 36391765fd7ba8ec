//! The command line as terminal sessions: what is typed, what comes back on both streams.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    mod benchmark;
    mod embedding;
    mod engine;
    mod export;
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    mod gpu;
    mod help;
    mod hub;
    #[path = "../../../weights/tests/it/loopback.rs"]
    mod loopback;
    mod mae;
    mod mae_export;
    mod mae_helps;
    mod memory;
    mod partial;
    mod precision;
    mod pytorch;
    mod refused;
    mod replicas;
    pub(crate) mod session;
    pub(crate) mod shapes;
    mod shards;
    mod spec_file;
    mod towers;
    mod training;
    mod unreadable;
    mod usage;
    mod zero_shot;
}
