"""Operators that multiply by constant weights, and what a gain on either side of one makes of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.types import TensorType
from ...ir import Constant, Node, Value
from ...ir.dtypes import contiguous


@dataclass(frozen=True, eq=False)
class Linear:
    """A node `y = x * kernel + bias`: where the channels stand in x and y, and the kernel's axis of y's channels."""

    node: Node
    x: Value
    kernel: Constant
    bias: Constant | None
    channels: int
    filters: int

    @property
    def padded(self) -> bool:
        """Whether zeros are put around x."""
        return any(self.node.attribute("pads") or [0]) or self.node.attribute("auto_pad", "NOTSET") != "NOTSET"

    @property
    def takes_bias(self) -> bool:
        return self.node.op != "MatMul" or self.x.rank == 2


@dataclass(frozen=True, eq=False)
class Changed:
    """A linear operator with other weights; `shifted` says whether a shift is in them too."""

    linear: Linear
    kernel: np.ndarray
    bias: np.ndarray | None
    shifted: bool

    def node(self, outputs: Sequence[Value], x: Value | None = None, name: str = "") -> Node:
        """The node that gives these outputs, of another operand where there is one; `name` is the name of its bias
        where that is a weight itself."""
        old = self.linear
        op = "Gemm" if old.node.op == "MatMul" and self.bias is not None else old.node.op
        weights = [renewed(self.kernel, old.kernel)]
        if self.bias is not None:
            bias = named(self.bias, old.kernel.dtype, name or f"{old.node.scope}/bias{FOLDED}")
            weights.append(bias if old.bias is None else renewed(self.bias, old.bias))
        return replace(old.node, op=op, inputs=(x or old.x, *weights), outputs=tuple(outputs))


FOLDED = "/folded"
"""What ends the names of constants that hold more than the weight they are named after."""


def renewed(array: np.ndarray, old: Constant) -> Constant:
    """What takes the place of a constant."""
    if array is old.array:
        return old
    name = old.name if not old.name or old.name.endswith(FOLDED) else f"{old.name}{FOLDED}"
    return named(array, old.dtype, name)


def named(array: np.ndarray, dtype: str, name: str) -> Constant:
    return Constant(TensorType(dtype, array.shape), np.asarray(array, dtype), name)


def linear(node: Node) -> Linear | None:
    """The node as a linear operator; None where it is none, or its weights are not constant."""
    if node.domain or node.op not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        return None
    x, kernel, bias = node.inputs[0], node.inputs[1], node.input(2)
    if x is None or isinstance(x, Constant) or not isinstance(kernel, Constant):
        return None
    if bias is not None and not isinstance(bias, Constant):
        return None
    if node.op == "MatMul":
        return Linear(node, x, kernel, None, x.rank - 1, 1) if kernel.rank == 2 and x.rank >= 2 else None
    if node.op == "Gemm":
        plain = not node.attribute("transA", 0) and node.attribute("alpha", 1.0) == node.attribute("beta", 1.0) == 1
        fits = bias is None or bias.rank == 1
        return Linear(node, x, kernel, bias, 1, 1 - node.attribute("transB", 0)) if plain and fits else None
    if node.op == "ConvTranspose":
        return Linear(node, x, kernel, bias, 1, 1) if node.attribute("group", 1) == 1 else None
    return Linear(node, x, kernel, bias, 1, 0)


def with_gain(old: Linear, scale: np.ndarray, shift: np.ndarray) -> Changed | None:
    """The operator whose result is that of the old one times `scale` plus `shift`; None where no weights give that.

    Where it has no bias, and cannot have one, the shift is left to others.
    """
    gain, summand = _along(scale, old.channels), _along(shift, old.channels)
    if gain is None or summand is None:
        return None
    count = old.kernel.shape[old.filters]
    kernel = _times(old.kernel.array, gain, old.filters)
    bias: np.ndarray = np.broadcast_to(summand, (count,))
    if old.bias is not None:
        changed = bool((gain != 1).any() or summand.any())
        bias = old.bias.array.astype(np.float64) * gain + summand if changed else old.bias.array
    if not old.takes_bias:
        return _finite(Changed(old, kernel, None, not shift.any()), gain)
    wanted = old.bias is not None or bool(bias.any())
    return _finite(Changed(old, kernel, bias if wanted else None, True), gain)


def with_gain_before(old: Linear, scale: np.ndarray, shift: np.ndarray) -> Changed | None:
    """The operator that gives of x what the old one gives of `x * scale + shift`; None where no weights give that."""
    gain, summand = _along(scale, old.channels), _along(shift, old.channels)
    if gain is None or summand is None or (old.node.op == "ConvTranspose" and shift.any()):
        return None
    axis = 1 - old.filters
    groups = old.node.attribute("group", 1)
    count = old.kernel.shape[axis] * (groups if old.node.op == "Conv" else 1)
    gain, summand = np.broadcast_to(gain, (count,)), np.broadcast_to(summand, (count,))
    kernel = _by_group(old.kernel.array, gain, groups) if groups > 1 else _times(old.kernel.array, gain, axis)
    if not summand.any():
        return _finite(Changed(old, kernel, None if old.bias is None else old.bias.array, True), gain)
    if old.padded or not old.takes_bias:
        return _finite(Changed(old, kernel, None if old.bias is None else old.bias.array, False), gain)
    weights = np.asarray(old.kernel.array, np.float64)
    shifts = _by_group(weights, summand, groups) if groups > 1 else _times(weights, summand, axis)
    added = shifts.sum(axis=tuple(place for place in range(shifts.ndim) if place != old.filters))
    return _finite(Changed(old, kernel, added + (0.0 if old.bias is None else old.bias.array), True), gain)


def _along(array: np.ndarray, axis: int) -> np.ndarray | None:
    """A vector, or one number, of what differs along this axis only."""
    sizes = [size for place, size in enumerate(array.shape) if place != axis]
    return array.reshape(-1) if all(size == 1 for size in sizes) else None


def _times(kernel: np.ndarray, gain: np.ndarray, axis: int) -> np.ndarray:
    """A kernel times a number for every place along an axis, or one for all."""
    if (gain == 1).all():
        return kernel
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return contiguous(kernel, gain.reshape(shape).astype(kernel.dtype))


def _by_group(kernel: np.ndarray, gain: np.ndarray, groups: int) -> np.ndarray:
    """A grouped kernel [filters, channels / groups, *size] times a number for every channel of the operand."""
    filters, channels = kernel.shape[:2]
    split = kernel.reshape(groups, filters // groups, *kernel.shape[1:])
    shape = (groups, 1, channels, *[1] * (kernel.ndim - 2))
    return (split * gain.reshape(shape).astype(kernel.dtype)).reshape(kernel.shape)


def _finite(changed: Changed, gain: np.ndarray) -> Changed | None:
    """The operator, unless a gain is so large that its weights may be no numbers any more."""
    bias = 0.0 if changed.bias is None else np.abs(changed.bias).max(initial=0)
    return changed if np.abs(gain).max() < LARGEST and bias < np.finfo(changed.linear.kernel.dtype).max else None


LARGEST = 2.0**40
"""No weight that makes sense is beyond the range of its type by that factor."""
