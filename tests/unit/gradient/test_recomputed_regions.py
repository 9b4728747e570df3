"""Regions of nodes whose results the backward pass computes again."""

from __future__ import annotations

import numpy as np
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.ir import Builder, Graph
from jsonnx.passes.canonicalize import canonicalize
from support.harness import check_gradients, reference, run


def squashed(recomputes: bool, dtype: str = "float64") -> Graph:
    """`sum(tanh(exp(a) * b)^2)`, of which a region may compute all but the square."""
    g = Builder(float_dtype=dtype)
    a, b = (g.input(name, TensorType(dtype, (BATCH, 4))) for name in "ab")
    if recomputes:
        with g.recomputed():
            y = g.Tanh(g.Mul(g.Exp(a), b))
    else:
        y = g.Tanh(g.Mul(g.Exp(a), b))
    return g.graph({"loss": g.ReduceSum(g.Mul(y, y), keepdims=0)})


def differentiated(graph: Graph) -> Graph:
    g = GradientBuilder.extending(graph)
    loss = graph.outputs["loss"]
    by_value = gradients(g, graph, {loss: g.const(1.0, loss.dtype)}, graph.inputs.values())
    return canonicalize(g.graph({"loss": loss, **{f"d/{name}": by_value[x] for name, x in graph.inputs.items()}}))


def feeds(dtype: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(3, 4)).astype(dtype) for name in "ab"}


def test_gradients_are_those_of_kept_results() -> None:
    expected, results = (reference(differentiated(squashed(recomputes)), feeds("float64")) for recomputes in (0, 1))
    for name, array in expected.items():
        np.testing.assert_array_equal(results[name], array)
    assert check_gradients(squashed(True), feeds("float64"), ["a", "b"]) < 1e-6


def test_the_backward_pass_keeps_no_result_of_a_region() -> None:
    graph = differentiated(squashed(True, "float32"))
    forward = {y for node in graph.nodes if node.region and not node.region.is_backward for y in node.outputs}
    readers = [node for node in graph.nodes if node.region is None or node.region.is_backward]
    read = {x for node in readers for x in node.inputs} & forward
    tanh = next(node for node in graph.nodes if node.op == "Tanh")
    assert read == {*tanh.outputs}  # the square is outside the region
    assert [node.op for node in graph.nodes].count("Exp") == 2


def test_a_copy_waits_for_the_cotangent() -> None:
    graph = differentiated(squashed(True, "float32"))
    copy = [node for node in graph.nodes if node.op == "Exp"][1]
    reshape = graph.producers[copy.inputs[0]]
    assert reshape.op == "Reshape"
    assert reshape.inputs[0] is graph.inputs["a"]
    behind, pending = set(), [reshape.inputs[1]]
    while pending:
        node = graph.producers.get(pending.pop())
        if node is not None:
            behind.add(node.op)
            pending += [x for x in node.inputs if x is not None]
    assert "Tanh" in behind
    expected = run(differentiated(squashed(False, "float32")), feeds("float32"))
    for name, array in run(graph, feeds("float32")).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)
