"""Hinge losses, and overlap losses (Dice and Tversky)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ...core.components import NullableCodec, attr
from ...core.types import TensorType, require
from ..numerics import AXES_CODEC, EPSILON, are_axes, axis_list
from ..output_form import OutputForm
from .losses import LOSSES, Loss

if TYPE_CHECKING:
    from ...ir import Builder, Value


def signed_targets(g: Builder, target: Value) -> Value:
    """Targets of -1 and 1. In a batch that contains only 0 and 1, 0 becomes -1."""
    zeros_and_ones = g.cast(g.Equal(g.Mul(target, target), target), target.dtype)
    return g.Add(target, g.Mul(g.Sub(target, 1.0), g.ReduceMin(zeros_and_ones, keepdims=0)))


class MarginLoss(Loss):
    """Base of the losses of a score whose sign is the class: the targets 0 and 1 stand for -1 and 1."""

    takes = OutputForm.SIGNED_SCORES


@LOSSES.register("hinge")
class Hinge(MarginLoss):
    """Mean over the last axis of how far scores miss a margin of 1, for targets of -1 and 1 (or 0 and 1)."""

    formula = """
        y_true = where(all((y_true == 0) | (y_true == 1)), 2 * y_true - 1, y_true)
        loss = mean(maximum(1 - y_true * y_pred, 0), axis=-1)
    """

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Relu(g.Sub(1.0, g.Mul(signed_targets(g, target), output)))


@LOSSES.register("squared_hinge")
class SquaredHinge(MarginLoss):
    """Mean over the last axis of the squares of how far scores miss a margin of 1, for targets of -1 and 1 (or 0 and
    1)."""

    formula = """
        y_true = where(all((y_true == 0) | (y_true == 1)), 2 * y_true - 1, y_true)
        loss = mean(maximum(1 - y_true * y_pred, 0) ** 2, axis=-1)
    """

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        margin_error = g.Relu(g.Sub(1.0, g.Mul(signed_targets(g, target), output)))
        return g.Mul(margin_error, margin_error)


@LOSSES.register("categorical_hinge")
class CategoricalHinge(Loss):
    """How far the score of the target class misses a margin of 1 above the best other class of the last axis."""

    formula = """
        best_other = max((1 - y_true) * y_pred, axis=-1)
        loss = maximum(1 + best_other - sum(y_true * y_pred, axis=-1), 0)
    """

    @property
    def mean_axis(self) -> int | None:
        return None

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        target_score = g.ReduceSum(g.Mul(target, output), [-1], keepdims=0)
        best_other_score = g.ReduceMax(g.Mul(g.Sub(1.0, target), output), [-1], keepdims=0)
        return g.Relu(g.Add(g.Sub(best_other_score, target_score), 1.0))


# -- overlap -----------------------------------------------------------------------------------------------------------

OptionalAxes = Annotated[tuple[int, ...] | int | None, NullableCodec(AXES_CODEC)]
OVERLAP_AXES_DOC = "Axis or axes over which the overlap is summed; by default all."


class OverlapLoss(Loss):
    """One minus a ratio of areas that measures the overlap of target and output."""

    takes = OutputForm.UNITS_FROM_0_TO_1
    axis: OptionalAxes = attr(None, doc=OVERLAP_AXES_DOC)

    @property
    def mean_axis(self) -> int | None:
        return None

    def target_type(self, output: TensorType) -> TensorType:
        fits = self.axis is None or are_axes(self.axis, output.rank)
        require(fits, f"sums over the axes {self.axis}, and needs distinct axes of the output, got {output}")
        return output

    def loss_axes(self, output: TensorType) -> list[int]:
        summed = range(output.rank) if self.axis is None else [axis % output.rank for axis in axis_list(self.axis)]
        return [axis for axis in range(output.rank) if axis not in summed]

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        help = "a layer before the output that drops the mask, such as Reshape, makes all positions count"
        require(False, f"sums over all positions of {output}, and cannot skip those that its mask excludes", help)

    def area_sum(self, g: Builder, x: Value) -> Value:
        return g.ReduceSum(x, None if self.axis is None else axis_list(self.axis), keepdims=0)


@LOSSES.register("dice")
class Dice(OverlapLoss):
    """One minus the Dice coefficient, the overlap of target and output relative to the sum of their areas."""

    formula = "loss = 1 - 2 * sum(y_true * y_pred, axis) / (sum(y_true, axis) + sum(y_pred, axis) + 1e-7)"

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        overlap = self.area_sum(g, g.Mul(target, output))
        areas = g.Add(g.Add(self.area_sum(g, target), self.area_sum(g, output)), EPSILON)
        return g.Sub(1.0, g.Div(g.Mul(overlap, 2.0), areas))


@LOSSES.register("tversky")
class Tversky(OverlapLoss):
    """Like Dice, with separate weights of what the output misses and of its excess (Salehi et al., 2017)."""

    formula = """
        overlap = sum(y_true * y_pred, axis)
        missed, excess = sum(y_true * (1 - y_pred), axis), sum((1 - y_true) * y_pred, axis)
        loss = 1 - overlap / (overlap + alpha * missed + beta * excess + 1e-7)
    """
    alpha: float = attr(0.5, doc="Weight of false negatives, the parts of the target that the output misses.")
    beta: float = attr(0.5, doc="Weight of false positives, the parts of the output outside the target.")

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        overlap = self.area_sum(g, g.Mul(target, output))
        missed = g.Mul(self.area_sum(g, g.Mul(g.Sub(1.0, output), target)), self.alpha)
        excess = g.Mul(self.area_sum(g, g.Mul(output, g.Sub(1.0, target))), self.beta)
        return g.Sub(1.0, g.Div(overlap, g.Add(g.Sum(overlap, missed, excess), EPSILON)))
