"""Weights and products in float16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.ir import Constant, Graph, Node
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.passes.constant_folding import bind_weights
from jsonnx.passes.quantization.half_precision import with_half_precision
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.compile.graphs import inference_graph
from support.harness import run

from .networks import NETWORKS, bound_graph, dense, feeds_of, spec


def is_no_normalization(node: Node) -> bool:
    return False


def constants(graph: Graph) -> dict[str, str]:
    """The element types of the named constants."""
    values = [x for node in graph.nodes for x in node.inputs if isinstance(x, Constant) and x.name]
    return {x.name: x.dtype for x in values}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_the_same_with_weights_of_16_bits(name: str) -> None:
    graph = bound_graph(NETWORKS[name])
    halved = with_half_precision(graph, is_no_normalization)
    assert {key: value.type for key, value in halved.inputs.items()} == {k: v.type for k, v in graph.inputs.items()}
    assert {key: value.dtype for key, value in halved.outputs.items()} == {k: v.dtype for k, v in graph.outputs.items()}
    feeds = feeds_of(graph)
    actual, expected = run(halved, feeds), run(graph, feeds)
    for output in expected:
        scale = np.abs(expected[output]).max()
        np.testing.assert_allclose(actual[output], expected[output], rtol=0, atol=0.01 * float(scale) + 1e-6)


def dense_graph(kernel: np.ndarray) -> Graph:
    """A product, of the layer `net`."""
    return with_weights(spec(dense("net", kernel.shape[1], use_bias=False), shape=[kernel.shape[0]]), kernel)


def with_weights(document: dict[str, Any], kernel: np.ndarray) -> Graph:
    graph = inference_graph(check_spec(document))
    return canonicalize(bind_weights(graph, {"net/kernel": kernel}))


def test_casts_of_constants_are_folded() -> None:
    halved = with_half_precision(dense_graph(np.ones((4, 3), np.float32)), is_no_normalization)
    assert [node.op for node in halved.nodes] == ["Cast", "MatMul", "Cast"]
    assert constants(halved) == {"net/kernel": "float16"}


def test_layers_and_weights_beyond_the_range_stay_in_float32() -> None:
    large = dense_graph(np.full((64, 64), 1e5, np.float32))
    assert constants(with_half_precision(large, is_no_normalization)) == {"net/kernel": "float32"}
    small = dense_graph(np.ones((64, 64), np.float32))
    assert with_half_precision(small, is_no_normalization, {"net"}).nodes == small.nodes


def test_tables_and_recurrent_weights_are_stored_in_float16() -> None:
    layers = [
        {"type": "Embedding", "name": "table", "input_dim": 100, "output_dim": 16},
        {"type": "LSTM", "name": "lstm", "units": 16},
        dense("y", 2),
    ]
    graph = bound_graph({"inputs": {"x": {"shape": [5], "dtype": "int64"}}, "layers": layers})
    halved = with_half_precision(graph, is_no_normalization)
    stored = {name.partition("/")[0]: dtype for name, dtype in constants(halved).items() if "bias" not in name}
    assert stored == {"table": "float16", "lstm": "float16", "y": "float16"}
    feeds = {"x": np.arange(15, dtype=np.int64).reshape(3, 5)}
    actual, expected = run(halved, feeds), run(graph, feeds)
    for output in expected:
        np.testing.assert_allclose(actual[output], expected[output], rtol=0, atol=0.01)
