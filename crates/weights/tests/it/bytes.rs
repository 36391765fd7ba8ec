//! Small safetensors files made by hand, right and wrong.

use std::path::{Path, PathBuf};

/// A file from a header and data, the length put before it.
pub(crate) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A file of f32 tensors, each counting from 0.
pub(crate) fn counting(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut members = Vec::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in tensors {
        let begin = data.len();
        let len: usize = shape.iter().product();
        data.extend((0..len).flat_map(|i| (i as f32).to_le_bytes()));
        let end = data.len();
        members.push(format!(
            r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{begin},{end}]}}"#
        ));
    }
    file(&format!("{{{}}}", members.join(",")), &data)
}

/// Writes a file into a folder and returns its path.
pub(crate) fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The message of an error and its hints, with the folder left out.
pub(crate) fn message(err: &hearth_weights::WeightsError, folder: &Path) -> String {
    let mut text = err.to_string();
    let mut cause = std::error::Error::source(err);
    while let Some(err) = cause {
        text += &format!("\n  caused by: {err}");
        cause = err.source();
    }
    for hint in err.hints() {
        text += &format!("\nhint: {hint}");
    }
    text.replace(&format!("{}/", folder.display()), "").replace(&folder.display().to_string(), ".")
}
