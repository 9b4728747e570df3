"""Nodes that are sunk into branches: which ones, and the same results."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import TensorType
from jsonnx.ir import Builder, Graph, Value
from jsonnx.ir.conditionals import emit_if
from jsonnx.runtime.providers.providers import create_session, resolve_provider
from jsonnx.tuning.cpu.sink_into_branches import sink_into_branches

VECTOR = TensorType("float32", (3,))


def choosing(*, elsewhere: bool = False) -> Graph:
    """`y` is `exp(-x) + exp(x)` where the sum of x is above 0, else `exp(x)`."""
    g = Builder()
    x = g.input("x", VECTOR)
    condition = g.Greater(g.ReduceSum(x, keepdims=0), 0.0)
    negative = g.Exp(g.Neg(x))
    positive = g.Exp(x)
    y = g.cond(condition, lambda g: g.Add(negative, positive), lambda g: g.Mul(positive, 1.0))
    return g.graph({"y": y, **({"negative": negative} if elsewhere else {})})


def run(graph: Graph, x: list[float]) -> dict[str, np.ndarray]:
    session = create_session(serialize(to_model_proto(graph)), resolve_provider("cpu"))
    return dict(zip(graph.outputs, session.run([*graph.outputs], {"x": np.array(x, np.float32)}), strict=True))


def operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("x", [[1.0, 2.0, -0.5], [-1.0, 0.5, 0.0]])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_both_branches_compute_the_same(x: list[float], elsewhere: bool) -> None:
    graph = choosing(elsewhere=elsewhere)
    expected, results = run(graph, x), run(sink_into_branches(graph), x)
    for name, array in expected.items():
        np.testing.assert_array_equal(results[name], array)


def test_nodes_behind_a_value_that_one_branch_reads_are_moved_with_it() -> None:
    graph = sink_into_branches(choosing())
    assert operators(graph) == ["ReduceSum", "Greater", "Exp", "If"]
    branches = graph.nodes[-1].attributes
    assert operators(branches["then_branch"]) == ["Neg", "Exp", "Add"]
    assert operators(branches["else_branch"]) == ["Mul"]


def test_branches_with_two_results() -> None:
    g = Builder()
    x = g.input("x", VECTOR)
    sums, products = [g.Add(x, 1.0), g.Add(x, 2.0)], [g.Mul(x, 3.0), x]
    condition = g.Greater(g.ReduceSum(x, keepdims=0), 0.0)
    a, b = emit_if(g, condition, {"then_branch": ([], sums), "else_branch": ([], products)})
    graph = g.graph({"a": a, "b": b})
    sunk = sink_into_branches(graph)
    assert operators(sunk) == ["ReduceSum", "Greater", "If"]
    for first, expected in ((2.0, [3.0, 4.0]), (-2.0, [-6.0, -2.0])):
        results = run(sunk, [first, 0.0, 0.0])
        assert [results["a"][0], results["b"][0]] == expected


def test_a_node_with_readers_outside_the_branch_is_not_moved() -> None:
    graph = choosing(elsewhere=True)
    assert operators(sink_into_branches(graph)) == operators(graph)


def test_a_graph_without_an_if_is_returned_itself() -> None:
    g = Builder()
    y: Value = g.Exp(g.input("x", VECTOR))
    graph = g.graph({"y": y})
    assert sink_into_branches(graph) is graph
