//! Sums, means, extremes and what else runs along an axis.

use burn::backend::ir::{DimOpIr, ReduceDimOpIr, ReduceOpIr, TensorIr};

use super::{Done, Lowering};
use crate::onnx::AttributeProto;

/// What becomes of the elements along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Over {
    Sum,
    Mean,
    Max,
    Min,
    /// The root of the sum of squares.
    Length,
}

pub(super) fn axes(
    to: &mut Lowering<'_>,
    over: Over,
    input: &TensorIr,
    axes: &[usize],
    out: &TensorIr,
) -> Done {
    let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
    let value = reduced(to, over, &to.value(input), &axes);
    to.bind(out, value);
    Ok(())
}

/// Over everything: one element.
pub(super) fn all(to: &mut Lowering<'_>, over: Over, op: &ReduceOpIr) -> Done {
    let axes: Vec<i64> = (0..op.input.shape.num_dims() as i64).collect();
    let value = reduced(to, over, &to.value(&op.input), &axes);
    let one = to.list(&[1]);
    let value = to.node("Reshape", &[&value, &one], Vec::new());
    to.bind(&op.out, value);
    Ok(())
}

/// `axes` stay, with one element. From version 18 on they are an input, for sums always.
pub(super) fn reduced(to: &mut Lowering<'_>, over: Over, value: &str, axes: &[i64]) -> String {
    let operator = match over {
        Over::Sum => "ReduceSum",
        Over::Mean => "ReduceMean",
        Over::Max => "ReduceMax",
        Over::Min => "ReduceMin",
        Over::Length => "ReduceL2",
    };
    let keep = AttributeProto::int("keepdims", 1);
    if over == Over::Sum || to.opset() >= 18 {
        let axes = to.list(axes);
        return to.node(operator, &[value, &axes], vec![keep]);
    }
    let axes = AttributeProto::ints("axes", axes.iter().copied());
    to.node(operator, &[value], vec![axes, keep])
}

/// The place of an extreme.
pub(super) fn place(to: &mut Lowering<'_>, operator: &str, op: &ReduceDimOpIr) -> Done {
    let axis = AttributeProto::int("axis", op.axis as i64);
    let keep = AttributeProto::int("keepdims", 1);
    let value = to.node(operator, &[&to.value(&op.input)], vec![axis, keep]);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn along(to: &mut Lowering<'_>, operator: &str, op: &DimOpIr) -> Done {
    let axis = AttributeProto::int("axis", op.axis as i64);
    let value = to.node(operator, &[&to.value(&op.input)], vec![axis]);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn running_sum(to: &mut Lowering<'_>, op: &DimOpIr) -> Done {
    let axis = to.ints(&[], &[op.axis as i64]);
    let value = to.node("CumSum", &[&to.value(&op.input), &axis], Vec::new());
    to.bind(&op.out, value);
    Ok(())
}
