"""Sums with a multiple, such as `decay * mean + gradient`, as one operator in place of a product and a sum.

An optimizer's step is bound by how often it goes through memory: Adam's goes seven times, not ten. The operator is
one of onnxruntime's own, which not every version has (1.32 has it), so this is for a graph that runs here and now.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ...ir import Builder, Constant, Graph, Node, Value
from ...ir.cost import MICROSOFT_DOMAIN
from ...passes.canonicalize import canonicalize
from .target import Target

MIN_ROW_ELEMENTS = 16
"""Elements of a row below which the operator takes longer than the two it stands for."""
MAX_SMALL_TENSOR_ELEMENTS = 1 << 12
"""Elements of a tensor whose rows may be shorter: starting an operator takes longer than they do."""


def fuse_gated_adds(graph: Graph, target: Target) -> Graph:
    """The graph with `x + y * factor` as one operator, the factor being a number, or one for each row."""
    if not target.has_gated_add:
        return graph
    made = _GatedAddFuser(graph)
    new: dict[Value, Value] = {}
    for node in graph.nodes:
        node = node.with_inputs(None if x is None else new.get(x, x) for x in node.inputs)
        with made.g.inherit(node):
            result = made.fuse(node)
        if result is None:
            made.g.nodes.append(node)
        else:
            new[node.outputs[0]] = result
    return canonicalize(graph.with_nodes(made.g.nodes, new)) if new else graph


def gated_add(g: Builder, x: Value, y: Value, factors: Value) -> Value:
    """`x + y * factors`; x and y have the same shape [..., n], the factors [..., 1]."""
    return g.custom_op("GatedAdd", MICROSOFT_DOMAIN, [x, y, factors], x.type)


class _GatedAddFuser:
    """One walk over a graph."""

    def __init__(self, graph: Graph) -> None:
        self.g = Builder.extending(graph)
        self.g.nodes = []
        self._products: dict[Value, Node] = {}
        self._use_counts = Counter([*(x for node in graph.nodes for x in node.inputs), *graph.roots])
        self._factor_cache: dict[tuple[Any, ...], Value] = {}

    def fuse(self, node: Node) -> Value | None:
        """What stands for a node that adds a multiple or takes it off."""
        if node.op == "Mul" and not node.domain:
            self._products[node.outputs[0]] = node
        if node.op not in ("Add", "Sub") or node.domain or node.outputs[0].dtype != "float32":
            return None
        type = node.outputs[0].type
        pairs = [node.inputs] if node.op == "Sub" else [node.inputs, node.inputs[::-1]]
        for x, multiple in pairs:
            product = self._products.get(multiple) if multiple is not None else None
            if x is None or x.type != type or product is None or self._use_counts[multiple] != 1:
                continue
            for y, factor in (product.inputs, product.inputs[::-1]):
                if y is None or y.type != type or factor is None:
                    continue
                y, factor = self._merge_factors(y, factor)
                factors = self._row_factors(factor, y, negative=node.op == "Sub")
                if factors is not None:
                    return gated_add(self.g, x, y, factors)
        return None

    def _merge_factors(self, y: Value, factor: Value) -> tuple[Value, Value]:
        """The same multiple with both factors in one, where y is a multiple itself, by one factor for each row."""
        product = self._products.get(y)
        if product is None or self._use_counts[y] != 1 or not isinstance(factor, Constant) or factor.array.size != 1:
            return y, factor
        for x, other in (product.inputs, product.inputs[::-1]):
            if x is not None and other is not None and x.type == y.type and other.shape == (*y.shape[:-1], 1):
                flat = self.g.Reshape(other, [-1])  # of rank 2 it takes 50 ns an element
                return x, self.g.reshape(self.g.Mul(flat, factor.array.item()), other.shape, other)
        return y, factor

    def _row_factors(self, factor: Value, y: Value, *, negative: bool) -> Value | None:
        """One factor for each of y's rows, where it has rows and they are long enough."""
        if not y.rank or not y.type.is_static(-1):
            return None
        elements = y.type.elements
        few = isinstance(elements, int) and elements <= MAX_SMALL_TENSOR_ELEMENTS
        if y.shape[-1] < MIN_ROW_ELEMENTS and not few:
            return None
        rows = (*y.shape[:-1], 1)
        if factor.shape != rows and not (factor.type.elements == 1 and y.type.is_static()):
            return None
        same: Any = factor.array.tobytes() if isinstance(factor, Constant) else factor
        key = same, factor.shape, rows, negative
        if key not in self._factor_cache:
            self._factor_cache[key] = self._expanded_factor(factor, rows, negative=negative)
        return self._factor_cache[key]

    def _expanded_factor(self, factor: Value, rows: tuple[Any, ...], *, negative: bool) -> Value:
        if isinstance(factor, Constant):
            array = factor.array if factor.shape == rows else np.full(rows, factor.array.item(), factor.array.dtype)
            return self.g.const(-array if negative else array, factor.dtype)
        factor = self.g.Neg(factor) if negative else factor
        return factor if factor.shape == rows else self.g.Expand(self.g.reshape(factor, [1] * len(rows)), list(rows))
