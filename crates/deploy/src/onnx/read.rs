//! Reading: the size is known before memory is taken, and values outside the file never lead out of
//! its folder.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use bytes::Bytes;
use prost::Message;

use super::{external, messages::ModelProto, size};
use crate::error::{DeployError, FileError};

/// What the encoding can hold.
const FILE_AT_MOST: u64 = (2 << 30) - 1;

/// Reads a model with all of its values. Values share the memory of the file that they came in.
pub fn read(path: &Path) -> Result<ModelProto, DeployError> {
    let mut model = parse(path)?;
    external::load(&mut model, path)?;
    Ok(model)
}

/// Reads a model without the values that lie in another file, which is checked all the same.
pub fn read_structure(path: &Path) -> Result<ModelProto, DeployError> {
    let model = parse(path)?;
    external::check(&model, path)?;
    Ok(model)
}

fn parse(path: &Path) -> Result<ModelProto, DeployError> {
    let not_onnx = |problem: String| DeployError::NotOnnx { path: path.to_owned(), problem };
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => DeployError::Missing { path: path.to_owned() },
        _ => FileError::reading(path)(source).into(),
    };
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(not_onnx("not a file, need an ONNX model".to_owned()));
    }
    if found.len() > FILE_AT_MOST {
        let gigabytes = found.len() as f64 / 1e9;
        return Err(not_onnx(format!("{gigabytes:.1} GB, an ONNX file has less than 2.1 GB")));
    }
    let mut file = Vec::with_capacity(found.len() as usize);
    let taken = File::open(path).and_then(|open| open.take(FILE_AT_MOST).read_to_end(&mut file));
    taken.map_err(unreadable)?;

    size::check(&file).map_err(not_onnx)?;
    let model = ModelProto::decode(Bytes::from(file));
    let model = model.map_err(|error| not_onnx(format!("not a whole ONNX file: {error}")))?;
    if model.graph.is_none() || model.opset_import.is_empty() {
        return Err(not_onnx("no graph or no operators inside, need an ONNX model".to_owned()));
    }
    Ok(model)
}
