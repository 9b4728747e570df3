"""Weights that are stored as integers and read in floating point."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Constant, Graph, Value
from jsonnx.passes.quantization import plan_quantization, with_quantized_weights
from support.harness import run
from support.quantized_reference import executed_ops, rounded_weight

from .networks import NETWORKS, bound_graph, conv, dense, feeds_of, layer, spec
from .test_quantized_nodes import graph_of, signal_to_noise, weight

LARGE = spec(dense("a", 64, activation="relu"), dense("b", 64, activation="relu6"), dense("c", 64), shape=[64])
EMBEDDING: dict[str, Any] = {
    "name": "net",
    "inputs": {"tokens": {"shape": ["time"], "dtype": "int32"}},
    "layers": [layer("Embedding", "words", input_dim=100, output_dim=24), dense("label", 3)],
}
TIED: dict[str, Any] = EMBEDDING | {
    "layers": [
        layer("ReversibleEmbedding", "words", input_dim=100, output_dim=64),
        dense("hidden", 64),
        {"use": "words", "name": "scores"},
    ]
}


def constants(graph: Graph) -> dict[str, list[str]]:
    """The element types of large constants, by name."""
    found: dict[str, list[str]] = {}
    values = dict.fromkeys(x for node in graph.nodes for x in node.inputs)
    for x in values:
        if isinstance(x, Constant) and x.array.size >= 1024 // 2:
            found.setdefault(x.name, []).append(x.dtype)
    return found


def size(graph: Graph) -> int:
    return len(serialize(to_model_proto(graph)))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_results_differ_by_the_rounding_of_weights(name: str, bits: int) -> None:
    graph = bound_graph(NETWORKS[name])
    feeds = feeds_of(graph)
    result = with_quantized_weights(graph, bits)
    expected, plain, fused = run(graph, feeds), run(result, feeds, optimize=False), run(result, feeds)
    for output, array in expected.items():
        assert plain[output].dtype == array.dtype
        assert signal_to_noise(plain[output], array) > (30 if bits == 8 else 5)
        assert signal_to_noise(fused[output], plain[output]) > 30


@pytest.mark.parametrize("bits", [8, 4])
def test_a_convolution_has_a_scale_for_each_filter(bits: int) -> None:
    graph = graph_of(lambda g, x: g.Conv(x, weight(g, 16, 8, 3, 3)), 8, 5, 5)
    kernel = graph.nodes[0].inputs[1]
    assert isinstance(kernel, Constant)
    expected = Constant(kernel.type, rounded_weight(kernel.array, 0, bits)[0])
    reference = Graph(graph.inputs, graph.outputs, (graph.nodes[0].with_inputs([graph.inputs["x"], expected]),))
    feeds = feeds_of(graph)
    result = with_quantized_weights(graph, bits)
    np.testing.assert_allclose(run(result, feeds)["y"], run(reference, feeds)["y"], atol=1e-4)


def test_products_of_4_bits_have_a_scale_for_each_block() -> None:
    graph = graph_of(lambda g, x: g.MatMul(x, weight(g, 72, 32)), 72)
    kernel = graph.nodes[0].inputs[1].array  # type: ignore[union-attr]
    blocks = [rounded_weight(kernel[start : start + 32], 1, 4)[0] for start in (0, 32, 64)]
    feeds = feeds_of(graph)
    result = with_quantized_weights(graph, 4)
    expected = feeds["x"] @ np.concatenate(blocks)
    np.testing.assert_allclose(run(result, feeds, optimize=False)["y"], expected, atol=1e-4)
    assert signal_to_noise(run(result, feeds)["y"], expected) > 35


def test_products_run_on_integers_in_front_of_any_activation(tmp_path: Path) -> None:
    for bits in (8, 4):
        executed = executed_ops(with_quantized_weights(bound_graph(LARGE), bits), tmp_path)
        assert executed["MatMulNBits"] == 3
        assert not executed["DequantizeLinear"]


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_no_weight_is_converted_at_every_run(name: str, bits: int, tmp_path: Path) -> None:
    result = with_quantized_weights(bound_graph(NETWORKS[name]), bits)
    executed_ops(result, tmp_path)
    model = onnx.load(tmp_path / "optimized.onnx").graph
    weights = {tensor.name for tensor in model.initializer}
    assert not [
        node for node in model.node if node.op_type in ("Cast", "DequantizeLinear") and node.input[0] in weights
    ]


def test_an_embedding_converts_only_the_rows_that_it_reads(tmp_path: Path) -> None:
    graph = bound_graph(EMBEDDING)
    (node,) = (node for node in graph.nodes if node.op == "Gather")
    table = node.inputs[0]
    assert isinstance(table, Constant)
    tokens = np.array([[3, 99, 0]], np.int32)
    for bits, dtype in ((8, "int8"), (4, "uint8")):
        result = with_quantized_weights(graph, bits, {"label": None})
        assert constants(result)[table.name] == [dtype]
        rows = Graph(graph.inputs, {"y": node.outputs[0]}, graph.nodes)
        actual = run(with_quantized_weights(rows, bits), {"tokens": tokens})["y"]
        np.testing.assert_allclose(actual, rounded_weight(table.array, 0, bits)[0][tokens], rtol=1e-6)
        assert executed_ops(result, tmp_path)["Gather"] == 2


def test_a_table_with_an_odd_number_of_columns_has_bytes() -> None:
    network = EMBEDDING | {"layers": [layer("Embedding", "words", input_dim=100, output_dim=13), dense("label", 3)]}
    result = with_quantized_weights(bound_graph(network), 4)
    assert constants(result)["words/embeddings"] == ["int8"]


@pytest.mark.parametrize("bits", [8, 4])
def test_a_table_that_also_computes_scores_is_stored_once(bits: int) -> None:
    graph = bound_graph(TIED)
    result = with_quantized_weights(graph, bits)
    assert constants(result)["words/embeddings"] == ["int8"]
    feeds = feeds_of(graph)
    for output, array in run(graph, feeds).items():
        assert signal_to_noise(run(result, feeds)[output], array) > (30 if bits == 8 else 5)


def test_small_weights_and_kept_layers_stay_as_they_are() -> None:
    graph = bound_graph(spec(conv("a", 4), conv("b", 64), conv("c", 64)))
    result = constants(with_quantized_weights(graph, 8, {"b": None}))
    assert result["b/kernel"] == ["float32"]
    assert result["c/kernel"] == ["int8"]
    assert not plan_quantization(bound_graph(spec(conv("a", 4)))).stored


def test_layers_may_have_other_bits() -> None:
    result = constants(with_quantized_weights(bound_graph(LARGE), 8, {"b": 4}))
    assert (result["a/kernel"], result["b/kernel"]) == (["int8"], ["int4"])


@pytest.mark.parametrize(("bits", "fraction"), [(8, 0.3), (4, 0.2)])
def test_models_are_smaller(bits: int, fraction: float) -> None:
    graph = bound_graph(spec(*[dense(f"layer_{i}", 256) for i in range(4)], shape=[256]))
    assert size(with_quantized_weights(graph, bits)) < fraction * size(graph)


def test_recurrent_weights_are_stored_as_integers() -> None:
    dtypes = constants(with_quantized_weights(bound_graph(NETWORKS["recurrent"]))).values()
    assert Counter(dtype for each in dtypes for dtype in each)["int8"] == 4


def test_the_same_weights_have_the_same_bytes() -> None:
    for bits in (8, 4):
        first, second = (serialize(to_model_proto(with_quantized_weights(bound_graph(TIED), bits))) for _ in range(2))
        assert first == second


def test_weights_of_zeros_stay_zero() -> None:
    def build(g: Builder, x: Value) -> Value:
        return g.MatMul(x, g.const(np.zeros((64, 64))))

    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 64)))
    graph = g.graph({"y": build(g, x)})
    for bits in (8, 4):
        result = with_quantized_weights(graph, bits)
        assert not run(result, feeds_of(graph), optimize=False)["y"].any()
        np.testing.assert_allclose(run(result, feeds_of(graph))["y"], 0, atol=1e-2)
