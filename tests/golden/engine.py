"""Fixtures of `hearth-tensorrt`: an attention block as ONNX with an open batch, in f32 (engine/block.onnx)
and with its products in f16 (engine/block_fp16.onnx).

    python tests/golden/engine.py

`x` [batch, 4, 8] gives `y` [batch, 4, 8]. Weights are (sin of 0.37 i) / 4. Opset 17.
Made with onnx 1.23.2, numpy 2.4.6.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).parent / "engine"


def weight(name, dtype):
    values = np.sin(np.arange(64) * 0.37).reshape(8, 8) / 4
    return numpy_helper.from_array(values.astype(dtype), name)


def block(half):
    dtype = np.float16 if half else np.float32
    nodes = []

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def to(value, kind, output):
        return node("Cast", [value], output, to=kind) if half else value

    def low(value):
        return to(value, TensorProto.FLOAT16, value + "_low")

    def high(value):
        return to(value, TensorProto.FLOAT, value + "_high")

    normed = low(node("LayerNormalization", ["x", "scale"], "normed", axis=-1, epsilon=1e-5))
    q, k, v = (node("MatMul", [normed, "w" + one], one) for one in "qkv")
    k = node("Transpose", [high(k)], "kt", perm=[0, 2, 1])
    logits = node("MatMul", [high(q), k], "logits")
    weights = low(node("Softmax", [logits], "weights", axis=-1))
    mixed = high(node("MatMul", [weights, v], "mixed"))
    node("Add", ["x", mixed], "y")
    shape = ["batch_size", 4, 8]
    graph = helper.make_graph(
        nodes,
        "block",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight("w" + one, dtype) for one in "qkv"]
        + [numpy_helper.from_array(np.ones(8, np.float32), "scale")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    return model


FOLDER.mkdir(exist_ok=True)
onnx.save(block(False), FOLDER / "block.onnx")
onnx.save(block(True), FOLDER / "block_fp16.onnx")
