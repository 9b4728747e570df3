"""What layers learn from the training data before the first step: Keras' `adapt`, done by itself.

Each layer learns from what the part of the network before it makes of the data, in the order of the network: so one
that stands behind another sees what that has learned. What is learned already stays: weights that were given, a run
that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..backend import emit, serialize
from ..ir import settled
from .providers import create_session, resolve
from .session import runtime_failure
from .training_plan import EXAMINED, Lesson

if TYPE_CHECKING:
    from ..ir import Graph
    from .dataset import Samples

BATCH = 512


Arrays = Mapping[str, np.ndarray]


def adapted(lessons: tuple[Lesson, ...], samples: Samples, start: Arrays, now: Arrays) -> dict[str, np.ndarray]:
    """The states that the lessons change; layers whose states are no more what they are at the `start` are left out."""
    found: dict[str, np.ndarray] = {}
    for lesson in lessons:
        own = [name for name in now if name.startswith(f"{lesson.layer}/")]
        if all(np.array_equal(start[name], now[name]) for name in own):
            learned = lesson.learn(_examined(lesson.graph, samples, {**now, **found}))
            states = {f"{lesson.layer}/{name}": array for name, array in learned.items()}
            found |= {name: np.asarray(array, now[name].dtype) for name, array in states.items()}
    return found


def _examined(graph: Graph, samples: Samples, weights: Arrays) -> list[np.ndarray]:
    graph = settled(graph, weights)
    session = create_session(serialize(emit(graph)), resolve("cpu"))
    known = {value.name for value in session.get_inputs()}
    fixed = {name: weights[name] for name in (*graph.parameters, *graph.states) if name in known}
    results = []
    for start in range(0, len(samples), BATCH):
        fed = samples.take(slice(start, start + BATCH))
        try:
            results += session.run([EXAMINED], fixed | {name: fed[name] for name in graph.inputs if name in known})
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise runtime_failure(error) from error
    return results
