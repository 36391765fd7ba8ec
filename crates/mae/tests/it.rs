//! The models of `mae` against their references.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod it {
    mod fill;
    mod goldens;
    mod masks;
    mod sheets;
    mod tasks;
}
