//! A program without the libraries says what is missing.

use hearth_tensorrt::{BUILT_FOR, Library};

#[test]
fn nothing_is_built_in() {
    assert_eq!(BUILT_FOR, None);
    let error = Library::load().unwrap_err();
    assert!(error.is_missing());
    assert_eq!(error.to_string(), "this program was built without TensorRT's libraries");
    assert!(error.hints()[0].contains("--features tensorrt"), "{:?}", error.hints());
}
