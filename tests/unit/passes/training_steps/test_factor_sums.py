"""Factors moved out of sums, and the removal of `detached`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.passes.training_steps.factor_sums import clear_gradient_flags, factor_sums
from support.harness import run

IMAGE = TensorType("float32", (BATCH, 3, 5, 4))
CHANNELS = np.array([0.5, -2.0, 3.0], np.float32).reshape(3, 1, 1)


def graph_of(emit: Callable[[Builder, Value], Value]) -> Graph:
    g = Builder()
    return g.graph({"y": emit(g, g.input("x", IMAGE))})


@pytest.mark.parametrize("axes", [[2, 3], [0, 2, 3], [3]])
def test_a_factor_common_to_all_summands_is_multiplied_after_the_sum(axes: list[int]) -> None:
    graph = graph_of(lambda g, x: g.ReduceSum(g.Mul(g.Mul(g.Exp(x), g.const(CHANNELS)), 0.25), axes))
    factored = factor_sums(graph)
    assert [node.op for node in factored.nodes] == ["Exp", "ReduceSum", "Mul", "Mul"]
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)}
    np.testing.assert_allclose(run(factored, feeds)["y"], run(graph, feeds)["y"], rtol=1e-5)


@pytest.mark.parametrize(
    "emit",
    [
        lambda g, x: g.ReduceSum(g.Mul(x, g.const(CHANNELS)), [1, 2]),  # other factors along an axis of the sum
        lambda g, x: g.ReduceSum(g.Mul(x, g.Exp(x)), [2, 3]),
        lambda g, x: g.ReduceSum(g.Mul(x, g.const(CHANNELS)), [2, 3], keepdims=0),
        lambda g, x: g.ReduceSum(g.Add(x, g.const(CHANNELS)), [2, 3]),
        lambda g, x: g.ReduceMean(g.Mul(x, g.const(CHANNELS)), [2, 3]),
    ],
)
def test_other_factors_are_not_moved(emit: Callable[[Builder, Value], Value]) -> None:
    graph = graph_of(emit)
    assert factor_sums(graph) is graph


def test_the_remaining_sum_is_merged_with_an_equal_one() -> None:
    g = Builder()
    x = g.input("x", IMAGE)
    scaled = g.ReduceSum(g.Mul(x, g.const(CHANNELS)), [2, 3])
    graph = factor_sums(g.graph({"y": g.ReduceSum(x, [2, 3]), "z": scaled}))
    assert Counter(node.op for node in graph.nodes) == {"ReduceSum": 1, "Mul": 1}


def test_detached_nodes_are_merged_with_equal_ones_and_detached_identities_removed() -> None:
    g = Builder()
    x = g.input("x", IMAGE)
    y = g.Exp(x)
    with g.detached():
        z = g.Exp(g.Identity(x))
    graph = clear_gradient_flags(g.graph({"y": g.Neg(y), "z": g.Neg(z)}))
    assert [node.op for node in graph.nodes] == ["Exp", "Neg"]
    assert not any(node.detached for node in graph.nodes)


def test_an_identity_that_is_not_detached_is_kept() -> None:
    graph = graph_of(lambda g, x: g.Identity(x))
    assert clear_gradient_flags(graph) is graph
