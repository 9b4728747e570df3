"""Column sums as matrix products: the same numbers, and which sums are replaced."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Dim, Size, TensorType
from jsonnx.ir import Builder, Graph
from jsonnx.passes.training_steps.column_sum_matmul import column_sums_as_matmul
from support.harness import run


def summing(shape: tuple[Dim, ...], axes: list[int], dtype: str = "float32", keepdims: int = 0) -> Graph:
    g = Builder()
    return g.graph({"y": g.ReduceSum(g.input("x", TensorType(dtype, shape)), axes, keepdims=keepdims)})


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("shape", "axes"), [((BATCH, 3), [0]), ((BATCH, 4, 3), [1, 0]), ((2, BATCH, 3), [0, -2])])
def test_a_sum_over_all_axes_but_the_last_is_a_product(shape: tuple[Dim, ...], axes: list[int], keepdims: int) -> None:
    graph = summing(shape, axes, keepdims=keepdims)
    rewritten = column_sums_as_matmul(graph)
    assert "MatMul" in [node.op for node in rewritten.nodes]
    assert rewritten.outputs["y"].type == graph.outputs["y"].type
    for batch in (0, 1, 5):
        sizes = [size if isinstance(size, int) else batch for size in shape]
        feeds = {"x": np.random.default_rng(0).normal(size=sizes).astype(np.float32)}
        expected = feeds["x"].sum(axis=tuple(axes), keepdims=bool(keepdims))  # onnxruntime 1.19 sums no rows wrongly
        np.testing.assert_allclose(run(rewritten, feeds)["y"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((BATCH, 3), [1], "float32"),  # over the last axis
        ((BATCH, 4, 3), [0], "float32"),  # not over all others
        ((5, 3), [0], "float32"),  # of a known number of rows
        ((BATCH, Size.named("n")), [0], "float32"),  # of an unknown number of columns
        ((BATCH, 3), [0], "int64"),
        ((BATCH,), [0], "float32"),
    ],
)
def test_other_sums_are_not_replaced(shape: tuple[Dim, ...], axes: list[int], dtype: str) -> None:
    graph = summing(shape, axes, dtype)
    assert column_sums_as_matmul(graph) is graph


def test_sums_of_as_many_rows_share_their_ones() -> None:
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 3)))
    graph = column_sums_as_matmul(g.graph({"y": g.ReduceSum(x, [0]), "z": g.ReduceSum(g.Exp(x), [0])}))
    products = [node for node in graph.nodes if node.op == "MatMul"]
    assert len(products) == 2
    assert products[0].inputs[0] is products[1].inputs[0]
