"""States that layers learn from the training data before the first step, as Keras' `adapt` does.

Layers learn in the order of the network, each from the values that the layers before it compute from the data, with
the states that these layers have just learned. A layer keeps states that it has learned already: those of a resumed
run, or of weights that the user gave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...backend import serialize, to_model_proto
from ...core.diagnostics import CompileError, Diagnostic
from ...core.reserved_names import ADAPT_INPUT
from ...ir import with_vocabularies
from ..providers.provider_errors import runtime_failure
from ..providers.providers import create_session, resolve_provider
from ..providers.random import InferenceRandoms
from ..training_plan import AdaptTask

if TYPE_CHECKING:
    from ...data.samples.batch_stream import BatchStream
    from ...data.samples.dataset import Dataset
    from ...ir import Graph

ADAPT_BATCH_SIZE = 512
MAX_LISTED_FEATURES = 20
"""Features that a message lists."""

Arrays = Mapping[str, np.ndarray]


def adapted_states(
    tasks: tuple[AdaptTask, ...], samples: Dataset | BatchStream, initial: Arrays, current: Arrays, seed: int
) -> dict[str, np.ndarray]:
    """The states that the tasks learn, without states that differ from their initial values.

    `seed` is that of random numbers before the layers that learn.
    """
    states: dict[str, np.ndarray] = {}
    for task in tasks:
        layer_states = [name for name in current if name.startswith(f"{task.layer}/")]
        if all(np.array_equal(initial[name], current[name]) for name in layer_states):
            learned = task.adapt(_adapt_inputs(task.graph, samples, {**current, **states}, seed))
            for name, array in learned.items():
                variable = f"{task.layer}/{name}"
                states[variable] = np.asarray(array, current[variable].dtype)
                _require_finite(states[variable], task.layer, name)
    return states


def _require_finite(array: np.ndarray, layer: str, name: str) -> None:
    """Raises CompileError if a layer has learned numbers that are not finite."""
    bad = np.argwhere(~np.isfinite(array)) if array.dtype.kind == "f" else np.zeros((0, 0))
    if len(bad):
        features = ", ".join(str(index[-1]) for index in bad.tolist()[:MAX_LISTED_FEATURES] if index)
        where = f" for the feature {features}" if features and len(bad) == 1 else f" for the features {features}"
        message = f"{layer!r} learns a {name} that is not finite" + (where if features else "")
        help = "remove columns that have no values in the training data, and layers before it that compute NaN"
        raise CompileError([Diagnostic("not-finite", message, help=help)])


def _adapt_inputs(graph: Graph, samples: Dataset | BatchStream, weights: Arrays, seed: int) -> Iterator[np.ndarray]:
    """Yields the values that a layer learns from, batch by batch."""
    graph = with_vocabularies(graph, weights)
    session = create_session(serialize(to_model_proto(graph)), resolve_provider("cpu"))
    session_inputs = {value.name for value in session.get_inputs()}
    fixed_feeds = {name: weights[name] for name in (*graph.parameters, *graph.states) if name in session_inputs}
    types = {name: value.type for name, value in graph.inputs.items()}
    randoms = InferenceRandoms.of(replace(graph, randoms=graph.read_randoms), seed)
    for batch, _ in samples.batches(ADAPT_BATCH_SIZE):
        fed = randoms.fed(batch, types)
        feeds = fixed_feeds | {name: fed[name] for name in (*graph.inputs, *graph.randoms) if name in session_inputs}
        try:
            results = session.run([ADAPT_INPUT], feeds)
        except Exception as error:  # onnxruntime's exceptions have no base class of their own
            raise runtime_failure(error) from error
        yield results[0]
