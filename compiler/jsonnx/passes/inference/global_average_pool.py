"""Replaces means over all spatial axes by GlobalAveragePool."""

from __future__ import annotations

from dataclasses import replace

from ...core.types import TensorType
from ...ir import Constant, Graph, Node, Value
from ..rewrite import Match, RuleSet

pooling = RuleSet(cleanup=None)


def use_global_average_pool(graph: Graph) -> Graph:
    """Replaces means over all spatial axes that keep these axes, or whose only reader restores them."""
    return pooling.apply(graph)


@pooling("ReduceMean")
def mean_as_global_average_pool(m: Match) -> Node | None:
    """ReduceMean(x) -> GlobalAveragePool(x); Reshape(ReduceMean(x)) -> GlobalAveragePool(x)"""
    mean_type = _global_mean_type(m.node)
    if mean_type is None:
        return None
    outputs, reader = m.node.outputs, m.single_readers.get(m.node.outputs[0])
    if reader is not None and reader.op in ("Reshape", "Unsqueeze") and reader.outputs[0].type == mean_type:
        outputs = (Value(mean_type),)
        m.replacements[reader.outputs[0]] = outputs[0]
    elif not m.node.attribute("keepdims", 1):
        return None
    return replace(m.node, op="GlobalAveragePool", inputs=m.node.inputs[:1], outputs=outputs, attributes={})


def _global_mean_type(node: Node) -> TensorType | None:
    """The type of a mean over all axes but batch and channels, if it keeps them; None for any other mean."""
    x, axes = node.inputs[0], node.input(1)
    if x is None or x.dtype != "float32" or not isinstance(axes, Constant) or x.rank < 3:
        return None
    if sorted(int(axis) % x.rank for axis in axes.array) != list(range(2, x.rank)):
        return None
    return x.type.with_shape((*x.shape[:2], *[1] * (x.rank - 2)))
