"""Transposes of tied weights and of their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph
from jsonnx.passes.training_steps.transposed_products import without_transposed_weights
from support.harness import run
from support.training_steps import training_graph

TIED: dict[str, Any] = {
    "inputs": {"x": {"shape": ["time"], "dtype": "int32"}},
    "layers": [
        {"type": "ReversibleEmbedding", "name": "table", "input_dim": 30, "output_dim": 8},
        {"type": "Dense", "units": 8},
        {"use": "table", "name": "scores"},
    ],
    "training": {"loss": {"type": "sparse_categorical_crossentropy", "from_logits": True}, "optimizer": "adam"},
}


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_no_transpose_of_a_tied_table_or_of_its_gradient_is_computed() -> None:
    graph = training_graph(TIED)
    shapes = [node.outputs[0].shape for node in graph.nodes if node.op == "Transpose" and node.scope == "table"]
    assert shapes.count((8, 30)) == 1  # of the scores; the product takes it over
    assert (30, 8) not in shapes


@pytest.mark.parametrize(
    ("first", "second", "cancel"),
    [((1, 0, 2), (1, 0, 2), True), ((1, 2, 0), (2, 0, 1), True), ((1, 2, 0), (1, 2, 0), False)],
)
def test_transposes_cancel_if_together_they_move_no_axis(
    first: tuple[int, ...], second: tuple[int, ...], cancel: bool
) -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (2, 3, 4)))
    graph = g.graph({"y": g.Neg(g.Transpose(g.Transpose(x, perm=first), perm=second))})
    rewritten = without_transposed_weights(graph)
    assert operators(rewritten).count("Transpose") == (0 if cancel else 2)
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)}
    np.testing.assert_array_equal(run(rewritten, feeds)["y"], run(graph, feeds)["y"])


def test_a_product_takes_over_the_transpose_of_its_result() -> None:
    g = Builder()
    x, dy = (g.input(name, TensorType("float32", (BATCH, size))) for name, size in (("x", 3), ("dy", 5)))
    graph = g.graph({"dw": g.Transpose(g.MatMul(g.Transpose(x, perm=[1, 0]), dy), perm=[1, 0])})
    rewritten = without_transposed_weights(graph)
    assert operators(rewritten) == ["Transpose", "MatMul"]
    rng = np.random.default_rng(0)
    feeds = {"x": rng.normal(size=(7, 3)).astype(np.float32), "dy": rng.normal(size=(7, 5)).astype(np.float32)}
    np.testing.assert_allclose(run(rewritten, feeds)["dw"], feeds["dy"].T @ feeds["x"], rtol=1e-5)


def test_a_product_that_others_read_keeps_its_transpose() -> None:
    g = Builder()
    x, dy = (g.input(name, TensorType("float32", (BATCH, size))) for name, size in (("x", 3), ("dy", 5)))
    product = g.MatMul(g.Transpose(x, perm=[1, 0]), dy)
    graph = g.graph({"dw": g.Transpose(product, perm=[1, 0]), "product": product})
    assert without_transposed_weights(graph) is graph


@pytest.mark.parametrize("same_order", [True, False])
def test_parts_that_are_split_and_joined_again_cancel(same_order: bool) -> None:
    g = Builder()
    a, b = (g.input(name, TensorType("float32", (2, 3))) for name in "ab")
    parts = g.Split(g.Concat(a, b, axis=1), [3, 3], axis=1, outputs=2)
    c = g.input("c", TensorType("float32", (2, 6)))
    halves = g.Split(c, [3, 3], axis=-1, outputs=2)
    joined = g.Concat(*(halves if same_order else halves[::-1]), axis=1)
    graph = g.graph({"difference": g.Sub(*parts), "joined": g.Neg(joined)})
    rewritten = without_transposed_weights(graph)
    assert operators(rewritten) == (["Sub", "Neg"] if same_order else ["Split", "Concat", "Sub", "Neg"])
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=x.shape).astype(np.float32) for name, x in graph.inputs.items()}
    for name, expected in run(graph, feeds).items():
        np.testing.assert_array_equal(run(rewritten, feeds)[name], expected)


def test_unequal_parts_and_other_axes_do_not_cancel() -> None:
    g = Builder()
    a, b = (g.input(name, TensorType("float32", (4, 4))) for name in "ab")
    joined = g.Concat(a, b, axis=0)
    unequal, others = g.Split(joined, [3, 5], axis=0, outputs=2), g.Split(joined, [2, 2], axis=1, outputs=2)
    graph = g.graph({"unequal": g.Neg(unequal[0]), "others": g.Neg(others[1])})
    assert operators(without_transposed_weights(graph)) == operators(graph)


def test_an_axis_that_is_added_and_removed_cancels() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (2, 3)))
    y = g.Unsqueeze(x, [0])
    graph = g.graph({"same": g.Neg(g.Reshape(y, [2, 3])), "other": g.Neg(g.Reshape(y, [3, 2]))})
    assert operators(without_transposed_weights(graph)) == ["Unsqueeze", "Neg", "Reshape", "Neg"]
