"""Checks a gradient rule: against finite differences in float64, and at given points in onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jsonnx.core.types import BATCH, TensorType
from jsonnx.gradient import GradientBuilder, gradients
from jsonnx.ir import Builder, Graph
from support.harness import check_gradients, run


class Domain(NamedTuple):
    """The interval from which an input is drawn, and points that the drawn values avoid."""

    low: float = -2.0
    high: float = 2.0
    kinks: tuple[float, ...] = ()

    def draw(self, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
        x = rng.uniform(self.low, self.high, shape)
        for kink in self.kinks:
            x = np.where(np.abs(x - kink) < 0.01, kink + 0.02, x)
        return x


REAL = Domain()
POSITIVE = Domain(0.1, 2.0)


class Operator(NamedTuple):
    """An operator, what its inputs are and their shapes without the batch: a domain, or an array that is a constant.

    Where `shapes` has fewer entries than there are domains, the last one is everyone's. A shape with None is that of a
    weight: it has no batch axis.
    """

    op: str
    inputs: tuple[Any, ...] = (REAL,)
    shapes: tuple[tuple[int | None, ...], ...] = ((2, 3),)
    attributes: dict[str, Any] = {}

    @property
    def id(self) -> str:
        return "-".join([self.op, *(f"{name}={value}" for name, value in self.attributes.items())])

    def type(self, index: int, dtype: str) -> TensorType:
        shape = self.shapes[min(index, len(self.shapes) - 1)]
        return TensorType(dtype, shape[1:] if None in shape else (BATCH, *shape))

    def graph(self, dtype: str = "float64") -> Graph:
        g = Builder(float_dtype=dtype)
        operands = [
            g.input(f"x{index}", self.type(index, dtype)) if isinstance(domain, Domain) else domain
            for index, domain in enumerate(self.inputs)
        ]
        return g.graph({"y": g.emit(self.op, *operands, **self.attributes)})

    def feeds(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Values for all inputs, for a batch of 3."""
        drawn = {}
        for index, domain in enumerate(self.inputs):
            if isinstance(domain, Domain):
                shape = [size if isinstance(size, int) else 3 for size in self.type(index, "float64").shape]
                drawn[f"x{index}"] = domain.draw(shape, rng)
        return drawn


def worst_error(operator: Operator) -> float:
    """The largest error of the gradients of all inputs, in float64, for a batch of 3."""
    feeds = operator.feeds(np.random.default_rng(0))
    return check_gradients(operator.graph(), feeds, list(feeds))


def slopes(operator: Operator, *points: Sequence[float]) -> list[np.ndarray]:
    """The gradients of the sum of the results, at these points, as onnxruntime computes them in float32."""
    graph = operator.graph("float32")
    g = GradientBuilder.extending(graph)
    y = graph.outputs["y"]
    total = g.ReduceSum(y, keepdims=0)
    found = gradients(g, g.graph({"total": total}), {total: g.const(1.0)}, graph.inputs.values())
    results = {f"d/{name}": found[value] for name, value in graph.inputs.items()}
    feeds = {
        f"x{i}": np.array(x, np.float32).reshape(-1, *graph.inputs[f"x{i}"].shape[1:]) for i, x in enumerate(points)
    }
    return list(run(g.graph(results), feeds).values())
