//! Tests of `hearth-deploy`: files on disk, and operations as ONNX Runtime computes them.
#![recursion_limit = "256"]

#[cfg(test)]
mod it {
    mod files;
    mod half;
    mod lowering;
    mod runtime;
    mod trt;
    mod twin;
}
