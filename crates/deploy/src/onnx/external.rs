//! Values of tensors in a file beside the model.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;

use super::messages::{DataLocation, ModelProto, TensorProto};
use crate::error::{DeployError, FileError};

/// A place in a file beside the model.
struct Place {
    file: PathBuf,
    offset: u64,
    length: u64,
}

/// Checks that every tensor of `model`, which was read from `path`, has its values.
pub(super) fn check(model: &ModelProto, path: &Path) -> Result<(), DeployError> {
    let mut lengths = HashMap::new();
    let mut needed = 0_u64;
    for tensor in external(model) {
        needed = needed.saturating_add(place(tensor, path, &mut lengths)?.length);
        // Tensors that lie on each other could take any amount of memory.
        let held: u64 = lengths.values().sum();
        if needed > held {
            let problem =
                format!("which has {held} bytes, the tensors up to this one need {needed}");
            return Err(wrong(tensor, path, problem));
        }
    }
    Ok(())
}

/// Reads the values that lie beside the model, after all of them were checked.
pub(super) fn load(model: &mut ModelProto, path: &Path) -> Result<(), DeployError> {
    check(model, path)?;
    let mut lengths = HashMap::new();
    let mut open: Option<(PathBuf, File)> = None;
    let graph = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    for tensor in graph.filter(|tensor| tensor.is_external()) {
        let place = place(tensor, path, &mut lengths)?;
        let unreadable = FileError::reading(&place.file);
        if open.as_ref().is_none_or(|(file, _)| *file != place.file) {
            let file = File::open(&place.file).map_err(&unreadable)?;
            open = Some((place.file.clone(), file));
        }
        let (_, file) = open.as_mut().expect("opened above");
        let mut values = vec![0; place.length as usize];
        file.seek(SeekFrom::Start(place.offset))
            .and_then(|_| file.read_exact(&mut values))
            .map_err(unreadable)?;
        tensor.raw_data = Some(Bytes::from(values));
        tensor.external_data.clear();
        tensor.set_data_location(DataLocation::Default);
    }
    Ok(())
}

fn external(model: &ModelProto) -> impl Iterator<Item = &TensorProto> {
    let graph = model.graph.iter().flat_map(|graph| &graph.initializer);
    graph.filter(|tensor| tensor.is_external())
}

/// Where the values of `tensor` lie: in a file of the model's folder, whole, and as many as its shape
/// says. `lengths` remembers those of the files.
fn place(
    tensor: &TensorProto,
    path: &Path,
    lengths: &mut HashMap<PathBuf, u64>,
) -> Result<Place, DeployError> {
    let found = find(tensor, path.parent().unwrap_or(Path::new("")), lengths);
    found.map_err(|problem| wrong(tensor, path, problem))
}

fn wrong(tensor: &TensorProto, path: &Path, problem: String) -> DeployError {
    DeployError::ExternalData {
        path: path.to_owned(),
        tensor: tensor.name.clone(),
        location: entry(tensor, "location").unwrap_or_default().to_owned(),
        problem,
    }
}

fn find(
    tensor: &TensorProto,
    folder: &Path,
    lengths: &mut HashMap<PathBuf, u64>,
) -> Result<Place, String> {
    let location = Path::new(entry(tensor, "location").unwrap_or_default());
    let mut parts = location.components().peekable();
    if parts.peek().is_none() || !parts.all(|part| matches!(part, Component::Normal(_))) {
        return Err("which is not a file in the folder of the model".to_owned());
    }
    let file = folder.join(location);
    let held = match lengths.get(&file) {
        Some(&held) => held,
        None => {
            let found = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file);
            found.ok_or("which is not there")?.len()
        }
    };
    lengths.insert(file.clone(), held);

    let offset = number(tensor, "offset", 0)?;
    let length = number(tensor, "length", held.saturating_sub(offset))?;
    if needed(tensor) != Some(length) {
        let shape = &tensor.dims;
        return Err(format!("{length} bytes there, which is not what the shape {shape:?} needs"));
    }
    if offset.checked_add(length).is_none_or(|end| end > held) {
        return Err(format!("which has {held} bytes, {length} from {offset} on are needed"));
    }
    Ok(Place { file, offset, length })
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    let mut entries = tensor.external_data.iter();
    entries.find(|entry| entry.key == key).map(|entry| entry.value.as_str())
}

fn number(tensor: &TensorProto, key: &str, default: u64) -> Result<u64, String> {
    let Some(value) = entry(tensor, key) else { return Ok(default) };
    value.parse().map_err(|_| format!("whose {key} `{value}` is not a number"))
}

/// Bytes that the shape and type of `tensor` need.
fn needed(tensor: &TensorProto) -> Option<u64> {
    let width = tensor.data_type().width()? as u64;
    let sides = tensor.dims.iter().map(|&side| u64::try_from(side).ok());
    sides.into_iter().try_fold(width, |size, side| size.checked_mul(side?))
}
