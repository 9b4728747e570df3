"""Linear operators with constant weights, and their weights after a scale and a shift of the operand or the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from ...ir.dtypes import to_contiguous


@dataclass(frozen=True, eq=False)
class LinearOp:
    """A node `y = x * kernel + bias`, with the axis of channels in x and y and the kernel's axis of y's channels."""

    node: Node
    x: Value
    kernel: Constant
    bias: Constant | None
    channel_axis: int
    filter_axis: int

    @property
    def has_padding(self) -> bool:
        """Whether the operator pads x with zeros."""
        return any(self.node.attribute("pads") or [0]) or self.node.attribute("auto_pad", "NOTSET") != "NOTSET"

    @property
    def can_take_bias(self) -> bool:
        return self.node.op != "MatMul" or self.x.rank == 2


@dataclass(frozen=True, eq=False)
class ReweightedOp:
    """A linear operator with other weights, which include a scale and, if `includes_shift`, a shift."""

    original: LinearOp
    kernel: np.ndarray
    bias: np.ndarray | None
    includes_shift: bool

    def node(self, outputs: Sequence[Value], x: Value | None = None, name: str = "") -> Node:
        """The node with these outputs, reading x if given; `name` is the name of a bias that the original lacks."""
        linear = self.original
        op = "Gemm" if linear.node.op == "MatMul" and self.bias is not None else linear.node.op
        weights = [replace_constant(self.kernel, linear.kernel)]
        if self.bias is not None:
            bias = named_constant(self.bias, linear.kernel.dtype, name or f"{linear.node.scope}/bias{FOLDED_SUFFIX}")
            weights.append(bias if linear.bias is None else replace_constant(self.bias, linear.bias))
        return replace(linear.node, op=op, inputs=(x or linear.x, *weights), outputs=tuple(outputs))


FOLDED_SUFFIX = "/folded"
"""The end of the name of a constant that is a weight with folded coefficients."""


def replace_constant(array: np.ndarray, old: Constant) -> Constant:
    """A constant of this array under the old one's name, with the suffix if the array is another one."""
    if array is old.array:
        return old
    name = old.name if not old.name or old.name.endswith(FOLDED_SUFFIX) else f"{old.name}{FOLDED_SUFFIX}"
    return named_constant(array, old.dtype, name)


def weight_name(constant: Constant) -> str:
    """The name of the weight whose elements, maybe with folded coefficients, a constant has."""
    return constant.name.removesuffix(FOLDED_SUFFIX)


def named_constant(array: np.ndarray, dtype: str, name: str) -> Constant:
    return Constant(TensorType(dtype, array.shape), np.asarray(array, dtype), name)


def as_linear(node: Node) -> LinearOp | None:
    """The node as a linear operator; None if it is not linear or its weights are not constant."""
    if node.domain or node.op not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None
    x, kernel, bias = node.inputs[0], node.inputs[1], node.input(2)
    if x is None or isinstance(x, Constant) or not isinstance(kernel, Constant):
        return None
    if bias is not None and not isinstance(bias, Constant):
        return None
    if node.op == "MatMul":
        return LinearOp(node, x, kernel, None, x.rank - 1, 1) if kernel.rank == 2 and x.rank >= 2 else None
    if node.op == "Gemm":
        plain = not node.attribute("transA", 0) and node.attribute("alpha", 1.0) == node.attribute("beta", 1.0) == 1
        fits = bias is None or bias.rank == 1
        return LinearOp(node, x, kernel, bias, 1, 1 - node.attribute("transB", 0)) if plain and fits else None
    if node.op == "ConvTranspose":
        return LinearOp(node, x, kernel, bias, 1, 1) if node.attribute("group", 1) == 1 else None
    return LinearOp(node, x, kernel, bias, 1, 0)


