"""Weights and products in float16."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from ...ir import Constant, Graph, Node, Value
from ..canonicalize import canonicalize
from ..rewrite import Match, RuleSet
from ..training_steps.mixed_precision import MAX_FLOAT16, with_mixed_precision
from .weight_placement import MIN_STORED_ELEMENTS

casting = RuleSet()
storage = RuleSet()


def with_half_precision(
    graph: Graph, is_normalization: Callable[[Node], bool], float_layers: Collection[str] = ()
) -> Graph:
    """A graph with constant weights whose products are computed in float16, and whose weights are stored in it.

    Inputs and outputs keep their types. Normalizations, softmax, sums of many numbers and the `float_layers` are
    computed in float32; weights beyond the range of float16 stay in float32.
    """
    narrowed = with_mixed_precision(graph, "float16", is_normalization, lambda node: node.scope in float_layers)
    return canonicalize(storage.apply(casting.apply(canonicalize(narrowed)), float_layers))


@casting("Cast")
def cast_constant(m: Match) -> Value | None:
    """Cast(constant of float32, float16) -> constant of float16"""
    x, (y,) = m.node.inputs[0], m.node.outputs
    return _narrowed(x) if isinstance(x, Constant) and x.dtype == "float32" and y.dtype == "float16" else None


@storage("Gather")
def gather_from_narrow_table(m: Match) -> Value | None:
    """Gather(table, i) -> Cast(Gather(table of float16, i), float32)"""
    table, indices = m.node.inputs[:2]
    if not _is_stored(table, m):
        return None
    rows = m.g.Gather(_narrowed(table), indices, **m.node.attributes)  # type: ignore[arg-type]
    return m.g.refine(m.g.cast(rows, "float32"), m.node.outputs[0].shape)


@storage("LSTM", "GRU", "RNN", "Einsum", "MatMul", "Gemm", "Conv", "ConvTranspose")
def store_narrow_weights(m: Match) -> Node | None:
    """op(x, weight) -> op(x, Cast(weight of float16, float32))"""
    if not any(_is_stored(x, m) for x in m.node.inputs):
        return None
    return m.node.with_inputs(m.g.cast(_narrowed(x), "float32") if _is_stored(x, m) else x for x in m.node.inputs)  # type: ignore[arg-type]


def _is_stored(x: Value | None, m: Match) -> bool:
    """Whether an operand is a weight of float32 that can be stored in float16."""
    if not isinstance(x, Constant) or x.dtype != "float32" or x.array.size < MIN_STORED_ELEMENTS:
        return False
    return m.node.scope not in m.context and bool(np.abs(x.array).max() <= MAX_FLOAT16)


def _narrowed(x: Constant) -> Constant:
    array = x.array.astype(np.float16)
    return Constant(x.type.with_dtype("float16"), array, x.name)
