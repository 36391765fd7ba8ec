//! TensorRT itself: no test machine has it, so that only its absence can be tested.

use hearth_tensorrt::{BUILT_FOR, Kind, Library};

#[test]
fn a_missing_library_says_what_to_install() {
    assert_eq!(BUILT_FOR, Some(Kind::Standard));
    if let Err(error) = Library::load() {
        assert!(error.to_string().contains("libnvinfer.so.11"), "{error}");
        assert!(error.is_missing() && error.hints()[0].contains("TENSORRT_LIBS"), "{error}");
    }
}
