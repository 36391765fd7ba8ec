//! Engines as models that run. Compiled, not executed: no test machine has a GPU and a TensorRT that
//! serves it.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use burn::tensor::{DType, TensorData, f16};
use hearth_tensorrt::{BUILT_FOR, Element as Stored, Kind, Library, LibraryError, Slot, Tensor};

use super::{EngineCard, Product, TensorRtError, Version};
use crate::{DeployError, Element, EngineRunner, Named, Port, Side};

/// An engine that a library has loaded.
#[derive(Debug)]
pub struct TensorRtEngine {
    path: PathBuf,
    engine: hearth_tensorrt::Engine,
    inputs: Vec<Port>,
    outputs: Vec<String>,
    batches: RangeInclusive<usize>,
}

impl TensorRtEngine {
    /// Loads the engine at `path`, if its card says that it runs here.
    pub fn open(path: &Path, gpu: usize) -> Result<TensorRtEngine, DeployError> {
        Ok(open(path, gpu)?)
    }
}

fn open(path: &Path, gpu: usize) -> Result<TensorRtEngine, TensorRtError> {
    let card = EngineCard::of(path)?;
    let plan = card.plan(path)?;
    let product = BUILT_FOR.map(|kind| match kind {
        Kind::Rtx => Product::Rtx,
        Kind::Standard => Product::Standard,
    });
    card.check_product(path, product)?;
    let library = Library::load()?;
    let (major, minor, patch) = library.version();
    let capability = library.compute_capability(gpu)?;
    card.check(path, card.product, Version(major, minor, patch), capability.as_deref())?;
    let engine = library.engine(plan, gpu)?;
    let (inputs, outputs) = ports(engine.slots(), &card)?;
    let batch = |shape: &[i64]| shape.first().map_or(1, |&side| side.max(1) as usize);
    let batches = card.profile.first().map_or(1..=1, |input| batch(&input.min)..=batch(&input.max));
    Ok(TensorRtEngine { path: path.to_owned(), engine, inputs, outputs, batches })
}

/// What the engine takes and gives, with the sides that its card says.
fn ports(slots: &[Slot], card: &EngineCard) -> Result<(Vec<Port>, Vec<String>), TensorRtError> {
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for slot in slots {
        if !slot.is_input {
            outputs.push(slot.name.clone());
            continue;
        }
        let wrong = |problem: &str| LibraryError::Tensor {
            tensor: slot.name.clone(),
            problem: problem.to_owned(),
        };
        let shapes = card.profile.iter().find(|input| input.name == slot.name);
        let shapes = shapes.ok_or_else(|| wrong("is not in the engine's description"))?;
        let element = match slot.element {
            Stored::Float => Element::Float,
            Stored::Int64 => Element::Int,
            _ => return Err(wrong("is neither f32 nor i64").into()),
        };
        let rest = shapes.max.iter().skip(1).map(|&side| Side::Fixed(side.max(0) as usize));
        let sides = std::iter::once(Side::Batch).chain(rest).collect();
        inputs.push(Port { name: slot.name.clone(), element, sides });
    }
    Ok((inputs, outputs))
}

impl EngineRunner for TensorRtEngine {
    fn path(&self) -> &Path {
        &self.path
    }

    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn batches(&self) -> RangeInclusive<usize> {
        self.batches.clone()
    }

    fn run_checked(&mut self, inputs: &[Named]) -> Result<Vec<Named>, DeployError> {
        let given: Vec<Tensor> = inputs.iter().map(given).collect();
        let computed = self.engine.run(given).map_err(TensorRtError::from)?;
        Ok(computed.into_iter().map(found).collect())
    }
}

fn given((name, values): &Named) -> Tensor {
    let element = if values.dtype() == DType::I64 { Stored::Int64 } else { Stored::Float };
    let shape = values.shape().as_slice().to_vec();
    Tensor { name: name.clone(), shape, element, bytes: values.as_bytes().to_vec() }
}

fn found(tensor: Tensor) -> Named {
    let bytes = &tensor.bytes;
    let values: Vec<f32> = match tensor.element {
        Stored::Float => bytes.as_chunks().0.iter().map(|&one| f32::from_le_bytes(one)).collect(),
        Stored::Half => {
            bytes.as_chunks().0.iter().map(|&one| f16::from_le_bytes(one).to_f32()).collect()
        }
        Stored::Int64 => {
            bytes.as_chunks().0.iter().map(|&one| i64::from_le_bytes(one) as f32).collect()
        }
        Stored::Int32 => {
            bytes.as_chunks().0.iter().map(|&one| i32::from_le_bytes(one) as f32).collect()
        }
    };
    (tensor.name, TensorData::new(values, tensor.shape))
}
