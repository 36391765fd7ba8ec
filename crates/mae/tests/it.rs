//! The models of `mae` against their references.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod it {
    mod fill;
    mod goldens;
    mod layouts;
    mod masks;
    mod sheets;
    mod spec_definition;
    mod tasks;
}
