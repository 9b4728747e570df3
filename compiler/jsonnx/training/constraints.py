"""Projections of weights after every update, as Keras 3 computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from ..core.components import ArrayCodec, Component, IntegerCodec, Registry, UnionCodec, attr
from ..core.types import Dim, require, shape_text

if TYPE_CHECKING:
    from ..ir import Builder, Value

CONSTRAINTS = Registry("constraint", "A projection of a weight after every update.")

Axes = Annotated[
    tuple[int, ...] | int,
    UnionCodec(
        (lambda value: not isinstance(value, (list, tuple)), IntegerCodec()),
        (lambda value: True, ArrayCodec(IntegerCodec())),
    ),
]
AXIS_DOC = "Axis or axes of the weight along which its norm is taken."

# Keras adds this before dividing by a norm.
EPSILON = 1e-7


class Constraint(Component):
    registry = CONSTRAINTS

    @property
    def restricts_shape(self) -> bool:
        """Whether there are shapes of weights that do not suit."""
        return getattr(self, "axis", 0) != 0

    def check(self, shape: Sequence[Dim]) -> None:
        """ShapeError where a weight of this shape does not suit."""
        axis = getattr(self, "axis", 0)
        axes, rank = [axis] if isinstance(axis, int) else axis, len(shape)
        fits = all(-rank <= axis < rank for axis in axes) and len({axis % rank for axis in axes}) == len(axes)
        require(fits, f"has a {self.type_name} along {axis}, of a weight of shape {shape_text(shape)}")

    def project(self, g: Builder, weight: Value) -> Value:
        """The nearest weight that satisfies the constraint, in the weight's type."""
        raise NotImplementedError


def axis_norm(g: Builder, weight: Value, axis: Any) -> Value:
    axes = [axis] if isinstance(axis, int) else list(axis)
    return g.Sqrt(g.ReduceSum(g.Mul(weight, weight), axes, keepdims=1))


@CONSTRAINTS.register()
class NonNeg(Constraint):
    """No negative values."""

    def project(self, g: Builder, weight: Value) -> Value:
        return g.Relu(weight)


@CONSTRAINTS.register()
class UnitNorm(Constraint):
    """Norm one."""

    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        return g.Div(weight, g.Add(axis_norm(g, weight, self.axis), EPSILON))


@CONSTRAINTS.register()
class MaxNorm(Constraint):
    """Norm at most `max_value`."""

    max_value: float = attr(2.0, doc="Upper bound of the norm.", above=0)
    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        size = axis_norm(g, weight, self.axis)
        wanted = g.Clip(size, 0.0, self.max_value)
        return g.Mul(weight, g.Div(wanted, g.Add(size, EPSILON)))


@CONSTRAINTS.register()
class MinMaxNorm(Constraint):
    """Norm between two bounds, approached at a rate."""

    min_value: float = attr(0.0, doc="Lower bound of the norm.", minimum=0)
    max_value: float = attr(1.0, doc="Upper bound of the norm.", above=0)
    rate: float = attr(
        1.0,
        doc="1 enforces the bounds at once; smaller values move the norm that share of the way.",
        minimum=0,
        maximum=1,
    )
    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        size = axis_norm(g, weight, self.axis)
        inside = g.Clip(size, self.min_value, self.max_value)
        wanted = g.Add(g.Mul(inside, self.rate), g.Mul(size, 1.0 - self.rate))
        return g.Mul(weight, g.Div(wanted, g.Add(size, EPSILON)))
