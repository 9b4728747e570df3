"""Optimizers: a step by computed gradients equals a step by central differences of the loss."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from campaigns.random_models.reference import Reference
from campaigns.random_models.values import weights_for
from jsonnx.core.reserved_names import LEARNING_RATE
from jsonnx.core.types import TensorType
from jsonnx.gradient.training_step import training_step
from jsonnx.ir import Builder, Graph
from jsonnx.training.optimizers.optimizers import OPTIMIZERS
from unit.training import cases
from unit.training.recorded import read
from unit.training.test_optimizers import step_graph

from .measure import STEP, Check, Subject

SMALLEST = 1e-6
"""Length of an update below which its error is absolute."""


class Steps:
    """All checks of an optimizer, one for each weight."""

    def __init__(self, spec: Any) -> None:
        forward = loss_graph()
        self.subject = Subject("optimizers", cases.name(spec), partial(_as_is, forward), _none, _names)
        self.loss = Reference(forward)
        self.step = Reference(training_step(forward, read(OPTIMIZERS, spec)))
        self.update = Reference(step_graph(spec))

    def at(self, draw: int) -> Iterator[Check]:
        rng = np.random.default_rng([draw, 1])
        feeds = weights_for(self.step.graph, rng) | {"x": rng.normal(size=(4, 3)), LEARNING_RATE: np.array(0.01)}
        feeds = {name: v.astype(np.float64) if v.dtype.kind == "f" else v for name, v in feeds.items()}
        found = self.step(feeds)
        wanted = self.update(
            feeds | {f"d/{weight}": self._differences(f"{weight}/w", feeds) for weight in cases.WEIGHT_SHAPES}
        )
        for weight in cases.WEIGHT_SHAPES:
            name = f"{weight}/w"
            length = float(np.linalg.norm(wanted[f"next/{name}"] - feeds[name]))
            error = np.abs(found[f"next/{name}"] - wanted[f"next/{name}"]).max() / max(length, SMALLEST)
            yield Check(self.subject, name, float(error))

    def _differences(self, name: str, feeds: dict[str, np.ndarray]) -> np.ndarray:
        slopes = np.zeros_like(feeds[name])
        for place in np.ndindex(slopes.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = feeds[name].copy()
                moved[place] += step
                ends.append(float(self.loss(feeds | {name: moved})["loss"]))
            slopes[place] = (ends[0] - ends[1]) / (2 * STEP)
        return slopes


def loss_graph() -> Graph:
    g = Builder(training=True)
    weights = []
    for weight, shape in cases.WEIGHT_SHAPES.items():
        with g.scope(weight):
            weights.append(g.param("w", shape, "zeros"))
    x = g.input("x", TensorType("float32", (4, 3)))
    y = g.Sin(g.Add(g.MatMul(x, weights[0]), weights[1]))
    return g.graph({"loss": g.ReduceSum(g.Mul(y, g.Add(y, 1.0)), keepdims=0)})


def _as_is(graph: Graph) -> Graph:
    return graph


def _none(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {}


def _names(graph: Graph) -> list[str]:
    return list(cases.WEIGHT_SHAPES)
