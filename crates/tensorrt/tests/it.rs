//! Tests of `hearth-tensorrt`. Those of the library skip, and say so, where it is not installed,
//! unless `HEARTH_REQUIRE` names `rtx`.

#[cfg(test)]
mod it {
    #[cfg(not(any(feature = "tensorrt", feature = "tensorrt-rtx")))]
    mod absent;
    #[cfg(feature = "tensorrt-rtx")]
    mod rtx;
    #[cfg(feature = "tensorrt")]
    mod standard;
}
