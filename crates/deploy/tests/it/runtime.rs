//! The library that tests run graphs with.

use hearth_deploy::OnnxRuntime;

/// ONNX Runtime, or nothing where it is not installed and need not be.
pub(super) fn runtime() -> Option<OnnxRuntime> {
    match OnnxRuntime::find() {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("ort"));
            assert!(!required, "HEARTH_REQUIRE asks for ort: {error}");
            println!("skipped: {error}");
            None
        }
    }
}
