//! `clip inference`: files, order, and what a kill leaves.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rust_hdf5::H5File;

use super::{
    session::run,
    shapes::{root, workspace},
};

fn trained() -> tempfile::TempDir {
    let folder = workspace();
    let output = run(folder.path(), &["-e", "spec.yaml", "train.num_epochs=1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// Rows and names of the two files in `folder`.
pub(crate) fn read(folder: &Path, name: &str, names: &str) -> (Vec<usize>, Vec<f32>, Vec<String>) {
    let file = H5File::open(folder.join(name)).unwrap();
    let rows = file.dataset("embeddings").unwrap();
    let shape = rows.shape();
    let values = rows.read_slice::<f32>(&[0, 0], &shape).unwrap();
    (shape, values, file.dataset(names).unwrap().read_vlen_strings().unwrap())
}

const CHECKPOINT: &str = "inference.checkpoint=out/train/clip_latest.safetensors";

#[test]
fn embeddings_are_normalised_rows_in_sorted_order_and_prompts_as_they_stand() {
    let folder = trained();
    let folder = folder.path();
    let output = run(folder, &["clip", "inference", "-e", "spec.yaml", CHECKPOINT]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = folder.join("out/inference");
    let (shape, rows, paths) = read(&results, "image_embeddings.h5", "image_paths");
    assert_eq!(shape[0], 10);
    assert!(paths.is_sorted() && paths[0].ends_with("val/images/0000.png"), "{paths:?}");
    for row in rows.chunks(shape[1]) {
        assert!((row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    let (_, _, texts) = read(&results, "text_embeddings.h5", "texts");
    assert_eq!(texts, ["a red circle", "a blue square"]);
    assert!(!results.join("image_embeddings.h5.part").exists());
}

#[test]
fn a_killed_inference_continues_to_the_same_rows() {
    let folder = trained();
    let folder = folder.path();
    let images = format!(
        "inference.datasets=[{{image_dir: {}}}]",
        root().join("assets/shapes/train/images").display()
    );
    let arguments = |results: &str| {
        [
            "clip",
            "inference",
            "-e",
            "spec.yaml",
            CHECKPOINT,
            &images,
            &format!("results_dir={results}"),
        ]
        .map(str::to_owned)
    };
    let whole: Vec<String> = arguments("whole").into();
    let output = run(folder, &whole.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut child = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .current_dir(folder)
        .args(arguments("killed"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = folder.join("killed/inference/image_embeddings.h5.part");
    let start = Instant::now();
    while fs::metadata(&part).map_or(0, |file| file.len()) < 20_000 {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !folder.join("killed/inference/image_embeddings.h5").exists(),
        "the kill came too late"
    );

    let again: Vec<String> = arguments("killed").into();
    let output = run(folder, &again.iter().map(String::as_str).collect::<Vec<_>>());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && stderr.contains("continuing behind"), "{stderr}");
    let rows = |results: &str| {
        read(&folder.join(results).join("inference"), "image_embeddings.h5", "image_paths")
    };
    assert_eq!(rows("whole"), rows("killed"));
}

/// The files are for Python: h5py reads them where it is installed, and has to where CI asks for it.
#[test]
fn h5py_reads_the_files() {
    let python = std::env::var("HEARTH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let probe = Command::new(&python).args(["-c", "import h5py"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("HEARTH_REQUIRE").is_ok_and(|list| list.contains("h5py"));
        assert!(!required, "HEARTH_REQUIRE asks for h5py, {python} has none");
        println!("skipped: {python} has no h5py");
        return;
    }
    let folder = trained();
    let output = run(folder.path(), &["clip", "inference", "-e", "spec.yaml", CHECKPOINT]);
    assert!(output.status.success());
    let script = "\
import h5py, sys
for name, column, kind in (('image', 'image_paths', 'num_images'), ('text', 'texts', 'num_texts')):
    f = h5py.File(f'{sys.argv[1]}/{name}_embeddings.h5')
    e = f['embeddings']
    assert e.dtype == 'float32' and e.compression == 'gzip' and e.compression_opts == 4, e
    assert f.attrs[kind] == len(e) == len(f[column]) and f.attrs['embedding_dim'] == e.shape[1]
    assert f.attrs['embedding_type'] in (name, name.encode()), f.attrs['embedding_type']
    assert isinstance(f[column].asstr()[0], str)
";
    let results = folder.path().join("out/inference");
    let output = Command::new(&python).args(["-c", script]).arg(results).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
