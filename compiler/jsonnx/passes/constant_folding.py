"""Replaces parameters and states by constant weights, and computes the nodes that depend only on constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..core.numpy_types import numpy_dtype
from ..ir import Constant, Graph, Node, Parameter, State, Value, with_vocabularies
from .canonicalize import with_replaced_inputs
from .rewrite import Match, RuleSet

MAX_FOLDED_ELEMENTS = 1 << 26
"""Maximum size of an operand or a result of a folded node, in elements. Other nodes are left to the runtime."""

MAX_BROADCAST_ELEMENTS = 1 << 20
"""Maximum size of a result that is larger than its operands, in elements: the file contains the result."""

MIN_SHARED_ELEMENTS = 1 << 12
"""Minimum size of a weight, in elements, that is stored in one form only if several nodes read it, such as a table of
embeddings whose transpose computes the scores of tokens. A smaller one costs less than an operator."""

folding = RuleSet(cleanup=None)


def bind_weights(graph: Graph, weights: Mapping[str, np.ndarray]) -> Graph:
    """The graph with constants in place of parameters and states, under their names, and folds constants.

    Raises VocabularyNotLearned if a vocabulary has yet to be learned from data.
    """
    graph = with_vocabularies(graph, weights)
    bound = _with_constants(graph, [*graph.parameters.values(), *graph.states.values()], weights)
    return fold_constants(replace(bound, parameters={}, states={}))


def bind_states(graph: Graph, arrays: Mapping[str, np.ndarray]) -> Graph:
    """The graph with constants in place of the states that have an array."""
    states = {name: state for name, state in graph.states.items() if name not in arrays}
    bound = _with_constants(graph, [state for name, state in graph.states.items() if name in arrays], arrays)
    return replace(bound, states=states)


def _with_constants(graph: Graph, variables: Iterable[Parameter | State], arrays: Mapping[str, np.ndarray]) -> Graph:
    constants: dict[Value, Value] = {
        variable: Constant(variable.type, np.asarray(arrays[variable.name], numpy_dtype(variable.dtype)), variable.name)
        for variable in variables
    }
    nodes = [with_replaced_inputs(node, constants) for node in graph.nodes]
    return graph.with_nodes(nodes, constants)


def fold_constants(graph: Graph) -> Graph:
    """Computes every node whose inputs are all constant and not too large."""
    return folding.apply(graph)


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
"""NumPy functions of the operators that bring weights into the shape that other operators take."""


def _known_elements(x: Value) -> int:
    return prod(size for size in x.shape if isinstance(size, int))


def _is_small(result: Value, operand_elements: int) -> bool:
    """Whether a result may be computed: two small operands, such as rows and columns of a causal mask, can be broadcast
    to a large one."""
    return _known_elements(result) <= min(MAX_FOLDED_ELEMENTS, max(MAX_BROADCAST_ELEMENTS, operand_elements))


def _copies_shared_weight(m: Match, constants: Iterable[Constant]) -> bool:
    """Whether the result is another form of a large weight that other nodes read, too."""
    elements = max(map(_known_elements, m.node.outputs))
    return any(x.name and MIN_SHARED_ELEMENTS <= x.array.size <= elements and m.use_counts[x] > 1 for x in constants)


@folding(*EVALUATORS)
def fold_node(m: Match) -> list[Constant] | None:
    """op(constants) -> constants; results that depend on a single weight keep its name"""
    inputs = [x for x in m.node.inputs if x is not None]
    constants = [x for x in inputs if isinstance(x, Constant) and x.array.size <= MAX_FOLDED_ELEMENTS]
    operand_elements = sum(x.array.size for x in constants)
    is_small = all(_is_small(output, operand_elements) for output in m.node.outputs)
    if not inputs or len(constants) < len(inputs) or not is_small or _copies_shared_weight(m, constants):
        return None
    arrays = [x.array if isinstance(x, Constant) else None for x in m.node.inputs]
    results = EVALUATORS[m.node.op](m.node, *arrays)
    names = {x.name for x in constants if x.name}
    name = names.pop() if len(names) == 1 else ""
    folded = [
        Constant(output.type, np.asarray(array, numpy_dtype(output.dtype)), name)
        for output, array in zip(m.node.outputs, results if isinstance(results, list) else [results], strict=True)
    ]
    for output, constant in zip(m.node.outputs, folded, strict=True):
        m.use_counts[constant] = m.use_counts[output]
    return folded
