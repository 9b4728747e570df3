"""Constraints: projections of weights after each update, as in Keras 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.components import Component, Registry, attr
from ...core.types import Dim, require, shape_text
from ..numerics import EPSILON, Axes, are_axes, axis_list, square_sum

if TYPE_CHECKING:
    from ...ir import Builder, Value

CONSTRAINTS = Registry(
    "constraint", "A projection of a weight after each update.", keras_format="keras.constraints.{class_name}"
)

AXIS_DOC = "Axis or axes of the weight along which its norm is computed."


class Constraint(Component):
    registry = CONSTRAINTS

    @property
    def restricts_shape(self) -> bool:
        """Whether the constraint does not accept weights of all shapes."""
        return getattr(self, "axis", 0) != 0

    def check(self, shape: Sequence[Dim]) -> None:
        """Raises ShapeError if the constraint does not accept a weight of this shape."""
        axis = getattr(self, "axis", 0)
        message = f"has a {self.type_name} along {axis}, of a weight of shape {shape_text(shape)}"
        require(are_axes(axis, max(len(shape), 1)), message)

    def project(self, g: Builder, weight: Value) -> Value:
        """The nearest weight that satisfies the constraint, in the weight's type."""
        raise NotImplementedError


def axis_norm(g: Builder, weight: Value, axis: tuple[int, ...] | int) -> Value:
    """The norm of a weight along an axis; a weight without axes counts as a vector of one element."""
    return g.Sqrt(square_sum(g, weight, axis_list(axis))) if weight.rank else g.Abs(weight)


@CONSTRAINTS.register()
class NonNeg(Constraint):
    """Replaces negative values by zero."""

    formula = "w = maximum(w, 0)"

    def project(self, g: Builder, weight: Value) -> Value:
        return g.Relu(weight)


@CONSTRAINTS.register()
class UnitNorm(Constraint):
    """Scales the weight to norm 1."""

    formula = "w = w / (sqrt(sum(w ** 2, axis, keepdims=True)) + 1e-7)"
    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        return g.Div(weight, g.Add(axis_norm(g, weight, self.axis), EPSILON))


@CONSTRAINTS.register()
class MaxNorm(Constraint):
    """Scales the weight down to a norm of at most `max_value`."""

    formula = """
        norm = sqrt(sum(w ** 2, axis, keepdims=True))
        w = w * minimum(norm, max_value) / (norm + 1e-7)
    """
    max_value: float = attr(2.0, doc="Upper bound of the norm.", above=0)
    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        norm = axis_norm(g, weight, self.axis)
        target = g.Clip(norm, 0.0, self.max_value)
        return g.Mul(weight, g.Div(target, g.Add(norm, EPSILON)))


@CONSTRAINTS.register()
class MinMaxNorm(Constraint):
    """Scales the weight towards a norm between two bounds."""

    formula = """
        norm = sqrt(sum(w ** 2, axis, keepdims=True))
        target = rate * clip(norm, min_value, max_value) + (1 - rate) * norm
        w = w * target / (norm + 1e-7)
    """
    min_value: float = attr(0.0, doc="Lower bound of the norm.", minimum=0)
    max_value: float = attr(1.0, doc="Upper bound of the norm.", above=0)
    rate: float = attr(
        1.0,
        doc="Fraction of the way to the bounds that each update moves the norm: 1 enforces them at once.",
        minimum=0,
        maximum=1,
    )
    axis: Axes = attr(0, doc=AXIS_DOC)

    def project(self, g: Builder, weight: Value) -> Value:
        norm = axis_norm(g, weight, self.axis)
        clipped = g.Clip(norm, self.min_value, self.max_value)
        target = g.Add(g.Mul(clipped, self.rate), g.Mul(norm, 1.0 - self.rate))
        return g.Mul(weight, g.Div(target, g.Add(norm, EPSILON)))
