//! Tests of the backbones that need no reference implementation; the goldens are in `hearth-clip`.
#![recursion_limit = "256"]

mod it {
    pub(crate) mod recompute;
    pub(crate) mod shapes;
}
