"""Metrics, as Keras 3 computes and names them.

A metric emits a vector of sums over a batch. The host adds these vectors over an epoch, in float64, and computes the
metric from the totals. So the metric of batches of different sizes is that of all their samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from ...core.components import Component, ComponentCodec, Json, Registry, attr
from ...core.metric_values import MetricValue
from ...core.signature.thresholds import Threshold
from ...core.types import ShapeError, TensorType, require
from ..losses import losses, margin_losses, regression_losses
from ..losses.losses import Loss, expand_rank, mean_over_trailing_axes
from ..output_form import OutputForm

if TYPE_CHECKING:
    from ...ir import Builder, Value

METRICS = Registry("metric", "A metric that is reported with the loss.", keras_format="keras.metrics.{class_name}")


class Metric(Component):
    """A metric that measures the quality of an output.

    `check` raises ShapeError if the metric does not accept the output and the target. `statistics` emits a float tensor
    of sums over a batch; `result` computes the metric from the totals. The mask of `statistics` is true, or a weight,
    for each position; its shape is that of the output without some of the last axes.
    """

    registry = METRICS
    higher_is_better: ClassVar[bool] = True
    """Whether higher metrics are better, which `early_stopping` needs to know."""
    counts_classes: ClassVar[bool] = True
    """Whether the metric measures the separation of classes, not the error of numbers."""
    result_expression: ClassVar[str] = "totals[0] / totals[1]"
    """`result` as an expression, for the manifest of an exported training step."""
    logits_arguments: ClassVar[Mapping[str, Json]] = {}
    """The arguments with which the metric takes logits in place of probabilities."""
    takes_quantiles: ClassVar[bool] = False
    """Whether the metric takes all quantiles of an output, not the one next to the median."""
    threshold_key: ClassVar[str] = ""
    """The attribute with the threshold of the scores; empty if the metric has none."""
    label_cuts: ClassVar[tuple[float, ...] | None] = None
    """Of a metric with the default threshold: the thresholds of the output's labels, in the numbers of the output."""
    name: str | None = attr(None, doc="Name under which the metric is reported; by default its type.")

    @property
    def reported_name(self) -> str:
        return self.name or self.type_name

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        """The metric for an output and its loss: `accuracy` becomes a specific metric, all others return themselves.

        Raises ShapeError like `check`.
        """
        self.check(*loss.point_types(output))
        return self

    def output_form(self, output: TensorType) -> OutputForm:
        """The form of the numbers that the metric takes from an output."""
        return OutputForm.NUMBERS

    def is_always_one(self, output: TensorType) -> bool:
        """Whether the metric is 1 for all values of an output."""
        return False

    def check(self, target: TensorType, output: TensorType) -> None:
        require(has_same_type(target, output), f"needs a target of the output's type {output}, the loss takes {target}")

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        """Raises ShapeError if the metric cannot skip the masked positions of an output."""

    def check_weights(self, loss: Loss, output: TensorType) -> None:
        """Raises ShapeError if the metric cannot take the sample weights of a loss."""
        help = "list it in `metrics`, without weights"
        try:
            weights = loss.sample_weight_type(output)
        except ShapeError as error:
            raise ShapeError(f"has no weights: the loss {loss.type_name} {error.message}", help) from None
        require(weights.shape == output.shape[: weights.rank], f"cannot take the weights {weights} of the loss", help)

    def counts(self, g: Builder, mask: Value | None, weights: Value | None) -> Value | None:
        """The mask for `statistics`: how much each position counts, by the output's mask and by sample weights."""
        if mask is None or weights is None:
            return mask if weights is None else weights
        return g.Mul(weights, expand_rank(g, g.cast(mask, weights.dtype), weights))

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        raise NotImplementedError

    @property
    def is_scalar(self) -> bool:
        """Whether the metric is a number rather than a list."""
        return True

    @property
    def keeps_samples(self) -> bool:
        """Whether the statistics are rows of samples, which are concatenated over batches instead of added."""
        return False

    def result(self, totals: Any) -> MetricValue:
        return quotient(totals)

    @property
    def has_default_threshold(self) -> bool:
        """Whether the metric has the default threshold of 0.5, which the threshold of an output replaces."""
        return bool(self.threshold_key) and getattr(self, self.threshold_key) == 0.5

    def with_default_threshold(self, threshold: Threshold) -> Metric:
        """The metric with another threshold, in the numbers of the output, where it has the default one."""
        if not self.has_default_threshold:
            return self
        key = "label_cuts" if isinstance(threshold, tuple) else self.threshold_key
        return self.replace(**{key: threshold})

    def decisions(self, g: Builder, output: Value) -> Value:
        """The output; with thresholds by label, 1 where a number exceeds the threshold of its label, else 0."""
        if self.label_cuts is None:
            return output
        return g.cast(g.Greater(output, g.const([*self.label_cuts], output.dtype)), output.dtype)

    def axis_labels(self, classes: Sequence[str]) -> list[Sequence[str]]:
        """The labels along the axes of a metric that is a list, given those of the output's classes."""
        return [classes]


