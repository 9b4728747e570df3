"""Merged equal values keep known sizes; chains of Reshapes are folded."""

from __future__ import annotations

from typing import Any

import jsonnx
import onnx
import pytest
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder
from jsonnx.passes.canonicalize import fold_reshape_chains


def test_a_merged_value_has_the_size_names_of_both_values() -> None:
    """ONNX cannot infer the steps behind a convolution; only a layer's shape rule gives them the name `width`."""
    layers = [
        {"type": "SeparableConv1D", "filters": 3, "kernel_size": 1, "name": "conv", "from": "x"},
        {"use": "conv", "name": "again", "from": "x"},
        {"type": "Permute", "dims": [2, 1], "name": "turned", "from": "again"},
        {"type": "ZeroPadding1D", "name": "padded", "from": "conv"},
        {"type": "Conv1DTranspose", "filters": 1, "kernel_size": 1, "name": "wide"},
    ]
    spec = {"inputs": {"x": {"shape": ["width", 1]}}, "layers": layers, "outputs": ["turned", "wide"]}
    (turned, _) = jsonnx.compile(spec).proto.graph.output
    assert [size.dim_param or size.dim_value for size in turned.type.tensor_type.shape.dim] == ["batch", 3, "width"]


@pytest.mark.parametrize("kind", [{"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3}])
def test_sliding_window_attention_passes_strict_shape_inference(kind: dict[str, Any]) -> None:
    shorter = {"type": "Cropping1D", "cropping": [1, 1], "name": "shorter"}
    attention = {**kind, "sliding_window": 2, "name": "attention", "from": ["shorter", "x"]}
    model = jsonnx.compile({"inputs": {"x": {"shape": [6, 4]}}, "layers": [shorter, attention]}).proto
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def test_a_reshape_of_a_reshape_reads_the_operand_of_the_inner_one() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 6)))
    once = g.Reshape(x, [3, 8])
    twice = g.Reshape(g.Reshape(once, [24]), [2, -1])
    graph = fold_reshape_chains(g.graph({"once": once, "twice": twice}))
    assert [node.inputs[0] for node in graph.nodes] == [x, x]
    assert [node.outputs[0] for node in graph.nodes] == [once, twice]


def test_a_reshape_whose_target_contains_zero_is_not_folded() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (4, 6)))
    before = g.Reshape(x, [2, 12])
    graph = fold_reshape_chains(g.graph({"y": g.Reshape(before, [0, 3, 4])}))
    assert [node.inputs[0] for node in graph.nodes] == [x, before]
