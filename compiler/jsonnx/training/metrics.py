"""Metrics: what is reported, summed over batches exactly. As Keras 3 computes and names them.

A metric emits additive statistics of a batch, a vector; the host adds them up over an epoch in float64 and makes one
number of the totals. So a metric over unequal batches is that over all their samples.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.components import Component, ComponentCodec, Json, Registry, attr
from ..core.types import TensorType, require
from . import losses, margin_losses
from .losses import Loss

if TYPE_CHECKING:
    from ..ir import Builder, Value

METRICS = Registry("metric", "What is reported beside the loss.")


class Metric(Component):
    """A number that says how good an output is.

    `check` raises ShapeError where output and target do not suit it; `statistics` emits a float32 vector that adds up
    over batches, of the places where a mask is true if there is one; `result` makes the number of the sums.
    """

    registry = METRICS
    formula: ClassVar[str] = "totals[0] / totals[1]"
    """`result` in words."""
    name: str | None = attr(None, doc="Name it is reported under, where that is not its type's.")

    @property
    def reported_name(self) -> str:
        return self.name or self.type_name

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        """The metric that is meant, given the loss and the type of the output; itself, unless it is a short name.

        Raises ShapeError where it suits neither.
        """
        self.check(loss.target_type(output), output)
        return self

    def check(self, target: TensorType, output: TensorType) -> None:
        require(has_same_type(target, output), f"needs a target of the output's type {output}, the loss takes {target}")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        raise NotImplementedError

    def result(self, totals: Any) -> float:
        return float(totals[0] / totals[1])


class MetricCodec(ComponentCodec):
    """A metric as a name alone is reported under that name, as it stands: `mae` as `mae`."""

    def __init__(self) -> None:
        super().__init__(METRICS)

    def read(self, value: Json) -> Component:
        return super().read({"type": value, "name": value} if isinstance(value, str) else value)

    def write(self, value: Component) -> Json:
        written = super().write(value)
        name = getattr(value, "name", None) or ""
        alone = written == {"type": value.type_name, "name": name} and METRICS.by_name.get(name) is type(value)
        return name if alone else written


def has_same_type(target: TensorType, output: TensorType) -> bool:
    return target.rank == output.rank and target.dtype == output.dtype


def sum_and_count(g: Builder, values: Value, mask: Value | None = None) -> Value:
    """`[sum, number]`, whose quotient is the mean over samples of the mean within each sample.

    Where all samples are of one size the elements are counted instead, which keeps whole numbers whole. Where a mask
    is false values do not count.
    """
    counted = None if mask is None else g.cast(mask, values.dtype)
    if counted is not None:
        values = g.Mul(losses.mean_over_trailing_axes(g, values, counted.rank), counted)
    if not all(isinstance(size, int) for size in values.shape[1:]):
        values = losses.mean_over_trailing_axes(g, values, 1)
        counted = None if counted is None else losses.mean_over_trailing_axes(g, counted, 1)
    number = g.cast(g.Size(values), values.dtype) if counted is None else g.ReduceSum(counted, keepdims=0)
    return g.Concat(g.Reshape(g.ReduceSum(values, keepdims=0), [1]), g.Reshape(number, [1]), axis=0)


def hit_statistics(g: Builder, hit: Value, mask: Value | None) -> Value:
    """The statistics of how often a condition holds."""
    return sum_and_count(g, g.cast(hit, "float32"), mask)


# -- how often right ---------------------------------------------------------------------------------------------------


class SparseMetric(Metric):
    """Compares the scores of classes with class numbers."""

    def check(self, target: TensorType, output: TensorType) -> None:
        fits = target.dtype == "int64" and target.rank == output.rank - 1
        require(fits, f"needs class numbers as the target of {output}, the loss takes {target}")


@METRICS.register("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(SparseMetric):
    """Share of samples whose likeliest class is the target, a class number."""

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return hit_statistics(g, g.Equal(g.ArgMax(output, axis=-1, keepdims=0), target), mask)


@METRICS.register("categorical_accuracy")
class CategoricalAccuracy(Metric):
    """Share of samples whose likeliest class is that of the target, probabilities of the classes."""

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return hit_statistics(g, g.Equal(*(g.ArgMax(x, axis=-1, keepdims=0) for x in (output, target))), mask)


@METRICS.register("binary_accuracy")
class BinaryAccuracy(Metric):
    """Share of elements that are above the threshold where the target is 1, and not above it where the target is 0."""

    threshold: float = attr(0.5, doc="What an output must exceed to count as 1.")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        above = g.cast(g.Greater(output, self.threshold), target.dtype)
        return hit_statistics(g, g.Equal(above, target), mask)


@METRICS.register("accuracy", "acc")
class Accuracy(Metric):
    """Share of correct predictions: binary where the output has one element, else by class, as the target is.

    It is what Keras means by the name; Keras' class Accuracy, which asks for equal numbers, has no counterpart.
    """

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        if output.shape[-1] == 1:
            kind: type[Metric] = BinaryAccuracy
        else:
            kind = CategoricalAccuracy if loss.target_type(output).rank == output.rank else SparseCategoricalAccuracy
        return kind(name=self.reported_name).resolve(loss, output)


def is_in_top_k(g: Builder, output: Value, score: Value, k: int) -> Value:
    """Whether fewer than k classes have a higher score."""
    higher = g.cast(g.Greater(output, score), "float32")
    return g.Less(g.ReduceSum(higher, [-1], keepdims=0), float(k))


@METRICS.register("top_k_categorical_accuracy")
class TopKCategoricalAccuracy(Metric):
    """Share of samples whose target class is among the k likeliest, the target being probabilities of the classes."""

    k: int = attr(5, doc="How many of the likeliest classes count.", minimum=1)

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        number = g.ArgMax(target, axis=-1, keepdims=1)
        return hit_statistics(g, is_in_top_k(g, output, g.GatherElements(output, number, axis=-1), self.k), mask)


@METRICS.register("sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(SparseMetric):
    """Share of samples whose target, a class number, is among the k likeliest classes."""

    k: int = attr(5, doc="How many of the likeliest classes count.", minimum=1)
    from_sorted_ids: bool = attr(
        False, doc="Whether the output is class numbers, best first.", unsupported="Outputs are scores of the classes."
    )

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        score = g.GatherElements(output, g.Unsqueeze(target, [-1]), axis=-1)
        return hit_statistics(g, is_in_top_k(g, output, score, self.k), mask)


# -- how far off -------------------------------------------------------------------------------------------------------


@METRICS.register("root_mean_squared_error")
class RootMeanSquaredError(Metric):
    """Root of the mean squared error over all elements of all samples, masked ones too, as in Keras."""

    formula = "sqrt(totals[0] / totals[1])"

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        error = g.Sub(output, target)
        return sum_and_count(g, g.Mul(error, error))

    def result(self, totals: Any) -> float:
        return sqrt(totals[0] / totals[1])


class MeanLossMetric(Metric):
    """The mean of a loss over all samples."""

    loss_class: ClassVar[type[Loss]]

    def loss(self) -> Loss:
        """The loss with this metric's arguments."""
        return self.loss_class(**{name: getattr(self, name) for name in self.attributes if name != "name"})

    def check(self, target: TensorType, output: TensorType) -> None:
        wanted = self.loss().target_type(output)
        require(has_same_type(target, wanted), f"needs the target {wanted}, the loss takes {target}")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return sum_and_count(g, self.loss().unreduced_losses(g, target, output), mask)


