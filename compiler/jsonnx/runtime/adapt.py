"""States that layers learn from the training data before the first step, as Keras' `adapt` does.

Layers learn in the order of the network, each from the values that the layers before it compute from the data, with
the states that these layers have just learned. A layer keeps states that it has learned already: those of a resumed
run, or of weights that the user gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..backend import serialize, to_model_proto
from ..core.reserved_names import ADAPT_INPUT
from ..ir import with_vocabularies
from .provider_faults import runtime_failure
from .providers import create_session, resolve_provider
from .training_plan import AdaptTask

if TYPE_CHECKING:
    from ..ir import Graph
    from .batch_stream import BatchStream
    from .dataset import Dataset

ADAPT_BATCH_SIZE = 512

Arrays = Mapping[str, np.ndarray]


def adapted_states(
    tasks: tuple[AdaptTask, ...], samples: Dataset | BatchStream, initial: Arrays, current: Arrays
) -> dict[str, np.ndarray]:
    """The states that the tasks learn, without those of layers whose current states differ from the initial ones."""
    states: dict[str, np.ndarray] = {}
    for task in tasks:
        layer_states = [name for name in current if name.startswith(f"{task.layer}/")]
        if all(np.array_equal(initial[name], current[name]) for name in layer_states):
            learned = task.adapt(_adapt_inputs(task.graph, samples, {**current, **states}))
            for name, array in learned.items():
                variable = f"{task.layer}/{name}"
                states[variable] = np.asarray(array, current[variable].dtype)
    return states


def _adapt_inputs(graph: Graph, samples: Dataset | BatchStream, weights: Arrays) -> Iterator[np.ndarray]:
    """Yields the values that a layer learns from, batch by batch."""
    graph = with_vocabularies(graph, weights)
    session = create_session(serialize(to_model_proto(graph)), resolve_provider("cpu"))
    session_inputs = {value.name for value in session.get_inputs()}
    fixed_feeds = {name: weights[name] for name in (*graph.parameters, *graph.states) if name in session_inputs}
    for batch, _ in samples.batches(ADAPT_BATCH_SIZE):
        feeds = fixed_feeds | {name: batch[name] for name in graph.inputs if name in session_inputs}
        try:
            results = session.run([ADAPT_INPUT], feeds)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise runtime_failure(error) from error
        yield results[0]
