"""Gradient rules of reductions."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from unit.gradient.operators import POSITIVE, REAL, Domain, Operator, slopes, worst_error

NOT_ZERO = Domain(kinks=(0,))

DOMAINS = {
    "ReduceSum": REAL,
    "ReduceMean": REAL,
    "ReduceSumSquare": REAL,
    "ReduceL1": NOT_ZERO,
    "ReduceL2": REAL,
    "ReduceLogSum": POSITIVE,
    "ReduceLogSumExp": REAL,
    "ReduceProd": REAL,
    "ReduceMax": REAL,
    "ReduceMin": REAL,
}

AXES = [([1], 1), ([-1], 0), ([0, 2], 1), ([0, 1], 0), (None, 1), (None, 0)]
"""Axes and keepdims; the first axis is the batch, None is all."""

POINTS = [
    (Operator("ReduceMax", (REAL, [1]), ((3,),)), [1, 3, 3], [0, 0.5, 0.5]),
    (Operator("ReduceMin", (REAL, [1]), ((3,),)), [1, 3, 1], [0.5, 0, 0.5]),
    (Operator("ReduceL1", (REAL, [1]), ((3,),)), [-1, 0, 2], [-1, 0, 1]),
    (Operator("ReduceL2", (REAL, [1]), ((3,),)), [0, 0, 0], [0, 0, 0]),
    (Operator("ReduceProd", (REAL, [1]), ((3,),)), [2, 3, 4], [12, 8, 6]),
    (Operator("ReduceProd", (REAL, [1]), ((3,),)), [2, 0, 4], [0, 8, 0]),
    (Operator("ReduceProd", (REAL, [1]), ((3,),)), [0, 0, 4], [0, 0, 0]),
    (Operator("ReduceLogSumExp", (REAL, [1]), ((3,),)), [100, 0, 100], [0.5, 0, 0.5]),
]


@pytest.mark.parametrize(("axes", "keepdims"), AXES)
@pytest.mark.parametrize("op", DOMAINS)
def test_a_reduction_equals_finite_differences(op: str, axes: list[int] | None, keepdims: int) -> None:
    inputs = (DOMAINS[op],) if axes is None else (DOMAINS[op], axes)
    assert worst_error(Operator(op, inputs, attributes={"keepdims": keepdims})) < 1e-7


@pytest.mark.parametrize(("operator", "points", "expected"), POINTS, ids=lambda value: getattr(value, "id", None))
def test_a_reduction_at_ties_and_zeros(operator: Operator, points: list, expected: list) -> None:
    np.testing.assert_allclose(slopes(operator, points)[0], [expected], rtol=1e-5, atol=1e-30)


def test_the_cotangent_of_a_mean_over_all_axes_stays_a_scalar_until_it_is_expanded() -> None:
    """With shape [1, 1, 1, 1], onnxruntime 1.32 loses ranks and rejects some models (random models 300420, 306771)."""
    g = GradientBuilder()
    x = g.input("x", TensorType("float32", (BATCH, 2, 3, 4)))
    loss = g.ReduceMean(x, keepdims=0)
    graph = g.graph({"loss": loss})
    gradients(g, graph, {loss: g.const(1.0)}, [x])
    back = g.nodes[len(graph.nodes) :]
    assert [node.op for node in back][-1] == "Expand"
    assert {value.rank for node in back for value in node.outputs if value.dtype == "float32"} == {0, 4}
