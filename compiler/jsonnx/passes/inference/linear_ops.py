"""Operators that multiply by constant weights, and what a gain on either side of one makes of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from ...ir.dtypes import to_contiguous


@dataclass(frozen=True, eq=False)
class LinearOp:
    """A node `y = x * kernel + bias`: where the channels stand in x and y, and the kernel's axis of y's channels."""

    node: Node
    x: Value
    kernel: Constant
    bias: Constant | None
    channel_axis: int
    filter_axis: int

    @property
    def has_padding(self) -> bool:
        """Whether zeros are put around x."""
        return any(self.node.attribute("pads") or [0]) or self.node.attribute("auto_pad", "NOTSET") != "NOTSET"

    @property
    def can_take_bias(self) -> bool:
        return self.node.op != "MatMul" or self.x.rank == 2


@dataclass(frozen=True, eq=False)
class ReweightedOp:
    """A linear operator with other weights; `includes_shift` says whether a shift is in them too."""

    original: LinearOp
    kernel: np.ndarray
    bias: np.ndarray | None
    includes_shift: bool

    def node(self, outputs: Sequence[Value], x: Value | None = None, name: str = "") -> Node:
        """The node that gives these outputs, of another operand where there is one; `name` is the name of its bias
        where that is a weight itself."""
        old = self.original
        op = "Gemm" if old.node.op == "MatMul" and self.bias is not None else old.node.op
        weights = [replace_constant(self.kernel, old.kernel)]
        if self.bias is not None:
            bias = named_constant(self.bias, old.kernel.dtype, name or f"{old.node.scope}/bias{FOLDED_SUFFIX}")
            weights.append(bias if old.bias is None else replace_constant(self.bias, old.bias))
        return replace(old.node, op=op, inputs=(x or old.x, *weights), outputs=tuple(outputs))


FOLDED_SUFFIX = "/folded"
"""What ends the names of constants that hold more than the weight they are named after."""


def replace_constant(array: np.ndarray, old: Constant) -> Constant:
    """What takes the place of a constant."""
    if array is old.array:
        return old
    name = old.name if not old.name or old.name.endswith(FOLDED_SUFFIX) else f"{old.name}{FOLDED_SUFFIX}"
    return named_constant(array, old.dtype, name)


def named_constant(array: np.ndarray, dtype: str, name: str) -> Constant:
    return Constant(TensorType(dtype, array.shape), np.asarray(array, dtype), name)


def as_linear(node: Node) -> LinearOp | None:
    """The node as a linear operator; None where it is none, or its weights are not constant."""
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
    """The operator whose result is that of the old one times `scale` plus `shift`; None where no weights give that.

    Where it has no bias, and cannot have one, the shift is left to others.
    """
    gain, summand = _vector_along(scale, linear.channel_axis), _vector_along(shift, linear.channel_axis)
    if gain is None or summand is None:
        return None
    count = linear.kernel.shape[linear.filter_axis]
    kernel = _scale_axis(linear.kernel.array, gain, linear.filter_axis)
    bias: np.ndarray = np.broadcast_to(summand, (count,))
    if linear.bias is not None:
        changed = bool((gain != 1).any() or summand.any())
        bias = linear.bias.array.astype(np.float64) * gain + summand if changed else linear.bias.array
    if not linear.can_take_bias:
        return _if_finite(ReweightedOp(linear, kernel, None, not shift.any()), gain)
    wanted = linear.bias is not None or bool(bias.any())
    return _if_finite(ReweightedOp(linear, kernel, bias if wanted else None, True), gain)


def scale_input(linear: LinearOp, scale: np.ndarray, shift: np.ndarray) -> ReweightedOp | None:
    """The operator that gives of x what the old one gives of `x * scale + shift`; None where no weights give that."""
    gain, summand = _vector_along(scale, linear.channel_axis), _vector_along(shift, linear.channel_axis)
    if gain is None or summand is None or (linear.node.op == "ConvTranspose" and shift.any()):
        return None
    axis = 1 - linear.filter_axis
    groups = linear.node.attribute("group", 1)
    count = linear.kernel.shape[axis] * (groups if linear.node.op == "Conv" else 1)
    gain, summand = np.broadcast_to(gain, (count,)), np.broadcast_to(summand, (count,))
    kernel = (
        _scale_grouped(linear.kernel.array, gain, groups)
        if groups > 1
        else _scale_axis(linear.kernel.array, gain, axis)
    )
    if not summand.any():
        return _if_finite(ReweightedOp(linear, kernel, None if linear.bias is None else linear.bias.array, True), gain)
    if linear.has_padding or not linear.can_take_bias:
        return _if_finite(ReweightedOp(linear, kernel, None if linear.bias is None else linear.bias.array, False), gain)
    weights = np.asarray(linear.kernel.array, np.float64)
    shifts = _scale_grouped(weights, summand, groups) if groups > 1 else _scale_axis(weights, summand, axis)
    added = shifts.sum(axis=tuple(place for place in range(shifts.ndim) if place != linear.filter_axis))
    return _if_finite(
        ReweightedOp(linear, kernel, added + (0.0 if linear.bias is None else linear.bias.array), True), gain
    )


def _vector_along(array: np.ndarray, axis: int) -> np.ndarray | None:
    """A vector, or one number, of what differs along this axis only."""
    sizes = [size for place, size in enumerate(array.shape) if place != axis]
    return array.reshape(-1) if all(size == 1 for size in sizes) else None


def _scale_axis(kernel: np.ndarray, gain: np.ndarray, axis: int) -> np.ndarray:
    """A kernel times a number for every place along an axis, or one for all."""
    if (gain == 1).all():
        return kernel
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return to_contiguous(kernel, gain.reshape(shape).astype(kernel.dtype))


def _scale_grouped(kernel: np.ndarray, gain: np.ndarray, groups: int) -> np.ndarray:
    """A grouped kernel [filters, channels / groups, *size] times a number for every channel of the operand."""
    filters, channels = kernel.shape[:2]
    split = kernel.reshape(groups, filters // groups, *kernel.shape[1:])
    shape = (groups, 1, channels, *[1] * (kernel.ndim - 2))
    return (split * gain.reshape(shape).astype(kernel.dtype)).reshape(kernel.shape)


def _if_finite(changed: ReweightedOp, gain: np.ndarray) -> ReweightedOp | None:
    """The operator, unless a gain is so large that its weights may be no numbers any more."""
    bias = 0.0 if changed.bias is None else np.abs(changed.bias).max(initial=0)
    return changed if np.abs(gain).max() < MAX_GAIN and bias < np.finfo(changed.original.kernel.dtype).max else None


MAX_GAIN = 2.0**40
"""No weight that makes sense is beyond the range of its type by that factor."""
