"""Losses of margins and of areas: the hinge family, Dice and Tversky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ..core.components import ArrayCodec, IntegerCodec, NullableCodec, UnionCodec, attr
from ..core.types import TensorType, require
from .losses import EPSILON, LOSSES, Loss

if TYPE_CHECKING:
    from ..ir import Builder, Value


def signed_targets(g: Builder, target: Value) -> Value:
    """Targets as -1 and 1: a batch that holds only 0 and 1 is taken as such labels."""
    zeros_and_ones = g.cast(g.Equal(g.Mul(target, target), target), target.dtype)
    return g.Add(target, g.Mul(g.Sub(target, 1.0), g.ReduceMin(zeros_and_ones, keepdims=0)))


@LOSSES.register("hinge")
class Hinge(Loss):
    """`mean(max(1 - target * output, 0))` over the last axis, targets -1 or 1 (or 0 or 1)."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Relu(g.Sub(1.0, g.Mul(signed_targets(g, target), output)))


@LOSSES.register("squared_hinge")
class SquaredHinge(Loss):
    """`mean(max(1 - target * output, 0) ** 2)` over the last axis, targets -1 or 1 (or 0 or 1)."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        short = g.Relu(g.Sub(1.0, g.Mul(signed_targets(g, target), output)))
        return g.Mul(short, short)


@LOSSES.register("categorical_hinge")
class CategoricalHinge(Loss):
    """`max(1 + max((1 - target) * output) - sum(target * output), 0)`, over the classes of the last axis."""

    @property
    def mean_axis(self) -> int | None:
        return None

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        right = g.ReduceSum(g.Mul(target, output), [-1], keepdims=0)
        wrong = g.ReduceMax(g.Mul(g.Sub(1.0, target), output), [-1], keepdims=0)
        return g.Relu(g.Add(g.Sub(wrong, right), 1.0))


# -- overlap -----------------------------------------------------------------------------------------------------------

Axes = Annotated[
    tuple[int, ...] | int | None,
    NullableCodec(
        UnionCodec(
            (lambda value: not isinstance(value, (list, tuple)), IntegerCodec()),
            (lambda value: True, ArrayCodec(IntegerCodec())),
        )
    ),
]
OVERLAP_AXES_DOC = "Axis or axes over which the overlap is summed; all where omitted."


class OverlapLoss(Loss):
    """One minus how far the areas of target and output overlap."""

    axis: Axes = attr(None, doc=OVERLAP_AXES_DOC)

    @property
    def mean_axis(self) -> int | None:
        return None

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        help = "a layer that ends the mask, such as Reshape, may stand before the output"
        require(False, f"sums over places that the mask beside {output} leaves out", help)

    def area_sum(self, g: Builder, x: Value) -> Value:
        axes = [] if self.axis is None else [[self.axis] if isinstance(self.axis, int) else list(self.axis)]
        return g.ReduceSum(x, *axes, keepdims=0)


@LOSSES.register("dice")
class Dice(OverlapLoss):
    """`1 - 2 * sum(target * output) / (sum(target) + sum(output))`."""

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        both = self.area_sum(g, g.Mul(target, output))
        areas = g.Add(g.Add(self.area_sum(g, target), self.area_sum(g, output)), EPSILON)
        return g.Sub(1.0, g.Div(g.Mul(both, 2.0), areas))


@LOSSES.register("tversky")
class Tversky(OverlapLoss):
    """`1 - t / (t + alpha * missed + beta * wrong)`, t the sum of target * output (Salehi et al., 2017)."""

    alpha: float = attr(0.5, doc="Weight of what the output misses.")
    beta: float = attr(0.5, doc="Weight of what the output has in excess.")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        both = self.area_sum(g, g.Mul(target, output))
        missed = g.Mul(self.area_sum(g, g.Mul(g.Sub(1.0, output), target)), self.alpha)
        wrong = g.Mul(self.area_sum(g, g.Mul(output, g.Sub(1.0, target))), self.beta)
        return g.Sub(1.0, g.Div(both, g.Add(g.Sum(both, missed, wrong), EPSILON)))
