//! Writing: a model appears complete or not at all, and its values are not copied on the way.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use hearth_weights::AtomicFile;
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use super::messages::{DataLocation, GraphProto, ModelProto, StringStringEntryProto, TensorProto};
use crate::error::{DeployError, FileError};

/// Bytes of values that stay in the model's own file; readers stop at 2 GiB.
pub const EMBEDDED_AT_MOST: u64 = 1_900_000_000;

/// Bytes of a tensor that stays in the model's own file in any case: readers want to see the numbers that
/// shapes are made of at once.
const SMALL: usize = 1024;

/// Fields of the messages that are written piece by piece.
const GRAPH: u32 = 7;
const INITIALIZER: u32 = 5;
const RAW_DATA: u32 = 9;

/// Writes `model` to `path`. If its values are more than [`EMBEDDED_AT_MOST`], they go to
/// [`external_file`], all but the smallest, and that file is there before the model is.
pub fn write(model: &ModelProto, path: &Path) -> Result<(), DeployError> {
    write_embedding(model, path, EMBEDDED_AT_MOST)
}

/// The same with another limit.
pub fn write_embedding(model: &ModelProto, path: &Path, at_most: u64) -> Result<(), DeployError> {
    let tensors = || model.graph.iter().flat_map(|graph| &graph.initializer);
    let values: u64 = tensors().map(|tensor| raw(tensor).len() as u64).sum();
    if values <= at_most {
        return write_model(model, path, tensors());
    }
    write_beside(model, path, TensorProto::clone)
}

/// The same with all values but the smallest beside the file, and those of f16 as f32. One at a time is
/// widened.
pub(crate) fn write_widened(model: &ModelProto, path: &Path) -> Result<(), DeployError> {
    write_beside(model, path, TensorProto::widened)
}

/// Fails where no model can be written to `path`; leaves nothing behind.
pub fn try_place(path: &Path) -> Result<(), DeployError> {
    Ok(AtomicFile::create(path).map(drop).map_err(FileError::writing(path))?)
}

/// Where the values of the model at `path` go if they are too many: `<stem>_weights.bin` beside it.
pub fn external_file(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_weights.bin"))
}

/// Writes tensors as `form` makes them: values that are not small one after the other into the file
/// beside the model, which is there before the model is.
fn write_beside(
    model: &ModelProto,
    path: &Path,
    form: impl Fn(&TensorProto) -> TensorProto,
) -> Result<(), DeployError> {
    let beside = external_file(path);
    let location = beside.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let tensors = model.graph.iter().flat_map(|graph| &graph.initializer);
    let write = || -> io::Result<Vec<TensorProto>> {
        let mut file = AtomicFile::create(&beside)?;
        let (mut offset, mut moved) = (0, Vec::new());
        for tensor in tensors.map(&form) {
            let length = raw(&tensor).len();
            if length < SMALL {
                moved.push(tensor);
                continue;
            }
            file.file().write_all(raw(&tensor))?;
            moved.push(at_place(&tensor, &location, offset));
            offset += length;
        }
        file.commit()?;
        Ok(moved)
    };
    let moved = write().map_err(FileError::writing(&beside))?;
    write_model(model, path, moved.iter())
}

/// The tensor without its values, which lie in the file `location`.
fn at_place(tensor: &TensorProto, location: &str, offset: usize) -> TensorProto {
    let length = raw(tensor).len();
    let external_data = vec![
        StringStringEntryProto::new("location", location),
        StringStringEntryProto::new("offset", offset.to_string()),
        StringStringEntryProto::new("length", length.to_string()),
    ];
    let data_location = DataLocation::External.into();
    TensorProto { external_data, data_location, ..without_values(tensor) }
}

/// Writes the messages around `tensors` and between them their values, as one message.
fn write_model<'a>(
    model: &ModelProto,
    path: &Path,
    tensors: impl Iterator<Item = &'a TensorProto> + Clone,
) -> Result<(), DeployError> {
    let stream = || -> io::Result<()> {
        let mut file = AtomicFile::create(path)?;
        let mut out = BufWriter::new(file.file());
        let (outside, graph) = split(model);
        out.write_all(&outside.encode_to_vec())?;
        let inside = graph.encode_to_vec();
        let length = tensors.clone().map(|tensor| framed(INITIALIZER, encoded_len(tensor)));
        out.write_all(&head(GRAPH, inside.len() + length.sum::<usize>()))?;
        out.write_all(&inside)?;
        for tensor in tensors.clone() {
            out.write_all(&head(INITIALIZER, encoded_len(tensor)))?;
            out.write_all(&without_values(tensor).encode_to_vec())?;
            if let Some(values) = &tensor.raw_data {
                out.write_all(&head(RAW_DATA, values.len()))?;
                out.write_all(values)?;
            }
        }
        out.flush()?;
        drop(out);
        file.commit()
    };
    Ok(stream().map_err(FileError::writing(path))?)
}

/// The model without its graph, and the graph without its tensors.
fn split(model: &ModelProto) -> (ModelProto, GraphProto) {
    let outside = ModelProto {
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        producer_name: model.producer_name.clone(),
        producer_version: model.producer_version.clone(),
        doc_string: model.doc_string.clone(),
        metadata_props: model.metadata_props.clone(),
        graph: None,
    };
    let graph = model.graph.as_ref().map_or_else(GraphProto::default, |graph| GraphProto {
        node: graph.node.clone(),
        name: graph.name.clone(),
        input: graph.input.clone(),
        output: graph.output.clone(),
        value_info: graph.value_info.clone(),
        initializer: Vec::new(),
    });
    (outside, graph)
}

fn raw(tensor: &TensorProto) -> &[u8] {
    tensor.raw_data.as_deref().unwrap_or_default()
}

/// A copy of everything but `raw_data`; sharing makes it cheap.
fn without_values(tensor: &TensorProto) -> TensorProto {
    TensorProto { raw_data: None, ..tensor.clone() }
}

fn encoded_len(tensor: &TensorProto) -> usize {
    let values = tensor.raw_data.as_ref().map_or(0, |values| framed(RAW_DATA, values.len()));
    without_values(tensor).encoded_len() + values
}

/// The tag and the length in front of a field.
fn head(tag: u32, length: usize) -> Vec<u8> {
    let mut head = Vec::new();
    encode_key(tag, WireType::LengthDelimited, &mut head);
    encode_varint(length as u64, &mut head);
    head
}

/// A field of `length` bytes with its head.
fn framed(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}
