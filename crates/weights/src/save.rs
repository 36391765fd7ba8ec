//! Saving: a model in a published layout, for safetensors or PyTorch, or plain tensors such as the
//! state of an optimiser.

use std::{collections::BTreeMap, path::Path};

use burn::module::Module;

use crate::{
    error::WeightsError,
    keymap::KeyMap,
    layout::Binding,
    module::{Parameter, parameters, visit_values},
    pytorch::PthWriter,
    values::reversed,
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
    let layout = map.layout(&parameters(model))?;
    let mut metadata = metadata.clone();
    metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());

    let mut writer = TensorWriter::create(path, &metadata, layout)?;
    fill(model, map, |name, start, values| writer.write_part(name, start, values))?;
    writer.finish()
}

/// Writes `model` to `path` in the layout of `map`, in f32, as a file of PyTorch: the dictionary of
/// tensors that `torch.load(weights_only=True)` gives is that of `state_dict()`. The metadata is an
/// attribute of it, which Python programs do not see and [`crate::WeightsFile`] does. The same
/// weights and metadata give the same bytes.
pub fn save_pth<M: Module>(
    model: &M,
    path: &Path,
    map: &KeyMap,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let layout = map.layout(&parameters(model))?;
    let mut writer = PthWriter::create(path, metadata, &layout)?;
    fill(model, map, |name, start, values| writer.write_part(name, start, values))?;
    writer.finish()
}

/// Hands over the values of `model` tensor by tensor, as pieces of the tensors of a file.
fn fill<M: Module>(
    model: &M,
    map: &KeyMap,
    mut write: impl FnMut(&str, usize, &[f32]) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    let parameters = parameters(model);
    let bindings = map.bindings(&parameters)?;
    let by_name: BTreeMap<&str, &Binding> =
        parameters.iter().map(|parameter| parameter.name.as_str()).zip(&bindings).collect();
    let mut result = Ok(());
    visit_values(model, |parameter, values| {
        if result.is_ok() {
            let binding = by_name[parameter.name.as_str()];
            result = write_pieces(parameter, binding, values, &mut write);
        }
    });
    result
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

fn write_pieces(
    parameter: &Parameter,
    binding: &Binding,
    values: Vec<f32>,
    write: &mut impl FnMut(&str, usize, &[f32]) -> Result<(), WeightsError>,
) -> Result<(), WeightsError> {
    let values = if binding.reversed { reversed(&values, &parameter.shape) } else { values };
    for piece in &binding.pieces {
        let part = &values[piece.ours_start..piece.ours_start + piece.len];
        write(&piece.theirs, piece.theirs_start, part)?;
    }
    Ok(())
}
