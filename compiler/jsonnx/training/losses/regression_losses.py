"""Losses of numbers and of vectors."""

from __future__ import annotations

from itertools import pairwise
from math import log
from typing import TYPE_CHECKING

from ...core.components import attr
from ...core.types import TensorType, require
from ..numerics import EPSILON, unit_vectors
from .losses import LOSSES, AxisLoss, Loss

if TYPE_CHECKING:
    from ...ir import Builder, Value


class RegressionLoss(Loss):
    """Base of the losses that compare numbers, not classes."""


class DifferenceLoss(RegressionLoss):
    """Base of the losses of `target - output`, which have the same minimum for standardized values."""


@LOSSES.register("mean_squared_error", "mse", "MSE")
class MeanSquaredError(DifferenceLoss):
    """Mean of the squared errors over the last axis."""

    formula = "loss = mean((y_true - y_pred) ** 2, axis=-1)"

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        error = g.Sub(output, target)
        return g.Mul(error, error)


@LOSSES.register("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(DifferenceLoss):
    """Mean of the absolute errors over the last axis."""

    formula = "loss = mean(abs(y_true - y_pred), axis=-1)"

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Abs(g.Sub(output, target))


@LOSSES.register("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(RegressionLoss):
    """Mean of the absolute errors over the last axis, in percent of the targets."""

    formula = "loss = 100 * mean(abs(y_true - y_pred) / maximum(abs(y_true), 1e-7), axis=-1)"

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        percent = g.Div(100.0, g.Max(g.Abs(target), EPSILON))
        return g.Mul(g.Abs(g.Sub(output, target)), percent)


@LOSSES.register("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(RegressionLoss):
    """Mean of the squared differences of logarithms over the last axis; negative numbers count as 0."""

    formula = """
        log_true, log_pred = log(1 + maximum(y_true, 1e-7)), log(1 + maximum(y_pred, 1e-7))
        loss = mean((log_true - log_pred) ** 2, axis=-1)
    """

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        logs = [g.Log(g.Add(g.Max(x, EPSILON), 1.0)) for x in (output, target)]
        error = g.Sub(*logs)
        return g.Mul(error, error)


@LOSSES.register("huber")
class Huber(DifferenceLoss):
    """Mean of half the squared errors over the last axis; linear where the absolute error exceeds `delta`."""

    formula = """
        error = abs(y_true - y_pred)
        linear = delta * error - delta ** 2 / 2
        loss = mean(where(error <= delta, error ** 2 / 2, linear), axis=-1)
    """
    delta: float = attr(1.0, doc="Error at which the loss becomes linear.", minimum=0)

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        """Both branches are c * (error - c / 2), where c is the error clipped to [-delta, delta]."""
        error = g.Sub(output, target)
        clipped = g.Clip(error, -self.delta, self.delta)
        return g.Mul(clipped, g.Sub(error, g.Mul(clipped, 0.5)))


@LOSSES.register("log_cosh")
class LogCosh(DifferenceLoss):
    """Mean of the logarithm of the hyperbolic cosine of the error over the last axis: like half the square for small
    errors, linear for large ones."""

    formula = "loss = mean(log(cosh(y_true - y_pred)), axis=-1)"

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        error = g.Sub(output, target)
        return g.Sub(g.Add(error, g.Softplus(g.Mul(error, -2.0))), log(2.0))


@LOSSES.register("quantile")
class Quantile(DifferenceLoss):
    """Mean of the pinball loss over the quantiles on the last axis of the output, which the target lacks (Koenker and
    Bassett, 1978). Models sort what they predict."""

    formula = """
        error, q = y_true[..., None] - y_pred, array(quantiles)
        loss = mean(maximum(q * error, (q - 1) * error), axis=-1)
    """
    keras_name = ""
    quantiles: tuple[float, ...] = attr(
        (0.1, 0.5, 0.9), doc="Quantiles on the last axis of the output, in ascending order.", above=0, below=1
    )
    has_class_targets = False
    has_quantiles = True

    @property
    def middle(self) -> int:
        """The index of the quantile that metrics of numbers take: the one next to the median."""
        return min(range(len(self.quantiles)), key=lambda index: abs(self.quantiles[index] - 0.5))

    def point_types(self, output: TensorType) -> tuple[TensorType, TensorType]:
        target = self.target_type(output)
        target = target.with_shape((*target.shape, 1)) if target.rank == 1 else target
        return target, target

    def point_values(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        point = g.Gather(output, g.const(self.middle, "int64"), axis=-1)
        return (g.Unsqueeze(target, [-1]), g.Unsqueeze(point, [-1])) if target.rank == 1 else (target, point)

    def target_type(self, output: TensorType) -> TensorType:
        given, count = list(self.quantiles), len(self.quantiles)
        is_ascending = count > 0 and all(low < high for low, high in pairwise(given))
        require(is_ascending, f"needs quantiles in ascending order, got {given}", code="invalid-value")
        help = f"give it {count} units; [horizon, {count}] for windows, with a Reshape as the last layer"
        units = output.shape[-1] if output.rank > 1 else 1
        require(units == count, f"needs the {count} quantiles {given} on the last axis, got {output}", help)
        return output.with_shape(output.shape[:-1])

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        error = g.Sub(g.Unsqueeze(target, [-1]), output)
        above, below = ([q + offset for q in self.quantiles] for offset in (0.0, -1.0))
        return g.Max(*(g.Mul(error, g.const(factors, error.dtype)) for factors in (above, below)))


@LOSSES.register("cosine_similarity")
class CosineSimilarity(AxisLoss):
    """The negated cosine of the angle between target and output: -1 if they have the same direction."""

    formula = """
        u = y_true / maximum(sqrt(sum(y_true ** 2, axis, keepdims=True)), 1e-7)
        v = y_pred / maximum(sqrt(sum(y_pred ** 2, axis, keepdims=True)), 1e-7)
        loss = -sum(u * v, axis)
    """
    axis: int = attr(-1, doc="Axis of the vectors.")

    def target_type(self, output: TensorType) -> TensorType:
        size = super().target_type(output).static_size(self.axis)
        help = "use a loss of numbers, such as mse, or give the output more units"
        require(size > 1, f"compares the directions of vectors, and {output} has one number on axis {self.axis}", help)
        return output

    def terms(self, g: Builder, target: Value, output: Value) -> Value:
        scaled = g.Mul(unit_vectors(g, target, self.axis), -float(output.shape[self.axis]))
        return g.Mul(scaled, unit_vectors(g, output, self.axis))
