//! Opening single files: what is accepted, and the message for everything else.

use std::fs;

use hearth_weights::{Dtype, WeightsFile};

use super::bytes::{counting, file, message, put};

#[test]
fn names_shapes_and_values_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.safetensors", counting(&[("b", &[2, 3]), ("a", &[])]));
    let weights = WeightsFile::open(&path).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(weights.path(), path);
    let entry = weights.entry("b").unwrap();
    assert_eq!((entry.dtype, &entry.shape[..], entry.len()), (Dtype::F32, &[2, 3][..], 6));
    assert_eq!(weights.read_f32("b").unwrap(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(weights.read_f32("a").unwrap(), [0.0]);
    assert!(weights.entry("c").is_none());
}

#[test]
fn reads_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.safetensors", counting(&[("a", &[70_000]), ("b", &[9])]));
    let weights = WeightsFile::open(&path).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(weights.read_f32("a").unwrap()[69_999], 69_999.0);
                    assert_eq!(weights.read_f32("b").unwrap()[8], 8.0);
                }
            });
        }
    });
}

#[test]
fn a_configuration_beside_the_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.safetensors", counting(&[]));
    put(folder.path(), "config.json", r#"{"model_type": "siglip"}"#);
    put(folder.path(), "broken.json", "{");
    let weights = WeightsFile::open(&path).unwrap();
    assert_eq!(weights.config("config.json").unwrap().unwrap()["model_type"], "siglip");
    assert!(weights.config("open_clip_config.json").unwrap().is_none());
    let err = weights.config("broken.json").unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "broken.json: not valid JSON: EOF while parsing an object at line 1 column 1"
    );
}

#[track_caller]
fn check(name: &str, bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), name, bytes);
    let err = WeightsFile::open(&path).unwrap_err();
    assert_eq!(message(&err, folder.path()), expected);
}

#[test]
fn a_broken_file_says_what_is_wrong() {
    check(
        "cut.safetensors",
        &counting(&[("a", &[2])])[..66],
        "cut.safetensors: not a valid safetensors file: tensor `a` ends at byte 8 of the data, the \
         file has 4\nhint: the file is incomplete: download or copy it again",
    );
    check(
        "short.safetensors",
        b"\x01\x00",
        "short.safetensors: not a valid safetensors file: found 2 bytes, need at least 8 for the \
         length of the header\nhint: the file is incomplete: download or copy it again",
    );
    check(
        "nonsense.safetensors",
        b"nonsense, all of it",
        "nonsense.safetensors: not a valid safetensors file: its header claims 7310308002159816558 \
         bytes, the file has 11 bytes after the length",
    );
    check(
        "broken.safetensors",
        &file("{]", &[]),
        "broken.safetensors: not a valid safetensors file: its header cannot be read: key must be \
         a string at line 1 column 2",
    );
}

#[test]
fn foreign_formats_are_refused_by_name() {
    let need = "need a safetensors or PyTorch file or a folder that holds one";
    check(
        "renamed.safetensors",
        b"\x80\x02}q\x00.",
        &format!("renamed.safetensors: found a pickle that `torch.save` did not write, {need}"),
    );
    check("model.onnx", b"\x08\x07", &format!("model.onnx: found an ONNX graph, {need}"));
    check(
        "siglip2.npz",
        b"PK\x03\x04....",
        &format!(
            "siglip2.npz: found NumPy arrays (`.npz`; not in this release), {need}\nhint: convert it once where Python \
             is: `import numpy; from safetensors.numpy import save_file; \
             save_file(dict(numpy.load('siglip2.npz')), 'siglip2.safetensors')`"
        ),
    );
    check(
        "model.safetensors",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        &format!(
            "model.safetensors: found a git-lfs pointer instead of the file, {need}\n\
             hint: fetch the file itself with `git lfs pull`"
        ),
    );
    check(
        "model.safetensors",
        b"<!DOCTYPE html><html>log in</html>",
        &format!(
            "model.safetensors: found a web page instead of the file, {need}\n\
             hint: download the file again, it may need a login"
        ),
    );
}

#[test]
fn a_file_that_is_not_there_points_to_its_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "model.safetensors", counting(&[]));
    let err = WeightsFile::open(folder.path().join("model.pth")).unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "model.pth: not found\nhint: `model.safetensors` stands beside it"
    );
    let err = WeightsFile::open(folder.path().join("other.pth")).unwrap_err();
    assert_eq!(message(&err, folder.path()), "other.pth: not found");
}

#[test]
fn a_tensor_is_read_only_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
        "embed":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[8,10]}}"#;
    let path = put(folder.path(), "a.safetensors", file(header, &[0; 10]));
    let weights = WeightsFile::open(&path).unwrap();
    let check = |result: Result<(), _>, expected: &str| {
        assert_eq!(message(&result.unwrap_err(), folder.path()), expected);
    };
    assert_eq!(weights.read_i64("ids").unwrap(), [0]);
    check(
        weights.read_f32("ids").map(drop),
        "a.safetensors: tensor `ids` has type I64, need F32, F16, BF16 or F64",
    );
    check(
        weights.read_i64("embed").map(drop),
        "a.safetensors: tensor `embed` has type F8_E4M3, need an integer type up to 64 bits, or \
         BOOL",
    );
    check(
        weights.read_f32("embeds").map(drop),
        "a.safetensors: no tensor `embeds`\nhint: did you mean `embed`?",
    );
}

#[test]
fn a_file_cut_after_it_was_opened_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.safetensors", counting(&[("a", &[100])]));
    let weights = WeightsFile::open(&path).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(200).unwrap();
    let err = weights.read_f32("a").unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        "a.safetensors: cannot be read\n  caused by: failed to fill whole buffer"
    );
}

/// 0x4b50 = 19280 bytes of header: the same two first bytes as a zip archive.
#[test]
fn a_header_length_may_look_like_an_archive() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let header = format!("{header:19280}");
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "a.safetensors", file(&header, &[0; 4]));
    assert!(std::fs::read(&path).unwrap().starts_with(b"PK"));
    assert_eq!(WeightsFile::open(path).unwrap().names().len(), 1);
}
