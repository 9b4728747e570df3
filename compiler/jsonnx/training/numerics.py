"""Norms, the epsilon and the `axis` argument of losses, optimizers, regularizers, constraints and layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ..core.components import ArrayCodec, IntegerCodec, UnionCodec

if TYPE_CHECKING:
    from ..ir import Builder, Value

EPSILON = 1e-7
"""Keras' `backend.epsilon()`: the distance of probabilities from 0 and 1, the least norm or divisor, and the least
argument of a logarithm."""

AXES_CODEC = UnionCodec(
    (lambda value: not isinstance(value, (list, tuple)), IntegerCodec()),
    (lambda value: True, ArrayCodec(IntegerCodec())),
)
"""An axis, or a list of axes."""

Axes = Annotated[tuple[int, ...] | int, AXES_CODEC]


def axis_list(axes: tuple[int, ...] | int) -> list[int]:
    return [axes] if isinstance(axes, int) else list(axes)


def are_axes(axes: tuple[int, ...] | int, rank: int) -> bool:
    """Whether these are distinct axes of a tensor of this rank, at least one."""
    numbers = axis_list(axes)
    distinct = {axis % rank for axis in numbers if -rank <= axis < rank}
    return 0 < len(distinct) == len(numbers)


def square_sum(g: Builder, x: Value, axes: list[int] | None = None) -> Value:
    """`sum(x ** 2)` over all elements, a scalar, or along axes, which keep size one."""
    squares = g.Mul(x, x)
    return g.ReduceSum(squares, keepdims=0) if axes is None else g.ReduceSum(squares, axes, keepdims=1)


def unit_vectors(g: Builder, x: Value, axis: int) -> Value:
    """Vectors along an axis, scaled to norm one; a zero vector stays zero."""
    return g.Mul(x, g.Reciprocal(g.Sqrt(g.Max(square_sum(g, x, [axis]), EPSILON**2))))
