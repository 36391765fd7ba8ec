//! Layers that the framework records as one operation.

use burn::backend::ir::{Conv2dOpIr, EmbeddingOpIr, LayerNormOpIr, LinearOpIr};

use super::{Done, Lowering};
use crate::onnx::AttributeProto;

pub(super) fn embedding(to: &mut Lowering<'_>, op: &EmbeddingOpIr) -> Done {
    let axis = AttributeProto::int("axis", 0);
    let inputs = [to.value(&op.weights), to.value(&op.indices)];
    let value = to.node("Gather", &[&inputs[0], &inputs[1]], vec![axis]);
    to.bind(&op.out, value);
    Ok(())
}

pub(super) fn linear(to: &mut Lowering<'_>, op: &LinearOpIr) -> Done {
    let (x, weight) = (to.value(&op.x), to.value(&op.weight));
    let bias = op.bias.as_ref().map(|bias| to.value(bias));
    let value = projected(to, [&x, &weight], bias.as_deref(), op.x.shape.num_dims());
    to.bind(&op.out, value);
    Ok(())
}

/// x W + b for an x of `rank` axes.
pub(super) fn projected(
    to: &mut Lowering<'_>,
    [x, weight]: [&str; 2],
    bias: Option<&str>,
    rank: usize,
) -> String {
    match bias {
        Some(bias) if rank == 2 => to.node("Gemm", &[x, weight, bias], Vec::new()),
        Some(bias) => {
            let product = to.node("MatMul", &[x, weight], Vec::new());
            to.node("Add", &[&product, bias], Vec::new())
        }
        None => to.node("MatMul", &[x, weight], Vec::new()),
    }
}

pub(super) fn layer_norm(to: &mut Lowering<'_>, op: &LayerNormOpIr) -> Done {
    let mut inputs = vec![to.value(&op.input), to.value(&op.gamma)];
    inputs.extend(op.beta.as_ref().map(|beta| to.value(beta)));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let value = normalized(to, &inputs, op.epsilon.elem());
    to.bind(&op.out, value);
    Ok(())
}

/// Over the last axis; `inputs` are x, weight and perhaps bias.
pub(super) fn normalized(to: &mut Lowering<'_>, inputs: &[&str], epsilon: f64) -> String {
    let axis = AttributeProto::int("axis", -1);
    let epsilon = AttributeProto::float("epsilon", epsilon as f32);
    to.node("LayerNormalization", inputs, vec![axis, epsilon])
}

pub(super) fn convolution(to: &mut Lowering<'_>, op: &Conv2dOpIr) -> Done {
    let mut inputs = vec![to.value(&op.x), to.value(&op.weight)];
    inputs.extend(op.bias.as_ref().map(|bias| to.value(bias)));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let [vertical, horizontal] = op.options.padding;
    let pads = [vertical.0, horizontal.0, vertical.1, horizontal.1];
    let attributes = vec![
        ints("kernel_shape", &op.weight.shape.as_slice()[2..]),
        ints("strides", &op.options.stride),
        ints("pads", &pads),
        ints("dilations", &op.options.dilation),
        AttributeProto::int("group", op.options.groups as i64),
    ];
    let value = to.node("Conv", &inputs, attributes);
    to.bind(&op.out, value);
    Ok(())
}

fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto::ints(name, values.iter().map(|&value| value as i64))
}
