"""Moves booleans as numbers where the target moves only numbers."""

from __future__ import annotations

from dataclasses import replace

from ...ir import Value
from ..rewrite import Match
from .rules import form, operand

NUMBER_TYPES = ("int32", "float32")
"""Element types in which booleans are moved, in the order in which they are tried."""


@form("Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Reshape", "Slice", "Squeeze", "Tile")
@form("Transpose", "Unsqueeze")
def booleans_as_numbers(m: Match) -> Value | None:
    """Reshape(x) of booleans -> Cast(Reshape(Cast(x, int32)), bool)"""
    if operand(m).dtype != "bool":
        return None
    for dtype in NUMBER_TYPES:
        inputs = [x if x is None or x.dtype != "bool" else Value(x.type.with_dtype(dtype)) for x in m.node.inputs]
        moved = Value(m.node.outputs[0].type.with_dtype(dtype))
        if not m.context.lacks_kernel(replace(m.node, inputs=tuple(inputs), outputs=(moved,))):
            operands = [x if x is None or x.dtype != "bool" else m.g.cast(x, dtype) for x in m.node.inputs]
            numbers = m.g.emit(m.node.op, *operands, **m.node.attributes)
            return m.g.cast(m.g.refine(numbers, m.node.outputs[0].shape), "bool")
    return None
