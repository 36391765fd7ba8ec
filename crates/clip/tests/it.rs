//! Tests of `hearth-clip`.
#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod it {
    mod capture;
    mod device;
    mod export;
    mod goldens;
    mod half;
    mod lora;
    mod positions;
    mod pytorch;
    mod radio;
    mod retrieval;
    mod spec_definition;
    mod spec_mistakes;
    mod spec_partial;
    mod zero_shot;
}
