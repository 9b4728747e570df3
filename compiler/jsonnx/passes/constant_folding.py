"""Puts weights in the place of parameters and states, and computes what depends on them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.numpy_types import numpy_dtype
from ..ir import Constant, Graph, Node, Parameter, State, Value, with_vocabularies

MAX_FOLDED_ELEMENTS = 1 << 26
"""Elements above which a result is not computed here but left to the runtime."""


def bind_weights(graph: Graph, weights: Mapping[str, np.ndarray]) -> Graph:
    """The graph with weights as constants, named as they are; nothing depends on a parameter any more.

    Raises NotLearned where tokens are still to be learned from data.
    """
    graph = with_vocabularies(graph, weights)
    weight_values: list[Parameter | State] = [*graph.parameters.values(), *graph.states.values()]
    new: dict[Value, Value] = {
        value: Constant(value.type, np.asarray(weights[value.name], numpy_dtype(value.dtype)), value.name)
        for value in weight_values
    }
    nodes = [node.with_inputs(_replaced_inputs(node, new)) for node in graph.nodes]
    return fold_constants(replace(graph.with_nodes(nodes, new), parameters={}, states={}))


def fold_constants(graph: Graph) -> Graph:
    """Computes every node whose inputs are all known."""
    new: dict[Value, Value] = {}
    kept = []
    for node in graph.nodes:
        inputs = _replaced_inputs(node, new)
        evaluate = EVALUATORS.get(node.op)
        known = [x for x in inputs if x is not None]
        small = all(isinstance(x, Constant) and x.array.size <= MAX_FOLDED_ELEMENTS for x in known)
        if evaluate is None or not known or not small:
            kept.append(node.with_inputs(inputs))
            continue
        arrays = [None if x is None else x.array for x in inputs]  # type: ignore[attr-defined]
        results = evaluate(node, *arrays)
        names = {x.name for x in known if isinstance(x, Constant) and x.name}
        name = names.pop() if len(names) == 1 else ""
        for output, array in zip(node.outputs, results if isinstance(results, list) else [results], strict=True):
            new[output] = Constant(output.type, np.asarray(array, numpy_dtype(output.dtype)), name)
    return graph.with_nodes(kept, new)


def _replaced_inputs(node: Node, replacements: Mapping[Value, Value]) -> tuple[Value | None, ...]:
    return tuple(None if x is None else replacements.get(x, x) for x in node.inputs)


def _as_ints(axes: np.ndarray) -> tuple[int, ...]:
    return tuple(int(axis) for axis in axes)


def _unsqueeze(node: Node, x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(x, _as_ints(axes))


def _squeeze(node: Node, x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.squeeze(x, None if axes is None else _as_ints(axes))


def _split(node: Node, x: np.ndarray, split: np.ndarray | None = None) -> list[np.ndarray]:
    axis = node.attribute("axis", 0)
    return np.split(x, len(node.outputs) if split is None else np.cumsum(split)[:-1], axis)


def _slice(node: Node, x: np.ndarray, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> np.ndarray:
    index = [slice(None)] * x.ndim
    axes = range(len(starts)) if axes is None else axes
    for axis, start, end, step in zip(
        axes, starts, ends, steps if steps is not None else [1] * len(starts), strict=True
    ):
        before_first = step < 0 and end < -x.shape[axis]
        index[axis] = slice(int(start), None if before_first else int(end), int(step))
    return x[tuple(index)]


def _elementwise_evaluator(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda node, *arrays: function(*arrays)


EVALUATORS: dict[str, Callable[..., Any]] = {
    "Add": _elementwise_evaluator(np.add),
    "Sub": _elementwise_evaluator(np.subtract),
    "Mul": _elementwise_evaluator(np.multiply),
    "Div": _elementwise_evaluator(np.divide),
    "Neg": _elementwise_evaluator(np.negative),
    "Sqrt": _elementwise_evaluator(np.sqrt),
    "Max": _elementwise_evaluator(np.maximum),
    "Reciprocal": _elementwise_evaluator(np.reciprocal),
    "Transpose": lambda node, x: np.transpose(x, node.attribute("perm")),
    "Reshape": lambda node, x, shape: x.reshape(_as_ints(shape)),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Concat": lambda node, *arrays: np.concatenate(arrays, node.attribute("axis")),
    "Gather": lambda node, x, indices: np.take(x, indices, node.attribute("axis", 0)),
    "Split": _split,
    "Slice": _slice,
}
"""How an operator is computed here. Only what turns weights into the form that another operator wants."""
