"""Fuses sums with a multiple, such as `decay * mean + gradient`, into onnxruntime's operator GatedAdd.

The time of an optimizer's update is proportional to its passes over memory, and the fusion saves one pass a multiple.
Not every version of onnxruntime has the operator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir import Builder, Constant, Graph, Node, Value
from ...ir.cost import MICROSOFT_DOMAIN
from ...passes.rewrite import Match, RuleSet
from .target import Target

MIN_ROW_ELEMENTS = 16
"""Minimum length of a row, in elements. For a shorter one, Mul and Add are faster than GatedAdd."""
MAX_SMALL_TENSOR_ELEMENTS = 1 << 12
"""Elements of a tensor whose rows may be shorter: starting an operator takes longer than running it."""

gating = RuleSet()


def fuse_gated_adds(graph: Graph, target: Target) -> Graph:
    """Fuses `x + y * factor` and `x - y * factor`, where the factor is a number or has one number for each row."""
    return gating.apply(graph) if target.has_gated_add else graph


def gated_add(g: Builder, x: Value, y: Value, factors: Value) -> Value:
    """Emits `x + y * factors`; x and y have the same shape [..., n], the factors [..., 1]."""
    return g.custom_op("GatedAdd", MICROSOFT_DOMAIN, [x, y, factors], x.type)


@gating("Add", "Sub")
def fuse_gated_add(m: Match) -> Value | None:
    """Add(x, Mul(y, factor)) -> GatedAdd(x, y, factors); Sub(x, Mul(y, factor)) -> GatedAdd(x, y, -factors)"""
    type = m.node.outputs[0].type
    is_subtraction = m.node.op == "Sub"
    for x, multiple in [m.node.inputs] if is_subtraction else [m.node.inputs, m.node.inputs[::-1]]:
        product = _single_use_product(m, multiple)
        if type.dtype != "float32" or x is None or x.type != type or product is None:
            continue
        for y, factor in (product.inputs, product.inputs[::-1]):
            if y is None or y.type != type or factor is None:
                continue
            y, factor = _merge_factors(m, y, factor)
            factors = _row_factors(m, factor, y, negative=is_subtraction)
            if factors is not None:
                return gated_add(m.g, x, y, factors)
    return None


def _single_use_product(m: Match, x: Value | None) -> Node | None:
    """The Mul that computes x, if nothing else reads x."""
    node = m.producer(x)
    return node if node is not None and node.op == "Mul" and not node.domain and m.use_counts[x] == 1 else None


def _merge_factors(m: Match, y: Value, factor: Value) -> tuple[Value, Value]:
    """Merges the factors of `(y * row_factors) * number` into `row_factors * number`."""
    product = _single_use_product(m, y)
    if product is None or not isinstance(factor, Constant) or factor.array.size != 1:
        return y, factor
    for x, row_factors in (product.inputs, product.inputs[::-1]):
        if x is None or row_factors is None or x.type != y.type or row_factors.shape != (*y.shape[:-1], 1):
            continue
        flat = m.g.Reshape(row_factors, [-1])  # Mul is slower for rank 2
        return x, m.g.reshape(m.g.Mul(flat, factor.array.item()), row_factors.shape, row_factors)
    return y, factor


def _row_factors(m: Match, factor: Value, y: Value, *, negative: bool) -> Value | None:
    """One factor for each row of y; None if y has no rows, if they are short, or if the factor differs within a row."""
    if not y.rank or not y.type.is_static(-1):
        return None
    elements = y.type.elements
    is_small = isinstance(elements, int) and elements <= MAX_SMALL_TENSOR_ELEMENTS
    if y.shape[-1] < MIN_ROW_ELEMENTS and not is_small:
        return None
    shape = (*y.shape[:-1], 1)
    if factor.shape != shape and not (factor.type.elements == 1 and y.type.is_static()):
        return None
    identity: Any = factor.array.tobytes() if isinstance(factor, Constant) else factor
    key = identity, factor.shape, shape, negative
    if key not in m.cache:
        m.cache[key] = _expanded_factor(m.g, factor, shape, negative=negative)
    return m.cache[key]


def _expanded_factor(g: Builder, factor: Value, shape: tuple[Any, ...], *, negative: bool) -> Value:
    if isinstance(factor, Constant):
        array = factor.array if factor.shape == shape else np.full(shape, factor.array.item(), factor.array.dtype)
        return g.const(-array if negative else array, factor.dtype)
    factor = g.Neg(factor) if negative else factor
    return factor if factor.shape == shape else g.Expand(g.reshape(factor, [1] * len(shape)), list(shape))