@METRICS.register("mean_squared_error", "mse", "MSE")
class MeanSquaredError(MeanLossMetric):
    """Mean of `(target - output) ** 2`."""

    loss_class = losses.MeanSquaredError


@METRICS.register("mean_absolute_error", "mae", "MAE")
class MeanAbsoluteError(MeanLossMetric):
    """Mean of `|target - output|`."""

    loss_class = losses.MeanAbsoluteError


@METRICS.register("mean_absolute_percentage_error", "mape", "MAPE")
class MeanAbsolutePercentageError(MeanLossMetric):
    """Mean of `100 * |(target - output) / target|`."""

    loss_class = losses.MeanAbsolutePercentageError


@METRICS.register("mean_squared_logarithmic_error", "msle", "MSLE")
class MeanSquaredLogarithmicError(MeanLossMetric):
    """Mean of `(log(1 + target) - log(1 + output)) ** 2`."""

    loss_class = losses.MeanSquaredLogarithmicError


@METRICS.register("logcosh", "log_cosh_error")
class LogCoshError(MeanLossMetric):
    """Mean of `log(cosh(target - output))`."""

    loss_class = losses.LogCosh


@METRICS.register("cosine_similarity")
class CosineSimilarity(MeanLossMetric):
    """Mean of the cosine of the angle between target and output: 1 is agreement."""

    axis: int = attr(-1, doc="Axis of the vectors.")
    loss_class = losses.CosineSimilarity
    formula = "-totals[0] / totals[1]"

    def result(self, totals: Any) -> float:
        return -float(totals[0] / totals[1])  # the loss is the negated cosine


@METRICS.register("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(MeanLossMetric):
    """Mean of the binary cross-entropy."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc="How far targets are drawn towards 1/2.", minimum=0, maximum=1)
    loss_class = losses.BinaryCrossentropy


@METRICS.register("categorical_crossentropy")
class CategoricalCrossentropy(MeanLossMetric):
    """Mean of the categorical cross-entropy."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc="Share of the target spread evenly over all classes.", minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis of the classes.")
    loss_class = losses.CategoricalCrossentropy


@METRICS.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(MeanLossMetric):
    """Mean of the sparse categorical cross-entropy; ignored positions count as zero loss, as in Keras."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    ignore_class: int | None = attr(None, doc="Class number whose positions have no loss.")
    axis: int = attr(-1, doc="Axis of the classes; the last one.")
    loss_class = losses.SparseCategoricalCrossentropy


@METRICS.register("kl_divergence")
class KLDivergence(MeanLossMetric):
    """Mean of the Kullback-Leibler divergence."""

    loss_class = losses.KLDivergence


@METRICS.register("poisson")
class Poisson(MeanLossMetric):
    """Mean of `output - target * log(output)`."""

    loss_class = losses.Poisson


@METRICS.register("hinge")
class Hinge(MeanLossMetric):
    """Mean of `max(1 - target * output, 0)`."""

    loss_class = margin_losses.Hinge


@METRICS.register("squared_hinge")
class SquaredHinge(MeanLossMetric):
    """Mean of `max(1 - target * output, 0) ** 2`."""

    loss_class = margin_losses.SquaredHinge


@METRICS.register("categorical_hinge")
class CategoricalHinge(MeanLossMetric):
    """Mean of the categorical hinge loss."""

    loss_class = margin_losses.CategoricalHinge
