"""Writes ConstantOfShape by Expand, and Size by Shape."""

from __future__ import annotations

from ...ir import Constant, Value
from ...ir.dtypes import tensor_array
from ..rewrite import Match
from .rules import form, forms, operand

MAX_CONSTANT_ELEMENTS = 1024
"""Elements of the largest tensor of one number that is stored in the file."""


@form("ConstantOfShape")
def zeros_as_expand(m: Match) -> Value:
    """ConstantOfShape(shape) -> Expand(number, shape); a small tensor of a constant shape -> a constant"""
    g, shape, result = m.g, operand(m), m.node.outputs[0]
    fill = m.node.attribute("value")
    number = g.const(0 if fill is None else tensor_array(fill).reshape(()), result.dtype)
    elements = result.type.elements
    if isinstance(shape, Constant) and isinstance(elements, int) and elements <= MAX_CONSTANT_ELEMENTS:
        return g.filled(float(number.array), [int(size) for size in shape.array], result.dtype)
    return g.refine(g.Expand(number, shape), result.shape)


@forms("Size")
def size_as_product(m: Match) -> Value | None:
    """Size(x) -> ReduceProd(Shape(x)): where Size has no kernel, onnxruntime copies x to the CPU"""
    if not m.context.lacks_kernel(m.node):
        return None
    product: Value = m.g.ReduceProd(m.g.Shape(operand(m)), keepdims=0)
    return product
