"""Axes as Keras counts them: the batch is 0, and -1 the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ..core.components import ArrayCodec, IntegerCodec, UnionCodec
from ..core.types import TensorType, require

if TYPE_CHECKING:
    from ..ir import Builder, Value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


Axes = Annotated[
    int | tuple[int, ...], UnionCodec((_is_number, IntegerCodec()), (lambda value: True, ArrayCodec(IntegerCodec())))
]
"""One axis, or a list of them."""


def axis_of(x: TensorType, axis: int) -> int:
    """The axis counted from 0; ShapeError where there is none."""
    require(-x.rank <= axis < x.rank, f"has axis {axis}, which {x} does not have", "the batch axis is 0, the last -1")
    return axis % x.rank


def axes_of(x: TensorType, axes: int | Sequence[int]) -> list[int]:
    """The axes counted from 0, in order; ShapeError where one does not exist or is given twice."""
    found = sorted(axis_of(x, axis) for axis in ([axes] if isinstance(axes, int) else axes))
    require(len(set(found)) == len(found), f"has the axes {axes}, of which two are the same one of {x}")
    return found


def broadcast_along(g: Builder, value: Value, axes: Sequence[int], rank: int) -> Value:
    """A value whose own axes are these of a tensor of some rank, shaped to broadcast against that."""
    if list(axes) == list(range(rank - len(axes), rank)):
        return value
    return g.reshape(value, [value.shape[axes.index(axis)] if axis in axes else 1 for axis in range(rank)])


def merge_first_axes(g: Builder, x: Value) -> Value:
    """The first two axes as one."""
    return g.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def split_first_axis(g: Builder, y: Value, x: Value) -> Value:
    """The first axis as two again: the first two of x."""
    shape = (*x.shape[:2], *y.shape[1:])
    if sum(not isinstance(size, int) for size in shape) <= 1:
        return g.reshape(y, shape)
    return g.refine(g.Reshape(y, g.sizes(shape, x, y)), shape)
