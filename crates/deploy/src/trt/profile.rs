//! Which shapes an engine takes: of every input the smallest, the usual and the largest.

use super::TensorRtError;
use crate::onnx::{DimensionValue, ModelProto, ValueInfoProto};

/// Sizes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    /// The smallest.
    pub min: usize,
    /// The one that the engine is tuned for.
    pub opt: usize,
    /// The largest.
    pub max: usize,
}

/// The shapes of an input.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputShapes {
    /// The input.
    pub name: String,
    /// For the smallest batch.
    pub min: Vec<i64>,
    /// For the usual batch.
    pub opt: Vec<i64>,
    /// For the largest batch.
    pub max: Vec<i64>,
}

/// The shapes of all inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// In the order of the file.
    pub inputs: Vec<InputShapes>,
    /// Whether the batch is open in the graph; a builder wants no shapes if it is not.
    pub open: bool,
}

impl InputShapes {
    /// Whether the smallest is smaller than the largest, and the usual one lies between.
    pub(super) fn is_in_order(&self) -> bool {
        let sides = self.min.len();
        let ordered =
            |((min, opt), max): ((&i64, &i64), &i64)| 1 <= *min && min <= opt && opt <= max;
        sides > 0
            && self.opt.len() == sides
            && self.max.len() == sides
            && self.min.iter().zip(&self.opt).zip(&self.max).all(ordered)
    }
}

impl Batches {
    /// The same size always.
    pub fn fixed(size: usize) -> Batches {
        Batches { min: size, opt: size, max: size }
    }

    fn check(self) -> Result<(), TensorRtError> {
        let Batches { min, opt, max } = self;
        match min >= 1 && min <= opt && opt <= max {
            true => Ok(()),
            false => Err(TensorRtError::Batches { min, opt, max }),
        }
    }
}

impl Profile {
    /// The shapes that `model` takes for `batches`. A graph with a fixed batch takes that one alone.
    pub fn new(model: &ModelProto, batches: Batches) -> Result<Profile, TensorRtError> {
        batches.check()?;
        let Some(graph) = &model.graph else { return Err(TensorRtError::NoInputs) };
        // Old files list weights among the inputs.
        let is_weight = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let inputs: Vec<_> = graph.input.iter().filter(|input| !is_weight(&input.name)).collect();
        let shapes: Vec<_> = inputs.iter().map(|input| shape(input)).collect::<Result<_, _>>()?;
        let Some((first, _)) = shapes.first() else { return Err(TensorRtError::NoInputs) };
        if let Some(at) = shapes.iter().position(|(batch, _)| batch != first) {
            let (one, other) = (inputs[0].name.clone(), inputs[at].name.clone());
            return Err(TensorRtError::UnequalBatches { one, other });
        }
        let sizes = first.map_or(batches, |fixed| Batches::fixed(fixed as usize));
        let with = |batch: usize, rest: &[i64]| [&[batch as i64], rest].concat();
        let inputs = inputs.iter().zip(&shapes).map(|(input, (_, rest))| InputShapes {
            name: input.name.clone(),
            min: with(sizes.min, rest),
            opt: with(sizes.opt, rest),
            max: with(sizes.max, rest),
        });
        Ok(Profile { inputs: inputs.collect(), open: first.is_none() })
    }

    /// The batch that the graph is made for, if it is not open.
    pub fn fixed_batch(&self) -> Option<i64> {
        (!self.open).then(|| self.inputs.first().map(|input| input.max[0])).flatten()
    }

    /// Whether inputs of these shapes, in order, may go into the engine.
    pub fn takes(&self, shapes: &[Vec<usize>]) -> Result<(), TensorRtError> {
        for (input, shape) in self.inputs.iter().zip(shapes) {
            let shape: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
            let fits = shape.len() == input.min.len()
                && shape
                    .iter()
                    .zip(input.min.iter().zip(&input.max))
                    .all(|(side, (min, max))| (min..=max).contains(&side));
            if !fits {
                return Err(TensorRtError::OutsideProfile { input: input.clone(), shape });
            }
        }
        Ok(())
    }
}

/// The batch, if it is fixed, and the sides behind it.
fn shape(input: &ValueInfoProto) -> Result<(Option<i64>, Vec<i64>), TensorRtError> {
    let wrong = |problem: &str| TensorRtError::InputShape {
        input: input.name.clone(),
        problem: problem.to_owned(),
    };
    let sides = input.sides().ok_or_else(|| wrong("has no shape"))?;
    let sides = sides.into_iter().map(|side| match side {
        Some(DimensionValue::Fixed(size)) if size >= 1 => Ok(Some(size)),
        Some(DimensionValue::Fixed(0)) => Err(wrong("has a side of 0")),
        _ => Ok(None),
    });
    let sides = sides.collect::<Result<Vec<_>, _>>()?;
    let (batch, rest) = sides.split_first().ok_or_else(|| wrong("is a single number"))?;
    let rest: Option<Vec<i64>> = rest.iter().copied().collect();
    let rest = rest.ok_or_else(|| wrong("is open behind its first side, which alone may be"))?;
    Ok((*batch, rest))
}
