//! Loading: everything is compared first, then the model is filled tensor by tensor.

use burn::module::Module;

use crate::{
    error::WeightsError,
    file::WeightsFile,
    keymap::KeyMap,
    layout::Binding,
    module::{Parameter, map_values, parameters},
    plan::{Plan, Source, plan},
    report::LoadReport,
    values::reversed,
};

/// What may differ between file and model. Patterns are those of [`KeyMap`].
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Parameters of the model that may be absent from the file and then stay as initialised,
    /// such as a new head.
    pub fresh: Vec<String>,
    /// Parameters that stay as initialised whatever the file holds in their place, such as a head for
    /// other classes.
    pub replaced: Vec<String>,
    /// Tensors of the file that may be left out, such as a decoder.
    pub dropped: Vec<String>,
    /// Parameters whose values may be fitted to another shape.
    pub resize: Vec<Resize>,
}

/// How to fit the values of one parameter to another shape.
#[derive(Debug, Clone)]
pub struct Resize {
    /// The parameter, or a pattern.
    pub name: String,
    /// As the load report names it, such as `bicubic, antialiased`.
    pub method: &'static str,
    /// The computation.
    pub apply: Fit,
}

/// From the values of the file, their shape and the shape of the parameter to the new values, or
/// nothing if this cannot be done. Both shapes come without leading dimensions of 1.
pub type Fit = fn(values: &[f32], from: &[usize], to: &[usize]) -> Option<Vec<f32>>;

/// Fills `model` from `file`, or says everything in which the two differ.
///
/// Names and shapes are compared before the first value is read; a model comes back only if it is
/// complete. Beyond the model, memory holds one tensor at a time (and the resized ones, which are
/// fitted while comparing).
pub fn load<M: Module>(
    model: M,
    file: &WeightsFile,
    map: &KeyMap,
    options: &LoadOptions,
) -> Result<(M, LoadReport), WeightsError> {
    let Plan { mut sources, report } = plan(&parameters(&model), file, map, options)?;
    let mut failure = None;
    let model = map_values(model, |parameter| {
        if failure.is_some() {
            return None;
        }
        let values = match sources.remove(&parameter.name)? {
            Source::File(binding) => read(file, parameter, &binding),
            Source::Ready(values) => Ok(values),
        };
        values.map_err(|err| failure = Some(err)).ok()
    });
    match failure {
        Some(err) => Err(err),
        None => Ok((model, report)),
    }
}

/// The values of a parameter, in PyTorch's layout.
fn read(
    file: &WeightsFile,
    parameter: &Parameter,
    binding: &Binding,
) -> Result<Vec<f32>, WeightsError> {
    match binding.pieces.as_slice() {
        [piece] => {
            let values = file.read_f32_part(&piece.theirs, piece.theirs_start, piece.len)?;
            if !binding.reversed {
                return Ok(values);
            }
            let theirs: Vec<usize> = parameter.shape.iter().rev().copied().collect();
            Ok(reversed(&values, &theirs))
        }
        pieces => {
            let mut values = Vec::with_capacity(parameter.len());
            for piece in pieces {
                values.extend(file.read_f32_part(&piece.theirs, piece.theirs_start, piece.len)?);
            }
            Ok(values)
        }
    }
}
