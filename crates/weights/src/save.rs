//! Saving: a model in a published layout, or plain tensors such as the state of an optimiser.

use std::{collections::BTreeMap, path::Path};

use burn::module::Module;

use crate::{
    error::WeightsError,
    keymap::KeyMap,
    layout::Binding,
    module::{Parameter, parameters, visit_values},
    values::transposed,
    write::TensorWriter,
};

/// Writes `model` to `path` in the layout of `map`, in f32. The same weights and metadata give the
/// same bytes. Memory beyond the model holds one tensor at a time.
///
/// The metadata says `format: pt` unless it says something else: transformers refuses a file
/// that does not.
pub fn save<M: Module>(
    model: &M,
    path: &Path,
    map: &KeyMap,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let parameters = parameters(model);
    let bindings = map.bindings(&parameters)?;
    let layout = map.layout(&parameters)?;
    let by_name: BTreeMap<&str, &Binding> =
        parameters.iter().map(|parameter| parameter.name.as_str()).zip(&bindings).collect();
    let mut metadata = metadata.clone();
    metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());

    let mut writer = TensorWriter::create(path, &metadata, layout)?;
    let mut result = Ok(());
    visit_values(model, |parameter, values| {
        if result.is_ok() {
            result = write(&mut writer, parameter, by_name[parameter.name.as_str()], values);
        }
    });
    result?;
    writer.finish()
}

/// Writes tensors to `path`, in f32, sorted by name.
pub fn save_tensors(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
) -> Result<(), WeightsError> {
    let layout = tensors.iter().map(|(name, shape, _)| (name.clone(), shape.clone()));
    let mut writer = TensorWriter::create(path, metadata, layout)?;
    for (name, _, values) in tensors {
        writer.write(&name, &values)?;
    }
    writer.finish()
}

fn write(
    writer: &mut TensorWriter,
    parameter: &Parameter,
    binding: &Binding,
    values: Vec<f32>,
) -> Result<(), WeightsError> {
    let values = match binding.transposed {
        true => transposed(&values, parameter.shape[0], parameter.shape[1]),
        false => values,
    };
    for piece in &binding.pieces {
        let part = &values[piece.ours_start..piece.ours_start + piece.len];
        writer.write_part(&piece.theirs, piece.theirs_start, part)?;
    }
    Ok(())
}
