"""What onnxruntime 1.32 runs on integers on the CPU, as observed in the models that it optimized."""

from __future__ import annotations

from ...ir import Constant, Node

INTEGER_LINEAR_OPS = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators with weights that have a kernel for 8-bit operands. A Conv needs a result of 8 bits, too."""

INTEGER_UNARY_OPS = frozenset({"AveragePool", "GlobalAveragePool", "LeakyRelu", "ReduceMean", "Sigmoid"})
"""Operators that have a kernel from 8 to 8 bits; a mean over all spatial axes is a GlobalAveragePool."""

INTEGER_BINARY_OPS = frozenset({"Add", "Mul"})

MOVING_OPS = frozenset(
    [
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Pad",
        "ReduceMax",
        "Reshape",
        "Resize",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""Operators whose results have only elements of the first operand, and zeros: their range is the operand's."""

FUSED_ACTIVATIONS = frozenset({"Clip", "Relu"})
"""Activations that the rounding behind them includes, since the range of the rounding ends where they cut off."""

AFFINE_OPS = frozenset({"Add", "Div", "Mul", "Sub"})


def moves_elements(node: Node) -> bool:
    """Whether the result has only elements of the first operand, apart from zeros."""
    if node.domain:
        return False
    if node.op == "Resize":
        return bool(node.attribute("mode", "nearest") == "nearest")
    if node.op == "Pad":
        value = node.input(2)
        is_zero = value is None or (isinstance(value, Constant) and not value.array.any())
        return is_zero and bool(node.attribute("mode", "constant") == "constant")
    return node.op in MOVING_OPS
