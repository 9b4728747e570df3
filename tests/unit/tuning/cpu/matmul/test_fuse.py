"""Fused matrix products: which nodes are fused, and that they compute the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import Size, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.pipeline.check.check import check_spec
from jsonnx.pipeline.train.plan_training import plan_training
from jsonnx.tuning.cpu.matmul.fuse import fuse_matmuls
from jsonnx.tuning.cpu.target import Target
from support.harness import assert_same_steps, run


def ops(graph: Graph) -> Counter[str]:
    return Counter(node.op for node in graph.nodes)


def operands(g: Builder) -> tuple[Value, Value, Value]:
    rows = g.input("x", TensorType("float32", (Size.named("n"), 5)))
    return rows, g.input("w", TensorType("float32", (7, 5))), g.input("b", TensorType("float32", (7,)))


def results(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {"x": (3, 5), "w": (7, 5), "b": (7,)}
    return run(graph, {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()})


@pytest.mark.parametrize("name", ["Relu", "Sigmoid", "Tanh"])
def test_transpose_product_bias_and_activation_are_fused(name: str) -> None:
    g = Builder()
    x, w, b = operands(g)
    graph = g.graph({"y": g.emit(name, g.Add(b, g.MatMul(x, g.Transpose(w, perm=[1, 0]))))})
    fused = fuse_matmuls(graph, Target())
    assert ops(fused) == {"FusedGemm": 1}
    np.testing.assert_allclose(results(fused)["y"], results(graph)["y"], rtol=1e-6)


def test_values_with_other_readers_are_not_fused() -> None:
    g = Builder()
    x, w, b = operands(g)
    transposed = g.Transpose(w, perm=[1, 0])
    product = g.MatMul(x, transposed)
    total = g.Add(product, b)
    outputs = {"transposed": transposed, "product": product, "total": total, "y": g.Relu(total)}
    graph = g.graph(outputs)
    fused = fuse_matmuls(graph, Target())
    assert ops(fused) == {"Transpose": 1, "FusedMatMul": 1, "Add": 1, "Relu": 1}
    for name, expected in results(graph).items():
        np.testing.assert_allclose(results(fused)[name], expected, rtol=1e-6)


def test_a_summand_that_is_not_a_row_is_not_fused() -> None:
    g = Builder()
    x, w, _ = operands(g)
    product = g.MatMul(x, g.Transpose(w, perm=[1, 0]))
    column = g.input("c", TensorType("float32", (Size.named("n"), 1)))
    assert ops(fuse_matmuls(g.graph({"y": g.Add(product, column)}), Target())) == {"FusedMatMul": 1, "Add": 1}


NETWORKS: dict[str, list[dict[str, Any]]] = {
    "dense": [{"type": "Dense", "units": 6, "activation": name} for name in ("relu", "tanh", "sigmoid", "linear")],
    "sequences": [{"type": "Dense", "units": 6, "activation": "relu"}, {"type": "Dense", "units": 2}],
    "attention": [
        {"type": "Dense", "units": 4},
        {"type": "MultiHeadAttention", "num_heads": 2, "key_dim": 3},
        {"type": "Flatten"},
    ],
    "shared": [{"type": "TimeDistributed", "layer": {"type": "Dense", "units": 3}}, {"type": "Flatten"}],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_compute_the_same(name: str) -> None:
    shape = [5] if name == "dense" else [4, 5]
    document = {
        "inputs": {"x": {"shape": shape}},
        "layers": NETWORKS[name],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}},
    }
    step = plan_training(check_spec(document)).train
    assert ops(fuse_matmuls(step, Target()))["FusedMatMul"] > 0
    ((_, outputs),) = [(n, v) for n, v in step.inputs.items() if n != "x" and v.rank > 0]
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, *shape), np.float32)
    assert_same_steps(document, x, rng.standard_normal((3, *outputs.shape[1:]), np.float32))


def test_a_summand_of_higher_rank_is_not_fused() -> None:
    g = Builder()
    x, w, _ = operands(g)
    total = g.Add(g.MatMul(x, g.Transpose(w, perm=[1, 0])), g.input("c", TensorType("float32", (2, 1, 7))))
    assert ops(fuse_matmuls(g.graph({"y": total}), Target())) == {"FusedMatMul": 1, "Add": 1}


def test_a_graph_of_many_nodes_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime does not optimise such a graph and plans no memory for it."""
    document = {
        "inputs": {"x": {"shape": [9, 5]}},
        "layers": [
            {"type": "Conv1D", "filters": 4, "kernel_size": 3, "activation": "relu"},
            {"type": "LSTM", "units": 6},
            {"type": "Dense", "units": 3, "activation": "gelu"},
            {"type": "LayerNormalization"},
        ],
        "training": {"loss": "mse", "optimizer": {"type": "sgd", "learning_rate": 0.05}},
    }
    rng = np.random.default_rng(2)
    monkeypatch.setattr("jsonnx.runtime.execution.runner.MIN_UNOPTIMIZED_NODES", 1)
    assert_same_steps(document, rng.standard_normal((4, 9, 5), np.float32), rng.standard_normal((4, 3), np.float32))


def test_a_gemm_that_the_graph_contains_is_not_fused_with_its_activation() -> None:
    g = Builder()
    x, w, b = operands(g)
    graph = g.graph({"y": g.Tanh(g.Gemm(x, w, b, transB=1))})
    assert fuse_matmuls(graph, Target()) is graph