class MetricCodec(ComponentCodec):
    """A metric that is given as a string is reported under that string: `mae` as `mae`."""

    def __init__(self) -> None:
        super().__init__(METRICS)

    def read(self, value: Json) -> Component:
        return super().read({"type": value, "name": value} if isinstance(value, str) else value)

    def write(self, value: Component) -> Json:
        written = super().write(value)
        name = getattr(value, "name", None) or ""
        is_bare_name = written == {"type": value.type_name, "name": name} and METRICS.by_name.get(name) is type(value)
        return name if is_bare_name else written


def quotient(totals: Any) -> float:
    """The quotient of two sums, as `Metric.result_expression` says."""
    return float(totals[0] / totals[1])


def form_for_thresholds(*thresholds: float) -> OutputForm:
    """The form of the outputs that thresholds divide: between 0 and 1, they are thresholds of probabilities."""
    is_probability = any(0 < threshold < 1 for threshold in thresholds)
    return OutputForm.UNITS_FROM_0_TO_1 if is_probability else OutputForm.NUMBERS


def has_same_type(target: TensorType, output: TensorType) -> bool:
    return target.rank == output.rank and target.dtype == output.dtype


def sum_and_count(g: Builder, values: Value, mask: Value | None = None) -> Value:
    """`[sum, count]`, whose quotient is the mean over the samples of the mean within each sample.

    If all samples have the same size, elements are counted instead, which keeps integers exact. Values where the mask
    is false do not count; a mask of numbers says how much each value counts.
    """
    counts = None if mask is None else g.cast(mask, values.dtype)
    if counts is not None:
        values = g.Mul(mean_over_trailing_axes(g, values, counts.rank), counts)
    if not all(isinstance(size, int) for size in values.shape[1:]):
        values = mean_over_trailing_axes(g, values, 1)
        counts = None if counts is None else mean_over_trailing_axes(g, counts, 1)
    count = g.cast(g.Size(values), values.dtype) if counts is None else g.ReduceSum(counts, keepdims=0)
    return g.Concat(g.Reshape(g.ReduceSum(values, keepdims=0), [1]), g.Reshape(count, [1]), axis=0)


# -- accuracies --------------------------------------------------------------------------------------------------------


ZERO_THRESHOLD: Mapping[str, Json] = {"threshold": 0}
"""The threshold of logits that is 0.5 of their sigmoid."""


class AccuracyMetric(Metric):
    """Base of the accuracies: the fraction of samples, or of positions, that are hits."""

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        raise NotImplementedError

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return sum_and_count(g, g.cast(self.is_hit(g, target, output), "float32"), mask)


class SparseAccuracyMetric(AccuracyMetric):
    """Base of the accuracies that compare class scores with class indices."""

    def check(self, target: TensorType, output: TensorType) -> None:
        fits = target.dtype == "int64" and target.rank == output.rank - 1
        require(fits, f"needs class indices as the target of {output}, the loss takes {target}")


