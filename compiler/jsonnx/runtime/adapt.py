"""What layers learn from the training data before the first step: Keras' `adapt`, done by itself.

Each layer learns from what the part of the network before it makes of the data, in the order of the network: so one
that stands behind another sees what that has learned. What is learned already stays: weights that were given, a run
that goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..backend import serialize, to_model_proto
from ..core.reserved_names import ADAPT_INPUT
from ..ir import with_vocabularies
from .providers import create_session, resolve_provider
from .session import runtime_failure
from .training_plan import AdaptTask

if TYPE_CHECKING:
    from ..ir import Graph
    from .dataset import Dataset

ADAPT_BATCH_SIZE = 512


Arrays = Mapping[str, np.ndarray]


def adapted_states(
    tasks: tuple[AdaptTask, ...], samples: Dataset, initial: Arrays, current: Arrays
) -> dict[str, np.ndarray]:
    """The states that the lessons change; layers whose states are no more what they are at the `initial` are left out."""
    found: dict[str, np.ndarray] = {}
    for lesson in tasks:
        own = [name for name in current if name.startswith(f"{lesson.layer}/")]
        if all(np.array_equal(initial[name], current[name]) for name in own):
            learned = lesson.adapt(_adapt_inputs(lesson.graph, samples, {**current, **found}))
            states = {f"{lesson.layer}/{name}": array for name, array in learned.items()}
            found |= {name: np.asarray(array, current[name].dtype) for name, array in states.items()}
    return found


def _adapt_inputs(graph: Graph, samples: Dataset, weights: Arrays) -> list[np.ndarray]:
    graph = with_vocabularies(graph, weights)
    session = create_session(serialize(to_model_proto(graph)), resolve_provider("cpu"))
    known = {value.name for value in session.get_inputs()}
    fixed = {name: weights[name] for name in (*graph.parameters, *graph.states) if name in known}
    results = []
    for start in range(0, len(samples), ADAPT_BATCH_SIZE):
        fed = samples.take(slice(start, start + ADAPT_BATCH_SIZE))
        try:
            results += session.run([ADAPT_INPUT], fixed | {name: fed[name] for name in graph.inputs if name in known})
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise runtime_failure(error) from error
    return results
