"""Gradients of the operators that gather, scatter and sort, against finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from jsonnx.core.types import BATCH, Size, TensorType
from jsonnx.ir import Builder, Graph
from support.harness import check_gradients, run, with_gradients

TIME = Size.named("time")


class Rule(NamedTuple):
    """An operator applied to a real input x, indices i of this shape below `bound`, and a second real input u."""

    id: str
    apply: Callable
    x: tuple
    i: tuple = ()
    bound: int = 1
    u: tuple | None = None

    @property
    def wanted(self) -> list[str]:
        return ["x"] if self.u is None else ["x", "u"]

    def graph(self) -> Graph:
        g = Builder(float_dtype="float64")
        x = g.input("x", TensorType("float64", self.x))
        i = g.input("i", TensorType("int64", self.i))
        u = None if self.u is None else g.input("u", TensorType("float64", self.u))
        return g.graph({"y": self.apply(g, x, i, u)})

    def feeds(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        x, i, u = (
            tuple(size if isinstance(size, int) else 3 for size in shape) for shape in (self.x, self.i, self.u or ())
        )
        return {"x": rng.normal(size=x), "i": rng.integers(0, self.bound, i), "u": rng.normal(size=u)}


def gather(axis: int) -> Callable:
    return lambda g, x, i, u: g.Gather(x, i, axis=axis)


def gather_constant(indices, axis: int) -> Callable:
    return lambda g, x, i, u: g.Gather(x, np.array(indices), axis=axis)


def scatter(op: str, **how) -> Callable:
    return lambda g, x, i, u: g.emit(op, x, i, u, **how)


def top_k(g: Builder, x, i, u):
    return g.TopK(x, [2], axis=1, outputs=2)[0]


def sort_and_order(g: Builder, x, i, u):
    values, order = g.TopK(x, [3], axis=0, largest=0, outputs=2)
    return g.Mul(values, g.cast(order, x.dtype))


def running(**how) -> Callable:
    return lambda g, x, i, u: g.CumSum(x, np.array(1), **how)


RULES = [
    Rule("embedding", gather(0), (4, 3), (BATCH, 2), 4),
    Rule("embedding-two-symbolic", gather(0), (4, 3), (BATCH, TIME), 4),
    Rule("gather-middle-axis", gather(1), (BATCH, 4, 2), (2, 2), 4),
    Rule("gather-last-axis", gather(-1), (2, 5), (3,), 5),
    Rule("gather-one", gather(1), (BATCH, 4, 2), (), 4),
    Rule("gather-constant-one", gather_constant(-1, 1), (BATCH, 4, 2)),
    Rule("gather-constant-run", gather_constant([1, 2], 1), (BATCH, 4, 2)),
    Rule("gather-constant-any", gather_constant([2, 0, 2, -1], 1), (BATCH, 4, 2)),
    Rule("gather-constant-over-the-end", gather_constant([-1, 0], 1), (BATCH, 4)),
    Rule("gather-constant-symbolic", gather_constant([-1], 1), (BATCH, TIME)),
    Rule("gather-elements", lambda g, x, i, u: g.GatherElements(x, i, axis=1), (2, 3), (2, 4), 3),
    Rule("gather-nd", lambda g, x, i, u: g.GatherND(x, i), (BATCH, 4, 2), (5, 2), 3),
    Rule("gather-nd-elements", lambda g, x, i, u: g.GatherND(x, i), (3, 4), (2, 5, 2), 3),
    Rule("scatter-elements", scatter("ScatterElements", axis=1), (2, 4), (2, 1), 4, (2, 1)),
    Rule("scatter-elements-add", scatter("ScatterElements", reduction="add"), (2, 4), (3, 4), 2, (3, 4)),
    Rule("scatter-nd", scatter("ScatterND"), (4, 2), (1, 1), 4, (1, 2)),
    Rule("scatter-nd-add", scatter("ScatterND", reduction="add"), (3, 2), (5, 1), 3, (5, 2)),
    Rule("top-k", top_k, (BATCH, 4)),
    Rule("sort", sort_and_order, (3, 2)),
    Rule("cumsum", running(), (BATCH, 4)),
    Rule("cumsum-exclusive", running(exclusive=1), (BATCH, TIME)),
    Rule("cumsum-reverse", running(reverse=1, exclusive=1), (2, 4)),
    Rule(
        "reverse-sequence",
        lambda g, x, i, u: g.ReverseSequence(x, np.array([1, 3]), batch_axis=0, time_axis=1),
        (2, 4),
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_gradient_equals_finite_differences(rule: Rule) -> None:
    assert check_gradients(rule.graph(), rule.feeds(np.random.default_rng(0)), rule.wanted) < 1e-8


def test_the_gradient_of_an_embedding_sums_duplicates_exactly_in_onnxruntime() -> None:
    g, rng = Builder(float_dtype="float64"), np.random.default_rng(0)
    table, i = g.input("table", TensorType("float64", (2000, 16))), g.input("i", TensorType("int64", (BATCH, 512)))
    graph = with_gradients(g.graph({"y": g.ReduceSum(g.Gather(table, i), [1, 2], keepdims=0)}), ["table"])
    indices = rng.integers(0, 3, (3, 512))
    found = run(graph, {"table": np.ones((2000, 16)), "i": indices})["d/table"]
    expected = np.zeros(2000)
    np.add.at(expected, indices, np.random.default_rng(0).normal(size=3)[:, None])
    np.testing.assert_allclose(found, np.repeat(expected[:, None], 16, axis=1), rtol=1e-12, atol=1e-12)
