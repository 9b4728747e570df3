"""Axis arguments as in Keras: 0 is the batch axis, -1 the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from ..core.components import ArrayCodec, IntegerCodec, UnionCodec
from ..core.types import TensorType, require

if TYPE_CHECKING:
    from ..ir import Builder, Value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def is_list_of_numbers(value: object) -> bool:
    """Whether the value is a list, or a tuple, whose first item is a number."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and _is_number(value[0])


Axes = Annotated[
    int | tuple[int, ...], UnionCodec((_is_number, IntegerCodec()), (lambda value: True, ArrayCodec(IntegerCodec())))
]
"""One axis, or a list of axes."""


MIN_SLICE_BOUND, MAX_SLICE_BOUND = -(2**63), 2**63 - 1
"""Bounds of a slice that extend to the start and the end of any axis."""


def axis_of(x: TensorType, axis: int) -> int:
    """The axis counted from 0. Raises ShapeError if x has no such axis."""
    require(-x.rank <= axis < x.rank, f"has axis {axis}, which {x} does not have", "the batch axis is 0, the last -1")
    return axis % x.rank


def axes_of(x: TensorType, axes: int | Sequence[int]) -> list[int]:
    """The sorted axes counted from 0. Raises ShapeError if one does not exist or occurs twice."""
    resolved = sorted(axis_of(x, axis) for axis in ([axes] if isinstance(axes, int) else axes))
    require(len(set(resolved)) == len(resolved), f"has the axes {axes}, of which two are the same one of {x}")
    return resolved


def broadcast_along(g: Builder, value: Value, axes: Sequence[int], rank: int) -> Value:
    """Reshapes a value whose axes correspond to `axes` of a tensor of this rank, so that it broadcasts against it."""
    if list(axes) == list(range(rank - len(axes), rank)):
        return value
    return g.reshape(value, [value.shape[axes.index(axis)] if axis in axes else 1 for axis in range(rank)])


def merge_first_axes(g: Builder, x: Value) -> Value:
    """Merges the first two axes."""
    return g.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def split_first_axis(g: Builder, y: Value, x: Value) -> Value:
    """Splits the first axis of y into two, sized like the first two axes of x: inverse of `merge_first_axes`."""
    shape = (*x.shape[:2], *y.shape[1:])
    if sum(not isinstance(size, int) for size in shape) <= 1:
        return g.reshape(y, shape)
    return g.refine(g.Reshape(y, g.sizes(shape, x, y)), shape)


def position_indices(g: Builder, x: Value, axis: int, shape: tuple[int, ...] = (-1,), first: int = 0) -> Value:
    """Emits the int64 positions `first`, `first + 1`, ... along an axis of x; -1 in `shape` stands for their number."""
    size = x.shape[axis]
    if isinstance(size, int):  # ONNX' strict inference mistakes the elements of a constant Range for a shape
        return g.positions(size, "int64", first, shape=shape)
    count = g.Squeeze(g.Shape(x, start=axis, end=axis + 1), [0])
    stop = g.Add(count, first) if first else count
    indices = g.Range(g.const(first, "int64"), stop, g.const(1, "int64"))
    return g.reshape(indices, tuple(size if length == -1 else length for length in shape))
