"""Computes cross-entropies from the scores of the targets' classes alone, where all scores are large.

The loss multiplies the scores of all classes by a OneHot of the target's class and sums the products. Two passes
replace this, so that fewer values of the size of the scores are computed and none more are kept:

- `gather_scores` reads the elements that the OneHot selects, before the backward pass is added;
- `scatter_into_softmax` adds their gradients to that of the LogSoftmax instead of to zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet
from .expected_bytes import expected_bytes
from .row_axes import NotByRow, reduced_axes

MIN_SCORES_BYTES = 1 << 25
"""Minimum size of the scores whose elements are gathered."""

gathers = RuleSet()
scatters = RuleSet()


def gather_scores(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Gathers single scores in place of sums over a OneHot, for batches of about these sizes."""
    return gathers.apply(graph, sizes)


def scatter_into_softmax(step: Graph) -> Graph:
    """Adds the gradients of gathered scores to the gradient of their LogSoftmax."""
    return scatters.apply(step)


class _OneHotFactor(NamedTuple):
    """The index of a class, what the OneHot is there, and further factors that are equal for all classes."""

    class_index: Value
    number: float
    factors: tuple[Value, ...] = ()


@gathers("ReduceMean", "ReduceSum")
def gather(m: Match) -> Value | None:
    """ReduceSum(Mul(OneHot(index), scores)) -> ReduceSum(GatherElements(scores, index))"""
    (x, *axes), product = m.node.inputs, m.original_producer(m.node.inputs[0])
    if x is None or product is None or product.op != "Mul" or expected_bytes(x.type, m.context) < MIN_SCORES_BYTES:
        return None
    try:
        reduces_classes = x.rank - 1 in reduced_axes(m.node)
    except NotByRow:
        return None
    classes = x.shape[-1]
    for weights, scores in (product.inputs, product.inputs[::-1]):
        found = _one_hot(m, weights, x)
        if found is None or scores is None or scores.shape != x.shape or not reduces_classes:
            continue
        g, column = m.g, m.g.Unsqueeze(found.class_index, [-1])
        inside = g.Max(g.Min(column, classes - 1), -classes)  # a OneHot of other indices is 0
        factor = g.Mul(g.cast(g.Equal(inside, column), x.dtype), found.number / _divisor(m.node, classes))
        term = g.Mul(g.GatherElements(m.replacements.get(scores, scores), inside, axis=x.rank - 1), factor)
        for other in found.factors:
            term = g.Mul(term, m.replacements.get(other, other))
        return g.refine(g.emit(m.node.op, term, *axes, **m.node.attributes), m.node.outputs[0].shape)
    return None


def _divisor(node: Node, classes: int) -> int:
    return classes if node.op == "ReduceMean" else 1


def _one_hot(m: Match, x: Value | None, product: Value) -> _OneHotFactor | None:
    """The OneHot over the last axis that x is, possibly times factors without that axis."""
    node = m.original_producer(x)
    if node is None or x is None or x.shape != product.shape:
        return None
    if node.op == "Mul":
        for one_hot, factor in (node.inputs, node.inputs[::-1]):
            found = _one_hot(m, one_hot, product)
            if found is not None and factor is not None and factor.rank == x.rank and factor.shape[-1] == 1:
                return found._replace(factors=(*found.factors, factor))
        return None
    if node.op != "OneHot" or node.attribute("axis", -1) % x.rank != x.rank - 1:
        return None
    index, depth, values = node.inputs
    if index is None or not isinstance(depth, Constant) or not isinstance(values, Constant) or values.array[0]:
        return None
    return _OneHotFactor(m.replacements.get(index, index), float(values.array[1]))


@scatters("Sub")
def scatter(m: Match) -> Value | None:
    """Sub(s, Mul(p, ReduceSum(s))) with s = ScatterElements(zeros, index, dy) -> ScatterElements(Mul(p, -dy), index,
    dy), for one index a row"""
    summand, product = m.node.inputs[0], m.producer(m.node.inputs[1])
    node = m.producer(summand)
    if node is None or node.op != "ScatterElements" or node.attribute("reduction") != "add" or product is None:
        return None
    zeros, index, dy = node.inputs
    axis = node.attribute("axis", 0)
    if product.op != "Mul" or index is None or dy is None or index.shape[axis] != 1 or not _is_zeros(m, zeros):
        return None
    for p, total in (product.inputs, product.inputs[::-1]):
        reduction = m.producer(total)
        if reduction is None or reduction.op != "ReduceSum" or reduction.inputs[0] is not summand or p is None:
            continue
        if p.shape == m.node.outputs[0].shape and reduced_axes(reduction) == [axis]:
            g = m.g
            dx = g.ScatterElements(g.Mul(p, g.Neg(dy)), index, dy, axis=axis, reduction="add")
            return g.refine(dx, m.node.outputs[0].shape)
    return None


def _is_zeros(m: Match, x: Value | None) -> bool:
    """Whether all elements are zeros that `Builder.zeros` emits."""
    node = m.producer(x)
    if node is not None and node.op == "ConstantOfShape":
        value = node.attribute("value")
        return value is None or not any(value.raw_data)
    return isinstance(x, Constant) and not x.array.any()
