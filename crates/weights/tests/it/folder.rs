//! Folders of Hugging Face and open_clip, and checkpoints in shards.

use std::{fs, path::Path};

use hearth_weights::WeightsFile;

use super::bytes::{counting, message, put};

fn names(path: &Path) -> Vec<String> {
    WeightsFile::open(path).unwrap().names().map(str::to_owned).collect()
}

#[track_caller]
fn check_error(folder: &Path, name: &str, expected: &str) {
    let err = WeightsFile::open(folder.join(name)).unwrap_err();
    assert_eq!(message(&err, folder), expected);
}

/// Two shards and an index of them, changed by the caller.
fn sharded(folder: &Path, index: &str) {
    put(folder, "model-00001-of-00002.safetensors", counting(&[("a", &[2])]));
    put(folder, "model-00002-of-00002.safetensors", counting(&[("b", &[3])]));
    put(folder, "model.safetensors.index.json", index);
}

const INDEX: &str = r#"{"metadata": {"total_size": 20}, "weight_map": {
    "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;

#[test]
fn the_known_names_are_found() {
    for name in ["model.safetensors", "open_clip_model.safetensors", "model_epoch_003.safetensors"]
    {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), name, counting(&[("a", &[2])]));
        put(folder.path(), "open_clip_config.json", "{}");
        put(folder.path(), "pytorch_model.bin", "PK\x03\x04");
        assert_eq!(names(folder.path()), ["a"], "{name}");
        let weights = WeightsFile::open(folder.path()).unwrap();
        assert!(weights.config("open_clip_config.json").unwrap().is_some());
    }
}

#[test]
fn shards_are_one_file() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path(), INDEX);
    for path in [folder.path().to_owned(), folder.path().join("model.safetensors.index.json")] {
        let weights = WeightsFile::open(path).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(weights.read_f32("b").unwrap(), [0.0, 1.0, 2.0]);
    }
    // One shard alone can be looked at.
    assert_eq!(names(&folder.path().join("model-00002-of-00002.safetensors")), ["b"]);
}

#[test]
fn a_link_into_a_cache_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (folder.path().join("blobs"), folder.path().join("snapshot"));
    fs::create_dir(&blobs).unwrap();
    fs::create_dir(&snapshot).unwrap();
    put(&blobs, "0f3a", counting(&[("a", &[2])]));
    std::os::unix::fs::symlink("../blobs/0f3a", snapshot.join("model.safetensors")).unwrap();
    assert_eq!(names(&snapshot), ["a"]);
}

#[test]
fn an_index_names_files_of_its_own_folder_only() {
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "x.safetensors", counting(&[("a", &[2])]));
    let absolute = outside.path().join("x.safetensors").display().to_string();
    for stray in
        ["../x.safetensors", "sub/x.safetensors", "./x.safetensors", "..", "", "x.pkl", &absolute]
    {
        let folder = tempfile::tempdir().unwrap();
        sharded(folder.path(), &format!(r#"{{"weight_map": {{"a": "{stray}"}}}}"#));
        check_error(
            folder.path(),
            "model.safetensors.index.json",
            &format!(
                "model.safetensors.index.json: names the shard `{stray}`, need the plain name of a \
                 `.safetensors` or `.bin` file of this folder"
            ),
        );
    }
}

#[test]
fn index_and_shards_agree() {
    let check = |index: &str, expected: &str| {
        let folder = tempfile::tempdir().unwrap();
        sharded(folder.path(), index);
        let expected = format!("model.safetensors.index.json: {expected}");
        check_error(folder.path(), "model.safetensors.index.json", &expected);
    };
    check(
        "[]",
        "not a valid index of shards: invalid length 0, expected struct IndexFile with 1 element at line 1 column 2",
    );
    check(r#"{"weight_map": {}}"#, "its `weight_map` is empty");
    check(
        &INDEX.replace("00002-of", "00003-of"),
        "names shards that are not there: `model-00003-of-00002.safetensors`",
    );
    check(
        &INDEX.replace(r#""a""#, r#""c""#),
        "the shards lack `c`; it does not list `a`, which the shards hold",
    );
    let swapped = INDEX.replace("00001-of", "0000x-of").replace("00002-of", "00001-of");
    check(
        &swapped.replace("0000x-of", "00002-of"),
        "the shards lack `a`, `b`; it does not list `a`, `b`, which the shards hold",
    );
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    sharded(folder.path(), INDEX);
    put(folder.path(), "model-00002-of-00002.safetensors", counting(&[("b", &[3]), ("a", &[2])]));
    check_error(
        folder.path(),
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors: tensor `a` stands also in \
         model-00001-of-00002.safetensors",
    );
}

#[test]
fn a_folder_without_weights_says_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let looked_for = "need one of `model.safetensors`, `model.safetensors.index.json`, \
                      `open_clip_model.safetensors`, `pytorch_model.bin`, \
                      `pytorch_model.bin.index.json`, `open_clip_pytorch_model.bin`";
    check_error(folder.path(), "", &format!(": the folder holds no weights, {looked_for}"));
    put(folder.path(), "siglip2.npz", "PK\x03\x04");
    let err = WeightsFile::open(folder.path()).unwrap_err();
    let hints = err.hints();
    assert_eq!(hints.len(), 1);
    assert!(hints[0].contains("siglip2.npz"), "{hints:?}");
}

#[test]
fn several_candidates_are_not_guessed_at() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "b.safetensors", counting(&[]));
    put(folder.path(), "a.safetensors", counting(&[]));
    let err = WeightsFile::open(folder.path()).unwrap_err();
    assert_eq!(
        message(&err, folder.path()),
        ".: found 2 files of weights (`a.safetensors`, `b.safetensors`), need one, or an index \
         that joins them\nhint: name the file itself, such as `a.safetensors`"
    );
}
