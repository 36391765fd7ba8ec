//! Tests of `hearth-clip`.
#![recursion_limit = "256"]

mod it {
    mod capture;
    mod goldens;
    mod spec_definition;
    mod spec_mistakes;
}
