"""Models rewritten for OpenVINO compute the same; `tests/environments/openvino` runs them there."""

from __future__ import annotations

from typing import Any

import jsonnx
import numpy as np
import onnx
import onnxruntime
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder
from jsonnx.runtime.providers.openvino_rewrites import rewrite_model

RNG = np.random.default_rng(0)


def bidirectional(type: str) -> bytes:
    layer = {"type": type, "units": 3, "return_sequences": True}
    layers = [{"type": "Bidirectional", "layer": layer}, {"type": "Bidirectional", "layer": layer}]
    return jsonnx.compile({"inputs": {"x": {"shape": [4, 2]}}, "layers": layers}, seed=0).to_bytes()


def results(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def nodes_of(model: bytes, *operators: str) -> list[onnx.NodeProto]:
    return [node for node in onnx.load_model_from_string(model).graph.node if node.op_type in operators]


@pytest.mark.parametrize("type", ["GRU", "LSTM", "SimpleRNN"])
def test_recurrent_nodes_read_different_tensors(type):
    model = bidirectional(type)
    before, after = (nodes_of(each, "GRU", "LSTM", "RNN") for each in (model, rewrite_model(model)))
    assert len({node.input[0] for node in before}) == 2
    assert len({node.input[0] for node in after}) == len(after) == 4
    assert len(nodes_of(rewrite_model(model), "Max")) == 2
    x = RNG.normal(size=(5, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(*(results(each, {"x": x})[0] for each in (model, rewrite_model(model))))


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("has_bias", [True, False])
def test_layer_normalization_of_a_step_becomes_primitives(axis, has_bias):
    g = Builder()
    x: Any = g.input("x", TensorType("float32", (BATCH, 3, 4)))
    shape = (4,) if axis == -1 else (3, 4)
    weights = [g.const(RNG.normal(size=shape), "float32") for _ in range(1 + has_bias)]
    y, mean, inverse = g.LayerNormalization(x, *weights, axis=axis, epsilon=1e-3, outputs=3)
    model = serialize(to_model_proto(g.graph({"y": y, "mean": mean, "inverse": inverse})))
    assert nodes_of(rewrite_model(model), "LayerNormalization") == []
    feeds = {"x": RNG.normal(size=(2, 3, 4)).astype(np.float32)}
    for expected, actual in zip(results(model, feeds), results(rewrite_model(model), feeds), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_other_models_keep_their_bytes():
    spec = {"inputs": {"x": {"shape": [4, 2]}}, "layers": [{"type": "GRU", "units": 3}]}
    single = jsonnx.compile(spec, seed=0).to_bytes()
    for model in (single, b"", b"GRU of no model"):
        assert rewrite_model(model) is model
