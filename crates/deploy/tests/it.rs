//! Tests of `hearth-deploy`: files on disk.

#[cfg(test)]
mod it {
    mod files;
    mod half;
    mod trt;
    mod twin;
}
