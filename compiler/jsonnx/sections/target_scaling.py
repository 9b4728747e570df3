"""Transformed and normalized targets: an output in the unit of its target, whose loss compares other values.

The loss compares transformed targets with the network's own values, after both are standardized if `normalize` says so;
the model computes the inverse. What is learned from the training data are states, for each feature along the last axis:
`OUTPUT/target/lambda` of the Yeo-Johnson transform, `OUTPUT/target/mean` and `OUTPUT/target/variance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from ..core.reserved_names import target_name
from ..core.types import TensorType
from ..training.numerics import EPSILON
from ..training.target_form import MAX_LOG, TargetForm
from ..training.weights.initializers import Ones, Zeros

if TYPE_CHECKING:
    import numpy as np

    from ..core.diagnostics import JsonPath
    from ..ir import Builder, Value

MIN_LOG_ARGUMENT = 1e-30
"""Lower bound of values whose logarithm is taken, such as those of masked positions."""
MIN_POWER = 1e-3
"""Least absolute exponent that divides: below, `(exp(p * x) - 1) / p` and its inverse are the sums of a series."""


def has_scalable_type(output: TensorType) -> bool:
    """Whether an output has floating-point numbers, with a known number of features."""
    return output.dtype.startswith("float") and all(isinstance(size, int) for size in output.shape[1:][-1:])


class TargetScaling(NamedTuple):
    """The form of the target of an output, with the values of its states."""

    output: str
    path: JsonPath
    form: TargetForm
    power: Value | None
    mean: Value | None
    deviation: Value | None

    @staticmethod
    def of(g: Builder, output: str, type: TensorType, path: JsonPath, form: TargetForm) -> TargetScaling:
        """Emits the states of an output, outside of any layer."""
        shape = form.statistics_shape(type)
        power = mean = deviation = None
        with g.scope(target_name(output), path):
            if form.transform == "yeo_johnson":
                power = g.state("lambda", shape, Ones())
            if form.is_normalized:
                mean, variance = g.state("mean", shape, Zeros()), g.state("variance", shape, Ones())
                deviation = g.Max(g.Sqrt(variance), EPSILON)
            return TargetScaling(output, path, form, power, mean, deviation)

    def normalized(self, g: Builder, target: Value) -> Value:
        """Transformed and standardized values of a target."""
        with g.scope(target_name(self.output), self.path):
            y = self._transformed(g, target)
            return y if self.mean is None else g.Div(g.Sub(y, self.mean), self.deviation)

    def normalized_output(self, g: Builder, output: Value) -> Value:
        """Transformed and standardized values of an output."""
        return self._for_output(g).normalized(g, output)

    def denormalized(self, g: Builder, x: Value) -> Value:
        """Values of an output in the unit of the target, from those of the network."""
        with g.scope(target_name(self.output), self.path):
            own = self._for_output(g)
            y = x if own.mean is None else g.Add(g.Mul(x, own.deviation), own.mean)
            y = own._restored(g, y)
            if self.form.has_quantiles and y.shape[-1] != 1:
                y, _ = g.TopK(y, g.const([y.shape[-1]], "int64"), axis=-1, largest=0, sorted=1, outputs=2)
            return g.refine(y, x.shape)

    def _for_output(self, g: Builder) -> TargetScaling:
        """The scaling with statistics that have an axis for the quantiles of the output."""
        if not self.form.has_quantiles:
            return self
        with g.scope(target_name(self.output), self.path):
            given = (self.power, self.mean, self.deviation)
            power, mean, deviation = (None if value is None else g.Unsqueeze(value, [-1]) for value in given)
            return self._replace(power=power, mean=mean, deviation=deviation)

    def _transformed(self, g: Builder, x: Value) -> Value:
        if self.form.transform == "log":
            return g.Log(g.Max(x, MIN_LOG_ARGUMENT))
        if self.form.transform == "log1p":
            return g.Log(g.Max(g.Add(x, 1.0), MIN_LOG_ARGUMENT))
        if self.power is None:
            return x
        power = self._own_power(g, x)
        magnitude = g.Log(g.Add(g.Abs(x), 1.0))
        product = g.Mul(power, magnitude)
        series = _series(g, magnitude, product, (1 / 2, 1 / 6))
        return g.Mul(g.Sign(x), _choose(g, power, series, g.Sub(g.Exp(product), 1.0)))

    def _restored(self, g: Builder, y: Value) -> Value:
        if self.form.transform is None:
            return y
        if self.power is None:
            restored = g.Exp(g.Min(y, MAX_LOG))
            return restored if self.form.transform == "log" else g.Sub(restored, 1.0)
        power, magnitude = self._own_power(g, y), g.Abs(y)
        product = g.Mul(power, magnitude)
        series = _series(g, magnitude, product, (-1 / 2, 1 / 3))
        logarithm = _choose(g, power, series, g.Log(g.Max(g.Add(product, 1.0), MIN_LOG_ARGUMENT)))
        return g.Mul(g.Sign(y), g.Sub(g.Exp(g.Min(logarithm, MAX_LOG)), 1.0))

    def _own_power(self, g: Builder, x: Value) -> Value:
        """The exponent of the Yeo-Johnson transform for a value: lambda, and below 0 its difference from 2."""
        assert self.power is not None
        return g.Where(g.Less(x, 0.0), g.Sub(2.0, self.power), self.power)


def _series(g: Builder, x: Value, product: Value, coefficients: tuple[float, float]) -> Value:
    """`x * (1 + a * product + b * product**2)`."""
    second, third = coefficients
    return g.Mul(x, g.Add(g.Mul(product, g.Add(g.Mul(product, third), second)), 1.0))


def _choose(g: Builder, power: Value, series: Value, numerator: Value) -> Value:
    """The numerator over the exponent, or the series where that is about 0."""
    is_small = g.Less(g.Abs(power), MIN_POWER)
    return g.Where(is_small, series, g.Div(numerator, g.Where(is_small, g.const(1.0, power.dtype), power)))


# -- what is learned ---------------------------------------------------------------------------------------------------


def target_statistics_of(output: str, form: TargetForm, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The learned statistics of the target of an output."""
    return {name: weights[f"{target_name(output)}/{name}"] for name in form.statistics}


def target_statistics(form: TargetForm, output: TensorType, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """The statistics of each feature of the target of an output; none without values."""
    from ..core.array_statistics import mean_and_variance
    from .yeo_johnson import learn_yeo_johnson, transformed

    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return {}
    axes = range(1, first.ndim)[-1:] if form.statistics_shape(output) else ()
    if form.transform == "yeo_johnson":
        learned = learn_yeo_johnson(chain([first], batches), axes)
        return {name: learned[name] for name in form.statistics}
    values = (transformed(batch, form.transform) for batch in chain([first], batches))
    mean, variance = mean_and_variance(values, axes)
    return {"mean": mean, "variance": variance}


def unmasked_target_statistics(
    form: TargetForm, output: TensorType, batches: Iterable[np.ndarray]
) -> dict[str, np.ndarray]:
    """As `target_statistics`, of batches that are NaN at masked positions."""
    has_features = bool(form.statistics_shape(output))
    first_values = ((batch, batch[..., 0] if has_features else batch) for batch in batches)
    return target_statistics(form, output, filter(len, (batch[first == first] for batch, first in first_values)))
