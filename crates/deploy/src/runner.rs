//! Running a model that has left the house, whatever runs it.

use std::{ops::RangeInclusive, path::Path};

use burn::tensor::{DType, TensorData};

use crate::{
    error::DeployError,
    network::{Element, Port, Side},
};

/// A value with its name.
pub type Named = (String, TensorData);

/// A loaded model.
pub trait EngineRunner {
    /// The file.
    fn path(&self) -> &Path;

    /// What it takes, in order.
    fn inputs(&self) -> &[Port];

    /// Names of what it gives, in order.
    fn outputs(&self) -> &[String];

    /// How many samples it takes at once.
    fn batches(&self) -> RangeInclusive<usize>;

    /// Runs inputs that are as [`EngineRunner::inputs`] and [`EngineRunner::batches`] say.
    fn run_checked(&mut self, inputs: &[Named]) -> Result<Vec<Named>, DeployError>;

    /// Every output for `inputs`, which are all that it takes, in any order.
    fn run(&mut self, inputs: &[Named]) -> Result<Vec<Named>, DeployError> {
        check(self.path(), self.inputs(), &self.batches(), inputs)?;
        self.run_checked(inputs)
    }
}

/// Fails on inputs that `ports` do not take.
pub(crate) fn check(
    path: &Path,
    ports: &[Port],
    batches: &RangeInclusive<usize>,
    inputs: &[Named],
) -> Result<(), DeployError> {
    let wrong = |input: &str, problem: String| {
        Err(DeployError::Input { path: path.to_owned(), input: input.to_owned(), problem })
    };
    if let Some((name, _)) =
        inputs.iter().find(|(name, _)| ports.iter().all(|port| port.name != *name))
    {
        let known: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        return wrong(name, format!("is none of the model, which takes {}", known.join(", ")));
    }
    let mut samples = None;
    for port in ports {
        let Some((_, values)) = inputs.iter().find(|(name, _)| *name == port.name) else {
            return wrong(&port.name, "is missing".to_owned());
        };
        let needed = match port.element {
            Element::Float => DType::F32,
            Element::Int => DType::I64,
        };
        if values.dtype() != needed {
            return wrong(&port.name, format!("is {:?}, need {needed:?}", values.dtype()));
        }
        let shape = values.shape().as_slice();
        let fits =
            |(side, size): (&Side, &usize)| *side == Side::Batch || *side == Side::Fixed(*size);
        if shape.len() != port.sides.len() || !port.sides.iter().zip(shape).all(fits) {
            return wrong(
                &port.name,
                format!("has the shape {shape:?}, need {}", shown(&port.sides)),
            );
        }
        let follows = port.sides.iter().position(|side| *side == Side::Batch);
        let Some(batch) = follows.map(|axis| shape[axis]) else { continue };
        if !batches.contains(&batch) {
            let (least, most) = (batches.start(), batches.end());
            return wrong(
                &port.name,
                format!("has {batch} samples, the model takes {least} to {most}"),
            );
        }
        if *samples.get_or_insert(batch) != batch {
            return wrong(&port.name, format!("has {batch} samples, another input has others"));
        }
    }
    Ok(())
}

fn shown(sides: &[Side]) -> String {
    let sides = sides.iter().map(|side| match side {
        Side::Batch => "samples".to_owned(),
        Side::Fixed(size) => size.to_string(),
    });
    format!("[{}]", sides.collect::<Vec<_>>().join(", "))
}