@METRICS.register("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(SparseAccuracyMetric):
    """Fraction of samples whose most likely class is the target, a class index."""

    formula = "metric = mean(argmax(y_pred, axis=-1) == y_true)"

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Equal(g.ArgMax(output, axis=-1, keepdims=0), target)


@METRICS.register("categorical_accuracy")
class CategoricalAccuracy(AccuracyMetric):
    """Fraction of samples whose most likely class equals the target's, which contains class probabilities."""

    formula = "metric = mean(argmax(y_pred, axis=-1) == argmax(y_true, axis=-1))"

    def is_always_one(self, output: TensorType) -> bool:
        return output.shape[-1] == 1

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Equal(*(g.ArgMax(x, axis=-1, keepdims=0) for x in (output, target)))


@METRICS.register("binary_accuracy")
class BinaryAccuracy(AccuracyMetric):
    """Fraction of correct elements: above the threshold where the target is 1, otherwise not above it."""

    formula = "metric = mean((y_pred > threshold) == y_true)"
    logits_arguments = ZERO_THRESHOLD
    threshold_key = "threshold"
    threshold: float = attr(0.5, doc="Outputs above the threshold count as 1.")

    def output_form(self, output: TensorType) -> OutputForm:
        return form_for_thresholds(self.threshold)

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        return g.Equal(g.cast(g.Greater(output, self.threshold), target.dtype), target)


@METRICS.register("accuracy", "acc")
class Accuracy(Metric):
    """Fraction of correct predictions: `binary_accuracy` for an output with one element, else the accuracy for the type
    of the targets.

    This is the meaning of the string `accuracy` in Keras. Keras' class Accuracy, which compares for equality, has no
    counterpart.
    """

    formula = """
        if y_pred.shape[-1] == 1:
            metric = mean((y_pred > 0.5) == y_true)
        elif y_true.ndim == y_pred.ndim:
            metric = mean(argmax(y_pred, axis=-1) == argmax(y_true, axis=-1))
        else:
            metric = mean(argmax(y_pred, axis=-1) == y_true)
    """

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        if output.shape[-1] == 1:
            kind: type[Metric] = BinaryAccuracy
        else:
            kind = CategoricalAccuracy if loss.target_type(output).rank == output.rank else SparseCategoricalAccuracy
        return kind(name=self.reported_name).resolve(loss, output)


def has_classes_up_to(k: int, output: TensorType) -> bool:
    """Whether an output has at most k classes, so that all are among the k most likely ones."""
    classes = output.shape[-1]
    return isinstance(classes, int) and classes <= k


def is_in_top_k(g: Builder, output: Value, score: Value, k: int) -> Value:
    """Whether fewer than k classes have a higher score."""
    higher = g.cast(g.Greater(output, score), "float32")
    return g.Less(g.ReduceSum(higher, [-1], keepdims=0), float(k))


@METRICS.register("top_k_categorical_accuracy")
class TopKCategoricalAccuracy(AccuracyMetric):
    """Fraction of samples whose target class is among the k most likely; targets are class probabilities."""

    formula = """
        score = take_along_axis(y_pred, argmax(y_true, axis=-1)[..., None], axis=-1)
        metric = mean(sum(y_pred > score, axis=-1) < k)
    """
    k: int = attr(5, doc="Number of most likely classes that count as correct.", minimum=1)

    def is_always_one(self, output: TensorType) -> bool:
        return has_classes_up_to(self.k, output)

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        number = g.ArgMax(target, axis=-1, keepdims=1)
        return is_in_top_k(g, output, g.GatherElements(output, number, axis=-1), self.k)


@METRICS.register("sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(SparseAccuracyMetric):
    """Fraction of samples whose target, a class index, is among the k most likely classes."""

    formula = """
        score = take_along_axis(y_pred, y_true[..., None], axis=-1)
        metric = mean(sum(y_pred > score, axis=-1) < k)
    """
    k: int = attr(5, doc="Number of most likely classes that count as correct.", minimum=1)
    from_sorted_ids: bool = attr(
        False,
        doc="Whether the output contains class indices, most likely first.",
        unsupported="Outputs are class scores.",
    )

    def is_always_one(self, output: TensorType) -> bool:
        return has_classes_up_to(self.k, output)

    def is_hit(self, g: Builder, target: Value, output: Value) -> Value:
        return is_in_top_k(g, output, g.GatherElements(output, g.Unsqueeze(target, [-1]), axis=-1), self.k)


# -- errors and losses -------------------------------------------------------------------------------------------------


@METRICS.register("root_mean_squared_error")
class RootMeanSquaredError(Metric):
    """Square root of the mean squared error over all elements of all samples, including masked ones, as in Keras."""

    formula = "metric = sqrt(mean((y_true - y_pred) ** 2))"
    higher_is_better = counts_classes = False
    result_expression = f"sqrt({Metric.result_expression})"

    def counts(self, g: Builder, mask: Value | None, weights: Value | None) -> Value | None:
        return weights

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        error = g.Sub(output, target)
        return sum_and_count(g, g.Mul(error, error), mask)

    def result(self, totals: Any) -> float:
        return sqrt(quotient(totals))


class MeanLossMetric(Metric):
    """The mean of a loss over all samples. Attributes other than `name` are the loss' own."""

    higher_is_better = counts_classes = False
    loss_class: ClassVar[type[Loss]]

    def loss(self) -> Loss:
        """The loss with this metric's arguments."""
        return self.loss_class(**{name: getattr(self, name) for name in self.attributes if name != "name"})

    def check(self, target: TensorType, output: TensorType) -> None:
        expected = self.loss().target_type(output)
        require(has_same_type(target, expected), f"needs the target {expected}, the loss takes {target}")

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        self.loss().check_mask(output, mask)

    def output_form(self, output: TensorType) -> OutputForm:
        return self.loss().output_form

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return sum_and_count(g, self.loss().unreduced_losses(g, target, output), mask)


def mean_formula(loss_class: type[Loss]) -> str:
    """The formula of the mean of a loss."""
    return f"{loss_class.formula}\nmetric = mean(loss)"


def register_mean_loss(loss_class: type[Loss], doc: str, *names: str, class_name: str = "") -> None:
    """Registers the mean of a loss without attributes as a metric."""
    members = {
        "__doc__": doc,
        "__module__": __name__,
        "loss_class": loss_class,
        "formula": mean_formula(loss_class),
    }
    METRICS.register(*names)(type(class_name or loss_class.__name__, (MeanLossMetric,), members))


register_mean_loss(
    regression_losses.MeanSquaredError, "Mean of the squared errors.", "mean_squared_error", "mse", "MSE"
)
register_mean_loss(
    regression_losses.MeanAbsoluteError, "Mean of the absolute errors.", "mean_absolute_error", "mae", "MAE"
)
register_mean_loss(
    regression_losses.MeanAbsolutePercentageError,
    "Mean of the absolute errors, in percent of the targets.",
    *("mean_absolute_percentage_error", "mape", "MAPE"),
)
register_mean_loss(
    regression_losses.MeanSquaredLogarithmicError,
    "Mean of the squared differences of logarithms; negative numbers count as 0.",
    *("mean_squared_logarithmic_error", "msle", "MSLE"),
)
register_mean_loss(
    regression_losses.LogCosh,
    "Mean of the logarithm of the hyperbolic cosine of the error.",
    "logcosh",
    "log_cosh_error",
    class_name="LogCoshError",
)


@METRICS.register("cosine_similarity")
class CosineSimilarity(MeanLossMetric):
    """Mean cosine of the angle between target and output: 1 if they have the same direction."""

    formula = """
        u = y_true / maximum(sqrt(sum(y_true ** 2, axis, keepdims=True)), 1e-7)
        v = y_pred / maximum(sqrt(sum(y_pred ** 2, axis, keepdims=True)), 1e-7)
        metric = mean(sum(u * v, axis))
    """
    axis: int = attr(-1, doc="Axis of the vectors.")
    higher_is_better = True
    loss_class = regression_losses.CosineSimilarity
    result_expression = f"-{Metric.result_expression}"

    def result(self, totals: Any) -> float:
        return -quotient(totals)  # the loss is the negated cosine


@METRICS.register("binary_crossentropy", "bce", "BCE")
class BinaryCrossentropy(MeanLossMetric):
    """Mean of the binary cross-entropy."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc=losses.BINARY_SMOOTHING_DOC, minimum=0, maximum=1)
    loss_class = losses.BinaryCrossentropy
    formula = mean_formula(losses.BinaryCrossentropy).replace(", axis)", ", axis=-1)")
    logits_arguments = losses.FROM_LOGITS


@METRICS.register("categorical_crossentropy")
class CategoricalCrossentropy(MeanLossMetric):
    """Mean of the categorical cross-entropy."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    label_smoothing: float = attr(0.0, doc=losses.CATEGORICAL_SMOOTHING_DOC, minimum=0, maximum=1)
    axis: int = attr(-1, doc="Axis of the classes.")
    loss_class = losses.CategoricalCrossentropy
    formula = mean_formula(losses.CategoricalCrossentropy)
    logits_arguments = losses.FROM_LOGITS


@METRICS.register("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(MeanLossMetric):
    """Mean of the sparse categorical cross-entropy. As in Keras, ignored positions count as a loss of zero."""

    from_logits: bool = attr(False, doc=losses.FROM_LOGITS_DOC)
    ignore_class: int | None = attr(None, doc="Class index; positions with this target have no loss.")
    axis: int = attr(-1, doc="Axis of the classes; only the last axis is supported.")
    loss_class = losses.SparseCategoricalCrossentropy
    formula = mean_formula(losses.SparseCategoricalCrossentropy)
    logits_arguments = losses.FROM_LOGITS


register_mean_loss(losses.KLDivergence, "Mean of the Kullback-Leibler divergence.", "kl_divergence")
register_mean_loss(losses.Poisson, "Mean of the negative log-likelihood of counts.", "poisson")
register_mean_loss(margin_losses.Hinge, "Mean of how far scores miss a margin of 1.", "hinge")
register_mean_loss(
    margin_losses.SquaredHinge, "Mean of the squares of how far scores miss a margin of 1.", "squared_hinge"
)
register_mean_loss(margin_losses.CategoricalHinge, "Mean of the categorical hinge loss.", "categorical_hinge")
