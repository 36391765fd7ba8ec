//! Two recordings of one forward pass as one, with sizes that follow the batch.

use std::collections::HashMap;

use burn::{
    backend::ir::{IrVisitorMut, OperationIr, TensorIr, TensorStatus},
    tensor::{Shape, Slice, TensorId},
};

use super::{Once, Recording, Step};
use crate::error::DeployError;

/// A side of a tensor: `scale` times the batch, and `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Extent {
    pub(crate) scale: i64,
    pub(crate) offset: i64,
}

impl Extent {
    /// Its size, if it does not follow the batch.
    pub(crate) fn fixed(self) -> Option<i64> {
        (self.scale == 0).then_some(self.offset)
    }

    /// That of a side which has these `sizes` for these `batches`.
    fn of(sizes: [usize; 2], batches: [usize; 2]) -> Option<Extent> {
        let ([a, b], [m, n]) = (sizes.map(|size| size as i64), batches.map(|batch| batch as i64));
        if a == b {
            return Some(Extent { scale: 0, offset: a });
        }
        let scale = (b - a).checked_div(n - m)?;
        let extent = Extent { scale, offset: a - scale * m };
        // Two points always lie on a line; one of a square starts below zero.
        let grows = scale > 0 && extent.offset >= 0;
        (grows && scale * n + extent.offset == b).then_some(extent)
    }
}

/// Joins two recordings for two `batches`.
pub(super) fn agree(
    first: Once,
    second: Once,
    batches: [usize; 2],
) -> Result<Recording, DeployError> {
    let counts = (first.operations.len(), second.operations.len());
    if counts.0 != counts.1 {
        let (a, b) = counts;
        let problem = format!("{a} operations for {} samples, {b} for {}", batches[0], batches[1]);
        return Err(DeployError::Recording { problem });
    }
    let mut same = Correspondence::default();
    let mut extents = HashMap::new();
    let mut steps = Vec::with_capacity(counts.0);
    for (first, second) in first.operations.into_iter().zip(second.operations) {
        let differ = |problem| DeployError::Recording {
            problem: format!("`{}` {problem}", crate::lower::name_of(&first)),
        };
        if same.blank(&first) != same.blank(&second) {
            return Err(differ("is another operation for another number of samples".to_owned()));
        }
        for (a, b) in first.nodes().into_iter().zip(second.nodes()) {
            if !same.is(a.id, b.id) {
                return Err(differ("has other inputs for another number of samples".to_owned()));
            }
            let sizes = a.shape.iter().zip(b.shape.iter());
            let sides = sizes.map(|(&a, &b)| Extent::of([a, b], batches).ok_or([a, b]));
            let sides = sides.collect::<Result<Vec<_>, _>>().map_err(|[a, b]| {
                differ(format!(
                    "has a side of {a} for {} samples, {b} for {}",
                    batches[0], batches[1]
                ))
            })?;
            extents.insert(a.id, sides);
        }
        steps.push(Step { first, second });
    }
    for (name, _, id) in &first.outputs {
        if !extents.contains_key(id) {
            let problem = format!("output `{name}` is no result of an operation");
            return Err(DeployError::Recording { problem });
        }
    }
    Ok(Recording {
        steps,
        inputs: first.inputs,
        outputs: first.outputs,
        parameters: first.parameters,
        constants: first.constants,
        extents,
    })
}

/// Which tensor of one recording is which of the other.
#[derive(Default)]
struct Correspondence {
    second: HashMap<TensorId, TensorId>,
}

impl Correspondence {
    /// Whether `a` is `b`, as far as is known.
    fn is(&mut self, a: TensorId, b: TensorId) -> bool {
        *self.second.entry(a).or_insert(b) == b
    }

    /// The operation without its tensors and ranges, which may differ.
    fn blank(&self, operation: &OperationIr) -> OperationIr {
        struct Blank;
        impl IrVisitorMut for Blank {
            fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
                tensor.id = TensorId::new(0);
                tensor.status = TensorStatus::ReadOnly;
                tensor.shape = Shape::from(vec![0; tensor.shape.num_dims()]);
            }
            fn visit_range_mut(&mut self, range: &mut Slice) {
                *range = Slice::full();
            }
        }
        let mut operation = operation.clone();
        operation.visit_mut(&mut Blank);
        operation
    }
}
