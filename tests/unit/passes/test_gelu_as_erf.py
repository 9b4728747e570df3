"""Exact Gelu operators are written by Erf."""

from __future__ import annotations

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.passes.gelu_as_erf import write_gelu_as_erf
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import inference_graph


def spec(approximate: bool) -> dict:
    layer = {"type": "Activation", "activation": {"type": "gelu", "approximate": approximate}}
    return {"inputs": {"x": {"shape": [8]}}, "layers": [layer]}


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_a_model_with_gelu_has_opset_18() -> None:
    proto = jsonnx.compile(spec(approximate=False)).proto
    assert operators(proto) == ["Div", "Erf", "Add", "Mul", "Mul"]
    assert proto.opset_import[0].version == 18


def test_onnxruntime_fuses_the_operators_to_the_same_result(tmp_path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    model = jsonnx.compile(spec(approximate=False)).to_bytes()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert operators(onnx.load(tmp_path / "optimized.onnx")) == ["Gelu"]
    x = np.random.default_rng(0).standard_normal((5, 8), np.float32)
    exact = onnx.helper.make_node("Gelu", ["x"], ["y"])
    x_info, y_info = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [5, 8]) for n in "xy")
    graph = onnx.helper.make_graph([exact], "g", [x_info], [y_info])
    reference = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    other = onnxruntime.InferenceSession(reference.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(*(s.run(None, {"x": x})[0] for s in (session, other)))


@pytest.mark.parametrize("approximate", [True, False])
def test_an_approximate_gelu_is_kept(approximate: bool) -> None:
    graph = write_gelu_as_erf(inference_graph(check_spec(spec(approximate))))
    assert ("Gelu" in [node.op for node in graph.nodes]) == approximate
