//! Every operation against its composed form and finite differences, in one binary.
#![recursion_limit = "256"]

mod it {
    mod activation;
    mod attention;
    mod compare;
    mod deformable;
    mod depthwise;
    #[cfg(feature = "gpu")]
    mod gpu;
    mod lean;
    mod linear;
    mod norm;
    mod response;
    mod rows;
    mod softmax;
    mod update;
}