def scale_output(linear: LinearOp, scale: np.ndarray, shift: np.ndarray) -> ReweightedOp | None:
    """The operator that computes `y * scale + shift` for the result y of `linear`; None if no weights do that.

    The shift is not included if the operator cannot have a bias.
    """
    gain, summand = _vector_along(scale, linear.channel_axis), _vector_along(shift, linear.channel_axis)
    if gain is None or summand is None:
        return None
    channels = linear.kernel.shape[linear.filter_axis]
    kernel = _scale_axis(linear.kernel.array, gain, linear.filter_axis)
    bias: np.ndarray = np.broadcast_to(summand, (channels,))
    if linear.bias is not None:
        changes_bias = bool((gain != 1).any() or summand.any())
        bias = linear.bias.array.astype(np.float64) * gain + summand if changes_bias else linear.bias.array
    if not linear.can_take_bias:
        return _if_finite(ReweightedOp(linear, kernel, None, not shift.any()), gain)
    needs_bias = linear.bias is not None or bool(bias.any())
    return _if_finite(ReweightedOp(linear, kernel, bias if needs_bias else None, True), gain)


def scale_input(linear: LinearOp, scale: np.ndarray, shift: np.ndarray) -> ReweightedOp | None:
    """The operator that computes of x what `linear` computes of `x * scale + shift`; None if no weights do that.

    The shift is not included if the operator pads x or cannot have a bias.
    """
    gain, summand = _vector_along(scale, linear.channel_axis), _vector_along(shift, linear.channel_axis)
    if gain is None or summand is None or (linear.node.op == "ConvTranspose" and shift.any()):
        return None
    axis = 1 - linear.filter_axis
    groups = linear.node.attribute("group", 1)
    channels = linear.kernel.shape[axis] * (groups if linear.node.op == "Conv" else 1)
    gain, summand = np.broadcast_to(gain, (channels,)), np.broadcast_to(summand, (channels,))
    kernel = _scale_channels(linear.kernel.array, gain, axis, groups)
    bias = None if linear.bias is None else linear.bias.array
    if not summand.any() or linear.has_padding or not linear.can_take_bias:
        return _if_finite(ReweightedOp(linear, kernel, bias, not summand.any()), gain)
    shifts = _scale_channels(np.asarray(linear.kernel.array, np.float64), summand, axis, groups)
    shift_sums = shifts.sum(axis=tuple(i for i in range(shifts.ndim) if i != linear.filter_axis))
    return _if_finite(ReweightedOp(linear, kernel, shift_sums + (0.0 if bias is None else bias), True), gain)


def _vector_along(array: np.ndarray, axis: int) -> np.ndarray | None:
    """The elements of an array that has size 1 along every other axis; None for any other array."""
    sizes = [size for i, size in enumerate(array.shape) if i != axis]
    return array.reshape(-1) if all(size == 1 for size in sizes) else None


def _scale_channels(kernel: np.ndarray, gain: np.ndarray, axis: int, groups: int) -> np.ndarray:
    """A kernel times a number for each channel of the operand."""
    return _scale_grouped(kernel, gain, groups) if groups > 1 else _scale_axis(kernel, gain, axis)


def _scale_axis(kernel: np.ndarray, gain: np.ndarray, axis: int) -> np.ndarray:
    """A kernel times a number for each index along an axis, or times one number."""
    if (gain == 1).all():
        return kernel
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return to_contiguous(kernel, gain.reshape(shape).astype(kernel.dtype))


def _scale_grouped(kernel: np.ndarray, gain: np.ndarray, groups: int) -> np.ndarray:
    """A grouped kernel [filters, channels / groups, *size] times a number for each channel of the operand."""
    filters, channels = kernel.shape[:2]
    split = kernel.reshape(groups, filters // groups, *kernel.shape[1:])
    shape = (groups, 1, channels, *[1] * (kernel.ndim - 2))
    return (split * gain.reshape(shape).astype(kernel.dtype)).reshape(kernel.shape)


def _if_finite(op: ReweightedOp, gain: np.ndarray) -> ReweightedOp | None:
    """The operator, unless its weights may overflow."""
    bias = 0.0 if op.bias is None else np.abs(op.bias).max(initial=0)
    return op if np.abs(gain).max() < MAX_GAIN and bias < np.finfo(op.original.kernel.dtype).max else None


MAX_GAIN = 2.0**40
"""The largest factor by which no reasonable weight exceeds the range of its type."""
