"""One check: the gradient of one tensor at one point, against central differences in float64.

Along a random direction through all elements, and along a few of the axes. The error is relative to the gradient's norm
(to 0.01, where it is smaller). Where differences of two widths do not agree, the point lies at a kink, or so near a
pole that it says nothing of the rule: another one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from campaigns.random_models.reference import Reference
from jsonnx.ir import Graph, Value
from jsonnx.passes.canonicalize import prune
from support.harness import with_gradients

STEP = 1e-5
AXES = 3
"""Elements that are moved alone, in addition to a direction through all elements."""
SMALLEST = 0.01
KINK = 1e-5
"""Relative difference between the slopes of two widths above which a point counts as a kink."""
TRIES = 5

Arrays = Mapping[str, np.ndarray]
Held = Mapping[Value, np.ndarray]


@dataclass(frozen=True)
class Subject:
    """A graph to differentiate: its family, how to draw its feeds, and the tensors to differentiate by."""

    family: str
    name: str
    graph: Callable[[], Graph]
    feeds: Callable[[Graph, np.random.Generator], Arrays]
    wanted: Callable[[Graph], list[str]]


class Check(NamedTuple):
    """A tensor, and the relative error of its gradient; None if all draws fell on kinks."""

    subject: Subject
    tensor: str
    error: float | None


class Checks:
    """All checks of a subject, with one graph."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        graph = subject.graph()
        self.graph, self.wanted = graph, subject.wanted(graph)
        if self.wanted:
            whole = with_gradients(graph, self.wanted)
            self.whole = Reference(whole)
            self.loss = Reference(_alone(whole))

    def at(self, draw: int) -> Iterator[Check]:
        """One draw: a check for each tensor."""
        for index, tensor in enumerate(self.wanted):
            yield Check(self.subject, tensor, self._error(tensor, [draw, index]))

    def _error(self, tensor: str, seed: list[int]) -> float | None:
        for attempt in range(TRIES):
            rng = np.random.default_rng([*seed, attempt])
            feeds = {name: np.asarray(v) for name, v in self.subject.feeds(self.graph, rng).items()}
            found = self._error_at(tensor, feeds, rng)
            if found is not None:
                return found
        return None

    def _error_at(self, tensor: str, feeds: dict[str, np.ndarray], rng: np.random.Generator) -> float | None:
        gradient = self.whole(feeds).get(f"d/{tensor}")
        if gradient is None:  # nothing that is real depends on it, and the differences must say so
            gradient = np.zeros(feeds[tensor].shape)
        if gradient.shape != feeds[tensor].shape:
            return float("inf")
        scale = max(float(np.sqrt((gradient**2).sum())), SMALLEST)
        worst, held = 0.0, self.loss.detached(feeds)
        for direction in _directions(gradient.shape, rng):
            near, wide = (self._slope(feeds, held, tensor, direction * step, step) for step in (STEP, 2 * STEP))
            if not abs(near - wide) <= KINK * scale:
                return None
            worst = max(worst, abs(near - float((gradient * direction).sum())) / scale)
        return worst if np.isfinite(worst) else float("inf")

    def _slope(self, feeds: dict[str, np.ndarray], held: Held, tensor: str, way: np.ndarray, step: float) -> float:
        ends = [float(self.loss(feeds | {tensor: feeds[tensor] + move}, held)["loss"]) for move in (way, -way)]
        return (ends[0] - ends[1]) / (2 * step)


def _alone(whole: Graph) -> Graph:
    """The loss without gradients."""
    return prune(replace(whole, outputs={"loss": whole.outputs["loss"]}, updates={}, losses=()))


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[np.ndarray]:
    direction = rng.normal(size=shape)
    yield direction / max(float(np.sqrt((direction**2).sum())), 1e-9)
    for place in rng.permutation(direction.size)[:AXES]:
        axis = np.zeros(direction.size)
        axis[place] = 1.0
        yield axis.reshape(shape)
