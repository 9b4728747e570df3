"""Conditionals: the branch that runs, and the If in an ONNX file."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.backend import serialize, to_model_proto
from jsonnx.core.types import BATCH, TensorType
from jsonnx.ir import Builder, Graph
from jsonnx.passes.canonicalize import canonicalize
from jsonnx.runtime.providers.providers import create_session, resolve_provider


def doubled_or_summed() -> Graph:
    """2 * x for three samples, else x plus its column sums; both branches read values from outside."""
    g = Builder()
    x = g.input("x", TensorType("float32", (BATCH, 2)))
    negative = g.Neg(x)
    three = g.Equal(g.Shape(x, start=0, end=1), [3])
    y = g.cond(
        three,
        lambda g: g.Sub(x, negative),
        lambda g: g.Add(x, g.ReduceSum(g.Neg(negative), [0])),
    )
    return g.graph({"y": g.Mul(y, 10.0)})


@pytest.mark.parametrize("change", [lambda graph: graph, canonicalize], ids=["as-made", "tidy"])
@pytest.mark.parametrize("samples", [1, 3, 4])
def test_the_condition_selects_the_branch_at_run_time(change, samples: int) -> None:  # type: ignore[no-untyped-def]
    session = create_session(serialize(to_model_proto(change(doubled_or_summed()))), resolve_provider("cpu"))
    x = np.arange(2.0 * samples, dtype=np.float32).reshape(samples, 2)
    expected = 2 * x if samples == 3 else x + x.sum(0)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], 10 * expected)


def test_an_if_in_the_file_has_only_its_condition_as_an_input() -> None:
    graph = doubled_or_summed()
    node = next(node for node in graph.nodes if node.op == "If")
    assert len(node.inputs) == 3  # the condition, and what the ways read
    emitted = next(node for node in to_model_proto(graph).graph.node if node.op_type == "If")
    assert len(emitted.input) == 1
    assert [attribute.name for attribute in emitted.attribute] == ["else_branch", "then_branch"]
