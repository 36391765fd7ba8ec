//! Where elements stand: shapes, orders, parts.

use burn::{
    backend::ir::{
        BaseOperationIr, CatOpIr, GatherOpIr, MaskFillOpIr, MaskWhereOpIr, OperationIr,
        PermuteOpIr, RepeatDimOpIr, SelectOpIr, ShapeOpIr, SliceOpIr, SwapDimsOpIr, TensorIr,
    },
    tensor::Slice,
};

use super::{Done, Lowering};
use crate::{
    capture::{Extent, Step},
    onnx::AttributeProto,
};

pub(super) fn reshape(to: &mut Lowering<'_>, input: &TensorIr, out: &TensorIr) -> Done {
    let value = to.value(input);
    let (from, into) = (to.extents(input), to.extents(out));
    let value = reshaped(to, &value, &from, &into);
    to.bind(out, value);
    Ok(())
}

/// `value`, whose sides are `from`, with the sides `into`. One side that follows the batch needs no
/// value: it is the same as that of the input, or what is left.
pub(super) fn reshaped(
    to: &mut Lowering<'_>,
    value: &str,
    from: &[Extent],
    into: &[Extent],
) -> String {
    if from == into {
        return value.to_owned();
    }
    let mut left = 0;
    let sizes = into.iter().enumerate().map(|(axis, side)| match side.fixed() {
        Some(size) => size,
        None if from.get(axis) == Some(side) => 0,
        None => {
            left += 1;
            -1
        }
    });
    let sizes: Vec<i64> = sizes.collect();
    let shape = if left <= 1 { to.list(&sizes) } else { to.shape(into) };
    to.node("Reshape", &[value, &shape], Vec::new())
}

pub(super) fn expand(to: &mut Lowering<'_>, op: &ShapeOpIr) -> Done {
    let value = to.value(&op.input);
    let (from, into) = (to.extents(&op.input), to.extents(&op.out));
    let value = if from == into {
        value
    } else {
        let shape = to.shape(&into);
        to.node("Expand", &[&value, &shape], Vec::new())
    };
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn swap(to: &mut Lowering<'_>, op: &SwapDimsOpIr) -> Done {
    let mut axes: Vec<usize> = (0..op.input.shape.num_dims()).collect();
    axes.swap(op.dim1, op.dim2);
    let value = transposed(to, &to.value(&op.input), &axes);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn permute(to: &mut Lowering<'_>, op: &PermuteOpIr) -> Done {
    let value = transposed(to, &to.value(&op.input), &op.axes);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn transposed(to: &mut Lowering<'_>, value: &str, axes: &[usize]) -> String {
    if axes.is_sorted() {
        return value.to_owned();
    }
    let axes = axes.iter().map(|&axis| axis as i64);
    to.node("Transpose", &[value], vec![AttributeProto::ints("perm", axes)])
}

/// A part of a tensor. The framework writes a whole axis as a range up to its size, which for another
/// batch is another number.
pub(super) fn slice(to: &mut Lowering<'_>, step: &Step, op: &SliceOpIr) -> Done {
    let [first, second] = step.both(|operation| match operation {
        OperationIr::BaseFloat(BaseOperationIr::Slice(op))
        | OperationIr::BaseInt(BaseOperationIr::Slice(op))
        | OperationIr::BaseBool(BaseOperationIr::Slice(op)) => Some(op),
        _ => None,
    });
    let (mut starts, mut ends, mut axes, mut steps) = (vec![], vec![], vec![], vec![]);
    for axis in 0..op.ranges.len() {
        let [a, b] = [first, second].map(|op| {
            let size = op.tensor.shape[axis] as i64;
            (range(&op.ranges[axis], size), size)
        });
        if a.0 == [0, a.1, 1] && b.0 == [0, b.1, 1] {
            continue;
        }
        if a.0 != b.0 {
            return Err(format!("takes a part of axis {axis} that follows the batch"));
        }
        let [start, end, stride] = a.0;
        if stride < 1 {
            return Err(format!("takes axis {axis} backwards"));
        }
        starts.push(start);
        ends.push(end);
        axes.push(axis as i64);
        steps.push(stride);
    }
    let mut value = to.value(&op.tensor);
    if !axes.is_empty() {
        let [starts, ends, axes] = [starts, ends, axes].map(|list| to.list(&list));
        let mut inputs = vec![value, starts, ends, axes];
        if steps.iter().any(|&step| step != 1) {
            inputs.push(to.list(&steps));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        value = to.node("Slice", &inputs, Vec::new());
    }
    to.bind(&op.out, value);
    Ok(())
}

/// First, end and step of a range over `size` places.
fn range(range: &Slice, size: i64) -> [i64; 3] {
    let place = |place: i64| if place < 0 { place + size } else { place }.clamp(0, size);
    let end = range.end.map_or(size, |end| place(end as i64));
    [place(range.start as i64), end, range.step as i64]
}

pub(super) fn concatenate(to: &mut Lowering<'_>, op: &CatOpIr) -> Done {
    let parts: Vec<String> = op.tensors.iter().map(|part| to.value(part)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let value = match parts.as_slice() {
        [one] => (*one).to_owned(),
        parts => to.node("Concat", parts, vec![AttributeProto::int("axis", op.dim as i64)]),
    };
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn repeat(to: &mut Lowering<'_>, op: &RepeatDimOpIr) -> Done {
    let mut times = vec![1; op.tensor.shape.num_dims()];
    times[op.dim] = op.times as i64;
    let times = to.list(&times);
    let value = to.node("Tile", &[&to.value(&op.tensor), &times], Vec::new());
    to.bind(&op.out, value);
    Ok(())
}

/// Whole parts along an axis, by a list of places.
pub(super) fn select(to: &mut Lowering<'_>, op: &SelectOpIr) -> Done {
    let axis = AttributeProto::int("axis", op.dim as i64);
    let value = to.node("Gather", &[&to.value(&op.tensor), &to.value(&op.indices)], vec![axis]);
    to.bind(&op.out, value);
    Ok(())
}

/// Single elements along an axis.
pub(super) fn gather(to: &mut Lowering<'_>, op: &GatherOpIr) -> Done {
    let axis = AttributeProto::int("axis", op.dim as i64);
    let inputs = [to.value(&op.tensor), to.value(&op.indices)];
    let value = to.node("GatherElements", &[&inputs[0], &inputs[1]], vec![axis]);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn mask_fill(to: &mut Lowering<'_>, op: &MaskFillOpIr) -> Done {
    let value = to.scalar(op.value, op.tensor.dtype)?;
    let inputs = [to.value(&op.mask), value, to.value(&op.tensor)];
    let value = to.node("Where", &[&inputs[0], &inputs[1], &inputs[2]], Vec::new());
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn mask_where(to: &mut Lowering<'_>, op: &MaskWhereOpIr) -> Done {
    let inputs = [&op.mask, &op.value, &op.tensor].map(|input| to.value(input));
    let value = to.node("Where", &[&inputs[0], &inputs[1], &inputs[2]], Vec::new());
    to.bind(&op.out, value);
    Ok(())
}
