"""Quantization: the gradient passes straight through the rounding.

The integers of a quantized tensor stand for real numbers, so their cotangents are real. Scales and zero points get no
gradient.
"""

from __future__ import annotations

from ..registry import ON_QUANTIZED, QUANTIZERS, Builder, Node, Value, vjp
from .elementwise import heaviside

QUANTIZERS.add("QuantizeLinear")
ON_QUANTIZED.update(("Cast", "Concat", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Slice"))
ON_QUANTIZED.update(("Squeeze", "Transpose", "Unsqueeze"))


@vjp("DequantizeLinear")
def dequantize_linear(g: Builder, node: Node, dy: Value):
    """y = (q - zero_point) * scale, so dq = dy * scale."""
    return g.Mul(dy, broadcast_parameter(g, node, 1, dy.dtype))


@vjp("QuantizeLinear")
def quantize_linear(g: Builder, node: Node, dy: Value):
    """q = saturate(round(x / scale) + zero_point), so dx = dy / scale where q is not saturated, else 0."""
    x, q = node.inputs[0], node.outputs[0]
    low, high = integer_bounds(q.dtype)
    per_unit = g.Reciprocal(broadcast_parameter(g, node, 1, x.dtype))
    center = (low + high) / 2
    shift = -center if node.input(2) is None else g.Sub(broadcast_parameter(g, node, 2, x.dtype), center)
    distance = g.Abs(g.Add(g.Mul(x, per_unit), shift))
    return g.Mul(g.Mul(g.cast(dy, x.dtype), per_unit), heaviside(g, g.Sub((high - low + 1) / 2, distance)))


def integer_bounds(dtype: str) -> tuple[int, int]:
    """The least and the greatest number of an integer type. Raises NotImplementedError for other types."""
    name, bits = dtype.rstrip("0123456789"), dtype.lstrip("uint")
    if name == "int":
        return -(1 << (int(bits) - 1)), (1 << (int(bits) - 1)) - 1
    if name == "uint":
        return 0, (1 << int(bits)) - 1
    raise NotImplementedError(f"to {dtype}")


def broadcast_parameter(g: Builder, node: Node, index: int, dtype: str) -> Value:
    """The scale or the zero point of a node in a shape that broadcasts to that of the tensor: one number, one for each
    slice along an axis, or one for each block of an axis."""
    x, parameter = node.inputs[0], node.inputs[index]
    block_size = node.attribute("block_size", 0)
    value = g.cast(parameter, dtype)
    if block_size:
        axis = node.attribute("axis", 1) % x.rank
        if not x.type.is_static(axis):
            raise NotImplementedError("in blocks of a symbolic axis")
        return g.Gather(value, [i // block_size for i in range(x.shape[axis])], axis=axis)
    if value.rank == 0 or value.type.elements == 1:
        return value
    axis = node.attribute("axis", 1) % x.rank
    return g.reshape(value, [*value.shape, *[1] * (x.rank - axis - 1)])
