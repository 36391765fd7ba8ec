//! Which function lowers which operation. To support another one, add its line.

use burn::backend::ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, BoolOperationIr as Truth,
    FloatOperationIr as Float, IntOperationIr as Int, ModuleOperationIr as Module,
    NumericOperationIr as Number, OperationIr as Operation,
};

use super::{
    Done, Lowering,
    arithmetic::{binary, cast, clamp, compare, fill, not, power, scalar, unary},
    kernels::{self, KernelLowering},
    layout, modules,
    reduce::{self, Over},
};
use crate::capture::Step;

/// Why an operation is refused that nobody has written a lowering for.
const UNKNOWN: &str = "has no form in ONNX yet";

pub(super) fn lower(
    to: &mut Lowering<'_>,
    step: &Step,
    replaced: &[(&'static str, KernelLowering)],
) -> Done {
    match &step.first {
        Operation::Init(_) => Ok(()),
        Operation::BaseFloat(op) | Operation::BaseInt(op) | Operation::BaseBool(op) => {
            base(to, step, op)
        }
        Operation::NumericFloat(_, op) | Operation::NumericInt(_, op) => number(to, op),
        Operation::Float(_, op) => float(to, op),
        Operation::Int(Int::IntoFloat(op)) => cast(to, op),
        Operation::Int(Int::Matmul(op)) => binary(to, "MatMul", [&op.lhs, &op.rhs], &op.out),
        Operation::Bool(op) => truth(to, op),
        Operation::Activation(op) => activation(to, op),
        Operation::Module(op) => module(to, op),
        Operation::Custom(op) => kernels::lower(to, op, replaced),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn base(to: &mut Lowering<'_>, step: &Step, op: &Base) -> Done {
    match op {
        Base::Reshape(op) => layout::reshape(to, &op.input, &op.out),
        Base::Expand(op) => layout::expand(to, op),
        Base::SwapDims(op) => layout::swap(to, op),
        Base::Permute(op) => layout::permute(to, op),
        Base::Slice(op) => layout::slice(to, step, op),
        Base::Cat(op) => layout::concatenate(to, op),
        Base::RepeatDim(op) => layout::repeat(to, op),
        Base::Select(op) => layout::select(to, op),
        Base::Gather(op) => layout::gather(to, op),
        Base::MaskFill(op) => layout::mask_fill(to, op),
        Base::MaskWhere(op) => layout::mask_where(to, op),
        Base::Cast(op) => cast(to, op),
        Base::Equal(op) => compare(to, "Equal", &op.lhs, &op.rhs, &op.out),
        Base::EqualElem(op) => scalar(to, "Equal", op),
        Base::NotEqual(op) => not(to, "Equal", &op.lhs, &op.rhs, &op.out),
        Base::NotEqualElem(op) => {
            let one = to.scalar(op.rhs, op.lhs.dtype)?;
            let equal = to.node("Equal", &[&to.value(&op.lhs), &one], Vec::new());
            let out = to.node("Not", &[&equal], Vec::new());
            to.bind(&op.out, out);
            Ok(())
        }
        Base::Zeros(op) | Base::Empty(op) => fill(to, 0.0, &op.out),
        Base::Ones(op) => fill(to, 1.0, &op.out),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn number(to: &mut Lowering<'_>, op: &Number) -> Done {
    match op {
        Number::Add(op) => binary(to, "Add", [&op.lhs, &op.rhs], &op.out),
        Number::Sub(op) => binary(to, "Sub", [&op.lhs, &op.rhs], &op.out),
        Number::Mul(op) => binary(to, "Mul", [&op.lhs, &op.rhs], &op.out),
        Number::Div(op) => binary(to, "Div", [&op.lhs, &op.rhs], &op.out),
        Number::AddScalar(op) => scalar(to, "Add", op),
        Number::SubScalar(op) => scalar(to, "Sub", op),
        Number::MulScalar(op) => scalar(to, "Mul", op),
        Number::DivScalar(op) => scalar(to, "Div", op),
        Number::Greater(op) => compare(to, "Greater", &op.lhs, &op.rhs, &op.out),
        Number::GreaterEqual(op) => compare(to, "GreaterOrEqual", &op.lhs, &op.rhs, &op.out),
        Number::Lower(op) => compare(to, "Less", &op.lhs, &op.rhs, &op.out),
        Number::LowerEqual(op) => compare(to, "LessOrEqual", &op.lhs, &op.rhs, &op.out),
        Number::GreaterElem(op) => scalar(to, "Greater", op),
        Number::GreaterEqualElem(op) => scalar(to, "GreaterOrEqual", op),
        Number::LowerElem(op) => scalar(to, "Less", op),
        Number::LowerEqualElem(op) => scalar(to, "LessOrEqual", op),
        Number::Abs(op) => unary(to, "Abs", op),
        Number::Neg(op) => unary(to, "Neg", op),
        Number::Sign(op) => unary(to, "Sign", op),
        Number::Powi(op) => binary(to, "Pow", [&op.lhs, &op.rhs], &op.out),
        Number::PowiScalar(op) => power(to, op),
        Number::Clamp(op) => clamp(to, op),
        Number::ClampMin(op) => scalar(to, "Max", op),
        Number::ClampMax(op) => scalar(to, "Min", op),
        Number::Full(op) => fill(to, op.value.elem(), &op.out),
        Number::MeanDim(op) => reduce::axes(to, Over::Mean, &op.input, &[op.axis], &op.out),
        Number::SumDim(op) => reduce::axes(to, Over::Sum, &op.input, &[op.axis], &op.out),
        Number::SumDims(op) => reduce::axes(to, Over::Sum, &op.input, &op.axes, &op.out),
        Number::MaxDim(op) => reduce::axes(to, Over::Max, &op.input, &[op.axis], &op.out),
        Number::MinDim(op) => reduce::axes(to, Over::Min, &op.input, &[op.axis], &op.out),
        Number::Mean(op) => reduce::all(to, Over::Mean, op),
        Number::Sum(op) => reduce::all(to, Over::Sum, op),
        Number::Max(op) => reduce::all(to, Over::Max, op),
        Number::Min(op) => reduce::all(to, Over::Min, op),
        Number::ArgMax(op) => reduce::place(to, "ArgMax", op),
        Number::ArgMin(op) => reduce::place(to, "ArgMin", op),
        Number::CumSum(op) => reduce::running_sum(to, op),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn float(to: &mut Lowering<'_>, op: &Float) -> Done {
    match op {
        Float::Matmul(op) => binary(to, "MatMul", [&op.lhs, &op.rhs], &op.out),
        Float::Exp(op) => unary(to, "Exp", op),
        Float::Log(op) => unary(to, "Log", op),
        Float::Erf(op) => unary(to, "Erf", op),
        Float::Sqrt(op) => unary(to, "Sqrt", op),
        Float::Recip(op) => unary(to, "Reciprocal", op),
        Float::Cos(op) => unary(to, "Cos", op),
        Float::Sin(op) => unary(to, "Sin", op),
        Float::Tanh(op) => unary(to, "Tanh", op),
        Float::Round(op) => unary(to, "Round", op),
        Float::Floor(op) => unary(to, "Floor", op),
        Float::Ceil(op) => unary(to, "Ceil", op),
        Float::IsNan(op) => unary(to, "IsNaN", op),
        Float::IsInf(op) => unary(to, "IsInf", op),
        Float::Powf(op) => binary(to, "Pow", [&op.lhs, &op.rhs], &op.out),
        Float::PowfScalar(op) => power(to, op),
        Float::IntoInt(op) => cast(to, op),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn truth(to: &mut Lowering<'_>, op: &Truth) -> Done {
    match op {
        Truth::IntoFloat(op) | Truth::IntoInt(op) => cast(to, op),
        Truth::Not(op) => unary(to, "Not", op),
        Truth::And(op) => binary(to, "And", [&op.lhs, &op.rhs], &op.out),
        Truth::Or(op) => binary(to, "Or", [&op.lhs, &op.rhs], &op.out),
        Truth::Xor(op) => binary(to, "Xor", [&op.lhs, &op.rhs], &op.out),
    }
}

fn activation(to: &mut Lowering<'_>, op: &Activation) -> Done {
    match op {
        Activation::Relu(op) => unary(to, "Relu", op),
        Activation::Sigmoid(op) => unary(to, "Sigmoid", op),
        Activation::Gelu(op) => {
            let x = to.value(&op.input);
            let out = kernels::activated(to, hearth_kernels::Activation::Gelu, &x);
            to.bind(&op.out, out);
            Ok(())
        }
        Activation::Softmax(op) => reduce::along(to, "Softmax", op),
        Activation::LogSoftmax(op) => reduce::along(to, "LogSoftmax", op),
        _ => Err(UNKNOWN.to_owned()),
    }
}

fn module(to: &mut Lowering<'_>, op: &Module) -> Done {
    match op {
        Module::Embedding(op) => modules::embedding(to, op),
        Module::Linear(op) => modules::linear(to, op),
        Module::Conv2d(op) => modules::convolution(to, op),
        Module::LayerNorm(op) => modules::layer_norm(to, op),
        _ => Err(UNKNOWN.to_owned()),
    }
}
