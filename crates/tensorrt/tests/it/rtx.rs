//! TensorRT for RTX builds engines without a GPU: f32 and f16, an open batch, the same bytes twice.

use std::{fs, path::PathBuf};

use hearth_tensorrt::{BUILT_FOR, BuildOptions, Kind, Library, LibraryError, Listener, Shapes};

/// The library, or nothing where it is not installed and need not be.
fn library() -> Option<Library> {
    match Library::load() {
        Ok(library) => Some(library),
        Err(error) => {
            let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("rtx"));
            assert!(!required, "HEARTH_REQUIRE asks for rtx: {error}");
            println!("skipped: {error}");
            None
        }
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/engine")).join(name)
}

fn options(max: i64) -> BuildOptions {
    let shape = |batch| vec![batch, 4, 8];
    let shapes =
        vec![Shapes { name: "x".to_owned(), min: shape(1), opt: shape(2), max: shape(max) }];
    BuildOptions { shapes, workspace: Some(64 << 20), gpu: 0, verbose: false }
}

fn build(
    library: &Library,
    onnx: &str,
    options: &BuildOptions,
) -> (Result<Vec<u8>, LibraryError>, Vec<String>) {
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    let mut listener = Listener { say: &mut say, stopped: &|| false };
    let plan = library.build(&fixture(onnx), options, &mut listener);
    (plan, lines)
}

#[test]
fn engines_are_built_and_equal() {
    assert_eq!(BUILT_FOR, Some(Kind::Rtx));
    let Some(library) = library() else { return };
    assert!(library.version() >= (1, 7, 0), "{:?}", library.version());
    assert_eq!(library.compute_capability(0).unwrap(), None);
    for onnx in ["block.onnx", "block_fp16.onnx"] {
        let (plan, lines) = build(&library, onnx, &options(8));
        let plan = plan.unwrap_or_else(|error| panic!("{onnx}: {error}\n{lines:?}"));
        assert_eq!(plan.get(..4), Some(&b"vtrt"[..]), "{onnx}");
        let (again, _) = build(&library, onnx, &options(8));
        assert!(again.unwrap() == plan, "{onnx}: two builds differ");
        let (other, _) = build(&library, onnx, &options(16));
        assert!(other.unwrap() != plan, "{onnx}: the profile does nothing");
    }
}

#[test]
fn what_the_library_refuses_is_told() {
    let Some(library) = library() else { return };
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.onnx");
    fs::write(&broken, b"not a model").unwrap();
    let mut listener = Listener { say: &mut |_| {}, stopped: &|| false };
    let error = library.build(&broken, &options(8), &mut listener).unwrap_err();
    assert!(error.to_string().contains("broken.onnx: not accepted\n"), "{error}");

    // The profile names no input of the graph, or leaves one out.
    let mut wrong = options(8);
    wrong.shapes.clear();
    let (plan, _) = build(&library, "block.onnx", &wrong);
    let error = plan.unwrap_err().to_string();
    assert!(error.starts_with("TensorRT: no engine\n"), "{error}");
}

#[test]
fn a_build_ends_when_asked() {
    let Some(library) = library() else { return };
    let mut listener = Listener { say: &mut |_| {}, stopped: &|| true };
    let built = library.build(&fixture("block.onnx"), &options(8), &mut listener);
    // It may be done before it looks.
    assert!(matches!(built, Ok(_) | Err(LibraryError::Stopped)), "{built:?}");
}

#[test]
fn running_needs_a_driver() {
    let Some(library) = library() else { return };
    if PathBuf::from("/dev/nvidia0").exists() {
        println!("skipped: this machine may have a driver");
        return;
    }
    let (plan, _) = build(&library, "block.onnx", &options(8));
    let error = library.engine(plan.unwrap(), 0).unwrap_err();
    assert!(error.to_string().starts_with("no NVIDIA GPU: "), "{error}");
    // Likewise for what is no plan: the driver is asked first.
    let error = library.engine(b"not a plan".to_vec(), 0).unwrap_err();
    assert!(error.to_string().starts_with("no NVIDIA GPU: "), "{error}");
}
