"""Integers are computed in int32 where a target has no kernel for int64."""

from __future__ import annotations

from typing import Any

import numpy as np
from jsonnx.core.reserved_names import next_name
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph, Node
from jsonnx.passes.legalization import write_nodes_without_kernel
from jsonnx.training.weights.initializers import Constant
from support.harness import run

FREE_OPERATORS = {"Shape", "Size", "Gather", "ArgMax", "LabelEncoder"}


def lacks_int64(node: Node) -> bool:
    is_wide = any(x is not None and x.dtype == "int64" for x in node.inputs[:1]) or node.outputs[0].dtype == "int64"
    return is_wide and node.op not in FREE_OPERATORS


def written(graph: Graph) -> Graph:
    return write_nodes_without_kernel(graph, lacks_int64)


def wide_operators(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes if lacks_int64(node)]


def test_a_counter_becomes_int32() -> None:
    g = Builder()
    count = g.state("count", (), Constant(value=0), "int64")
    g.assign(count, g.Add(count, 1))
    graph = written(g.graph({"y": g.cast(count, "float32")}))
    assert graph.states[count.name].dtype == graph.updates[count.name].dtype == "int32"
    assert wide_operators(graph) == []
    results = run(graph, {count.name: np.array(7, np.int32)})
    following = results[next_name(count.name)]
    assert (results["y"], following, following.dtype) == (7.0, 8, np.int32)


def test_inputs_become_int32_and_outputs_keep_their_type() -> None:
    g = Builder()
    x = g.input("x", TensorType("int64", (BATCH, 3)))
    doubled = g.Add(x, x)
    graph = written(g.graph({"wide": doubled, "equal": g.Equal(doubled, g.const([2, 4, 7], "int64"))}))
    assert graph.inputs["x"].dtype == "int32"
    assert graph.outputs["wide"].dtype == "int64"
    assert wide_operators(graph) == ["Cast"]
    results = run(graph, {"x": np.array([[1, 2, 3]], np.int32)})
    np.testing.assert_array_equal(results["wide"], np.array([[2, 4, 6]]))
    np.testing.assert_array_equal(results["equal"], [[True, True, False]])


def test_a_range_to_a_size_is_computed_in_int32_from_its_limits() -> None:
    """A Cast of the range would stay on the CPU, and with it the matrix that is computed from the range."""
    g = Builder()
    rows = g.input("x", TensorType("float32", (BATCH, 3)))
    numbers = g.Range(0, g.Squeeze(g.Shape(rows, start=0, end=1), [0]), 1)
    is_same = g.Equal(g.Unsqueeze(numbers, [1]), numbers)
    graph = write_nodes_without_kernel(
        g.graph({"identity": g.cast(is_same, "float32")}), lambda node: node.op != "Range" and lacks_int64(node)
    )
    cast = next(node for node in graph.nodes if node.op == "Cast")
    assert cast.outputs[0].rank == 0
    assert next(node for node in graph.nodes if node.op == "Range").outputs[0].dtype == "int32"
    results = run(graph, {"x": np.zeros((4, 3), np.float32)})
    np.testing.assert_array_equal(results["identity"], np.eye(4))


def test_the_position_of_a_maximum_is_found_in_int32() -> None:
    def graph(**attributes: Any) -> Graph:
        g = Builder()
        x = g.input("x", TensorType("float32", (BATCH, 4)))
        position = g.ArgMax(x, axis=1, **attributes)
        return g.graph({"y": g.cast(position, "float32")})

    x = np.array([[1, 5, 5, 0], [2, 2, 2, 2], [0, 1, 2, 3]], np.float32)
    for attributes in ({"keepdims": 0}, {}, {"keepdims": 0, "select_last_index": 1}):
        plain = graph(**attributes)
        np.testing.assert_array_equal(run(written(plain), {"x": x})["y"], run(plain, {"x": x})["y"])
    assert wide_operators(written(graph(keepdims=0))) == []


def test_constants_that_do_not_fit_stay() -> None:
    g = Builder()
    x = g.input("x", TensorType("int32", (BATCH,)))
    y = g.Add(g.cast(x, "int64"), g.const(1 << 40, "int64"))
    graph = written(g.graph({"y": y}))
    np.testing.assert_array_equal(run(graph, {"x": np.array([3], np.int32)})["y"], [3 + (1 << 40)])


def test_indices_are_gathered_in_int32() -> None:
    g = Builder()
    x = g.input("x", TensorType("int32", (BATCH,)))
    graph = written(g.graph({"y": g.Gather(g.const(np.arange(4.0)), g.cast(x, "int64"), axis=0)}))
    assert [node.op for node in graph.nodes] == ["Gather"]
    np.testing.assert_array_equal(run(graph, {"x": np.array([3, 1], np.int32)})["y"], [3, 1])
