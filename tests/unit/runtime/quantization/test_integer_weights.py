"""Weights of ONNX models as integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.core.diagnostics import CompileError
from jsonnx.runtime.quantization.integer_weights import with_integer_weights
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

RNG = np.random.default_rng(0)
X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40])
IMAGE = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])
INDICES = helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])


def model_of(op: str, input: Any, shape: tuple[int, ...], opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    operands = ["w", "x"] if op == "Gather" else ["x", "w"]
    graph = helper.make_graph(
        [helper.make_node(op, operands, ["y"], name="node", **attributes)],
        "g",
        [input],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


MODELS = {
    "MatMul": model_of("MatMul", X, (40, 64)),
    "Gemm": model_of("Gemm", X, (40, 64)),
    "Gemm of a transposed weight": model_of("Gemm", X, (64, 40), transB=1),
    "Conv": model_of("Conv", IMAGE, (64, 3, 3, 3)),
    "ConvTranspose": model_of("ConvTranspose", IMAGE, (3, 64, 3, 3)),
    "Gather": model_of("Gather", INDICES, (50, 30), axis=0),
}


def feeds_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    value = model.graph.input[0]
    if value.type.tensor_type.elem_type == TensorProto.INT64:
        return {"x": np.arange(20) % 50}
    shape = [7 if dim.dim_param else dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {"x": RNG.normal(size=shape).astype(np.float32)}


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", MODELS)
def test_operators_with_integer_weights(name: str, bits: int) -> None:
    model, feeds = MODELS[name], feeds_of(MODELS[name])
    integers = with_integer_weights(model, bits)
    onnx.checker.check_model(integers)
    assert integers.ByteSize() < (0.4 if bits == 8 else 0.3) * model.ByteSize()
    (expected,), (actual,) = (InferenceSession(m.SerializeToString()).run(None, feeds) for m in (model, integers))
    noise = np.square(actual - expected).mean() / np.square(expected).mean()
    assert noise < (1e-4 if bits == 8 else 0.03)


@pytest.mark.parametrize("name", MODELS)
def test_excluded_nodes_and_small_weights_stay(name: str) -> None:
    assert [node.op_type for node in with_integer_weights(MODELS[name], 8, ["node"]).graph.node] == [name.split()[0]]
    small = with_integer_weights(model_of("MatMul", X, (40, 4)), 8)
    assert [node.op_type for node in small.graph.node] == ["MatMul"]


def test_an_early_opset_is_raised() -> None:
    integers = with_integer_weights(model_of("MatMul", X, (40, 64), opset=11), 8)
    assert integers.opset_import[0].version == 13
    assert with_integer_weights(model_of("MatMul", X, (40, 64), opset=11), 4).opset_import[0].version == 21


def test_a_model_that_cannot_have_the_opset() -> None:
    model = model_of("MatMul", X, (40, 64), opset=11)
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(CompileError, match="not-quantizable"):
        with_integer_weights(model, 4)
