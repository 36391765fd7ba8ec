//! Tests of `hearth-spec` through its public face.

#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap like tests")]

mod it {
    mod definition;
    mod generated;
    mod interpolation;
    mod limits;
    mod mistakes;
    mod overrides;
    mod yaml;
}
