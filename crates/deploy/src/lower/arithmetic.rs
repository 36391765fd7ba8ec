//! Element by element.

use burn::{
    backend::ir::{CastOpIr, ClampOpIr, ScalarIr, ScalarOpIr, TensorIr, UnaryOpIr},
    tensor::DType,
};

use super::{Done, Lowering, data_type};
use crate::onnx::AttributeProto;

pub(super) fn unary(to: &mut Lowering<'_>, operator: &str, op: &UnaryOpIr) -> Done {
    let out = to.node(operator, &[&to.value(&op.input)], Vec::new());
    to.bind(&op.out, out);
    Ok(())
}

pub(super) fn binary(
    to: &mut Lowering<'_>,
    operator: &str,
    [left, right]: [&TensorIr; 2],
    out: &TensorIr,
) -> Done {
    let value = to.node(operator, &[&to.value(left), &to.value(right)], Vec::new());
    to.bind(out, value);
    Ok(())
}

/// With a number on the right.
pub(super) fn scalar(to: &mut Lowering<'_>, operator: &str, op: &ScalarOpIr) -> Done {
    let right = to.scalar(op.rhs, op.lhs.dtype)?;
    let out = to.node(operator, &[&to.value(&op.lhs), &right], Vec::new());
    to.bind(&op.out, out);
    Ok(())
}

pub(super) fn compare(
    to: &mut Lowering<'_>,
    operator: &str,
    left: &TensorIr,
    right: &TensorIr,
    out: &TensorIr,
) -> Done {
    binary(to, operator, [left, right], out)
}

/// The opposite of a comparison.
pub(super) fn not(
    to: &mut Lowering<'_>,
    operator: &str,
    left: &TensorIr,
    right: &TensorIr,
    out: &TensorIr,
) -> Done {
    let value = to.node(operator, &[&to.value(left), &to.value(right)], Vec::new());
    let value = to.node("Not", &[&value], Vec::new());
    to.bind(out, value);
    Ok(())
}

/// A power; a square is a product, which every reader computes alike.
pub(super) fn power(to: &mut Lowering<'_>, op: &ScalarOpIr) -> Done {
    let x = to.value(&op.lhs);
    let exponent: f64 = op.rhs.elem();
    let out = if exponent == 2.0 {
        to.node("Mul", &[&x, &x], Vec::new())
    } else {
        let exponent = to.scalar(op.rhs, op.lhs.dtype)?;
        to.node("Pow", &[&x, &exponent], Vec::new())
    };
    to.bind(&op.out, out);
    Ok(())
}

pub(super) fn clamp(to: &mut Lowering<'_>, op: &ClampOpIr) -> Done {
    let [least, most] = [op.min, op.max].map(|limit| to.scalar(limit, op.tensor.dtype));
    let out = to.node("Clip", &[&to.value(&op.tensor), &least?, &most?], Vec::new());
    to.bind(&op.out, out);
    Ok(())
}

pub(super) fn cast(to: &mut Lowering<'_>, op: &CastOpIr) -> Done {
    let value = to.value(&op.input);
    let (from, into) = (data_type(op.input.dtype)?, data_type(op.out.dtype)?);
    let value = match from == into {
        true => value,
        false => {
            let into = AttributeProto::int("to", i32::from(into).into());
            to.node("Cast", &[&value], vec![into])
        }
    };
    to.bind(&op.out, value);
    Ok(())
}

/// The same number everywhere, for a tensor that follows the batch.
pub(super) fn fill(to: &mut Lowering<'_>, value: f64, out: &TensorIr) -> Done {
    let value = match out.dtype {
        DType::Bool(_) => return Err("fills a tensor of truth".to_owned()),
        dtype => to.scalar(ScalarIr::Float(value), dtype)?,
    };
    let sides = to.extents(out);
    let shape = to.shape(&sides);
    let value = to.node("Expand", &[&value, &shape], Vec::new());
    to.bind(out, value);
    Ok(())
}
