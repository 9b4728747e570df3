"""Metrics of predicted numbers other than means of a loss: R2, correlations, relative errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from ...core.components import attr
from ...core.metric_values import MetricValue
from ...core.types import TensorType, require
from ..losses.losses import Loss
from ..losses.regression_losses import Quantile
from .class_counts import static_units, trailing_ones
from .metrics import METRICS, Metric, mean_formula, sum_and_count
from .threshold_metrics import Thresholds

if TYPE_CHECKING:
    from ...ir import Builder, Value


def column_sums(g: Builder, columns: list[Value | None], mask: Value | None) -> Value:
    """The weighted sums over samples of values [batch, units] in float64, as rows; None stands for ones."""
    (like,) = (x for x in columns[1:2] if x is not None)
    weights = g.cast(g.Equal(like, like), "float64")
    if mask is not None:
        weights = g.Mul(weights, g.cast(trailing_ones(g, mask, like.rank), "float64"))
    products = [weights if x is None else g.Mul(weights, x) for x in columns]
    return g.Concat(*(g.Reshape(g.ReduceSum(x, [0], keepdims=0), [1, -1]) for x in products), axis=0)


@METRICS.register()
class R2Score(Metric):
    """Coefficient of determination: the fraction of the variance of the targets that the output explains."""

    formula = """
        spread = sum((y_true - mean(y_true, axis=0)) ** 2, axis=0)
        r2 = 1 - sum((y_true - y_pred) ** 2, axis=0) / spread
        if class_aggregation == "uniform_average":
            r2 = mean(r2)
        elif class_aggregation == "variance_weighted_average":
            r2 = sum(spread * r2) / sum(spread)
        n = y_true.size  # as Keras counts samples
        freedom = n - num_regressors - 1
        metric = 1 - (1 - r2) * (n - 1) / freedom if freedom > 0 else r2
    """
    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = attr(
        "uniform_average",
        doc="How the scores of several numbers are combined: by their mean, or a mean weighted by the variances of the "
        "targets; null reports each score.",
    )
    num_regressors: int = attr(
        0, doc="Number of independent variables, for the adjusted R2; 0 for no adjustment.", minimum=0
    )
    counts_classes = False
    result_expression = "1 - errors / (squares - total**2 / count), where count, total, squares, errors = totals"

    @property
    def is_scalar(self) -> bool:
        return self.class_aggregation is not None

    def check(self, target: TensorType, output: TensorType) -> None:
        super().check(target, output)
        static_units(output, rank=2)

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        y, p = g.cast(target, "float64"), g.cast(output, "float64")
        error = g.Sub(y, p)
        return column_sums(g, [None, y, g.Mul(y, y), g.Mul(error, error)], mask)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import metric, r2_scores

        scores, spread = r2_scores(totals)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (spread * scores).sum() / spread.sum()
        samples = float(totals[0].sum())
        if 0 < self.num_regressors < samples - 1:
            scores = 1.0 - (1.0 - scores) * (samples - 1.0) / (samples - self.num_regressors - 1.0)
        return metric(scores)


class Correlation(Metric):
    """The correlation of target and output along an axis: the mean over all others."""

    axis: int = attr(
        -1,
        doc="Axis along which numbers are correlated; 0 correlates the samples, in each number of the output.",
    )
    counts_classes = False
    is_concordance: ClassVar[bool]

    def _is_over_samples(self, output: TensorType) -> bool:
        return self.axis in (0, -output.rank)

    def check(self, target: TensorType, output: TensorType) -> None:
        super().check(target, output)
        require(-output.rank <= self.axis < output.rank, f"needs an output with an axis {self.axis}, got {output}")
        help = '"axis": 0 correlates over the samples'
        require(output.shape[self.axis] != 1, f"correlates along an axis of size 1 of {output}", help)
        if self._is_over_samples(output):
            static_units(output, rank=2)

    def check_mask(self, output: TensorType, mask: TensorType) -> None:
        fits = self._is_over_samples(output) or mask.rank <= self.axis % output.rank
        require(fits, f"correlates along an axis that the mask {mask} of the output has")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        if self._is_over_samples(output.type):
            y, p = g.cast(target, "float64"), g.cast(output, "float64")
            return column_sums(g, [None, y, p, g.Mul(y, y), g.Mul(p, p), g.Mul(y, p)], mask)
        return sum_and_count(g, self._along_axis(g, target, output), mask)

    def _along_axis(self, g: Builder, y: Value, p: Value) -> Value:
        def mean(x: Value) -> Value:
            return g.ReduceMean(x, [self.axis], keepdims=1)

        y_mean, p_mean = mean(y), mean(p)
        y, p = g.Sub(y, y_mean), g.Sub(p, p_mean)
        covariance, y_variance, p_variance = mean(g.Mul(y, p)), mean(g.Mul(y, y)), mean(g.Mul(p, p))
        if not self.is_concordance:
            return g.Squeeze(g.Div(covariance, g.Sqrt(g.Mul(y_variance, p_variance))), [self.axis])
        distance = g.Sub(y_mean, p_mean)
        scale = g.Sum(y_variance, p_variance, g.Mul(distance, distance), g.const(1e-7))
        return g.Squeeze(g.Div(g.Mul(covariance, 2.0), scale), [self.axis])

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import correlation

        return correlation(totals, self.is_concordance) if totals.ndim == 2 else super().result(totals)


@METRICS.register()
class PearsonCorrelation(Correlation):
    """Pearson's correlation coefficient of target and output."""

    formula = """
        u = y_true - mean(y_true, axis, keepdims=True)
        v = y_pred - mean(y_pred, axis, keepdims=True)
        metric = mean(mean(u * v, axis) / sqrt(mean(u ** 2, axis) * mean(v ** 2, axis)))
    """
    is_concordance = False


@METRICS.register()
class ConcordanceCorrelation(Correlation):
    """Concordance correlation coefficient of target and output: 1 only if they are equal."""

    formula = """
        u = y_true - mean(y_true, axis, keepdims=True)
        v = y_pred - mean(y_pred, axis, keepdims=True)
        distance = mean(y_true, axis) - mean(y_pred, axis)
        spread = mean(u ** 2, axis) + mean(v ** 2, axis)
        metric = mean(2 * mean(u * v, axis) / (spread + distance ** 2))
    """
    is_concordance = True


@METRICS.register()
class MeanRelativeError(Metric):
    """Mean of the absolute errors, divided by a normalizer; 0 where the normalizer is 0."""

    formula = "metric = mean(divide_no_nan(abs(y_true - y_pred), normalizer))"
    keras_name = ""
    normalizer: Thresholds = attr(
        doc="What errors are divided by: a number, or a list of one for each number of the output."
    )
    higher_is_better = counts_classes = False

    def check(self, target: TensorType, output: TensorType) -> None:
        super().check(target, output)
        if isinstance(self.normalizer, tuple):
            units = output.shape[-1]
            count = len(self.normalizer)
            require(count in (1, units), f"has {count} numbers in `normalizer`, and the output is {output}")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        divisors = self.normalizer if isinstance(self.normalizer, tuple) else (self.normalizer,)
        factors = [0.0 if divisor == 0 else 1.0 / divisor for divisor in divisors]
        errors = g.Mul(g.Abs(g.Sub(target, output)), g.const(factors, "float32"))
        return sum_and_count(g, errors, mask)


class QuantileMetric(Metric):
    """Base of the metrics of all quantiles of an output, whose quantiles are those of its loss."""

    takes_quantiles = True
    counts_classes = False

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        message = f"measures predicted quantiles, and the loss is {loss.type_name}"
        require(isinstance(loss, Quantile), message, 'the loss {"type": "quantile", "quantiles": [0.1, 0.9]} has some')
        loss.target_type(output)
        return self


@METRICS.register("interval_coverage")
class IntervalCoverage(QuantileMetric):
    """Fraction of targets from the lowest to the highest predicted quantile: for 0.1 and 0.9, best about 0.8."""

    formula = "metric = mean((y_pred[..., 0] <= y_true) & (y_true <= y_pred[..., -1]))"
    keras_name = ""

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        lowest, highest = (g.Gather(output, g.const(index, "int64"), axis=-1) for index in (0, output.shape[-1] - 1))
        is_inside = g.And(g.LessOrEqual(lowest, target), g.LessOrEqual(target, highest))
        return sum_and_count(g, g.cast(is_inside, "float32"), mask)


@METRICS.register("mean_pinball_loss")
class MeanPinballLoss(QuantileMetric):
    """Mean of the pinball loss over all quantiles, in the unit of the target, also if that is transformed or
    normalized."""

    formula = mean_formula(Quantile)
    keras_name = ""
    higher_is_better = False
    quantiles: tuple[float, ...] | None = attr(None, doc="Quantiles of the output; null: those of the loss.")

    @property
    def loss(self) -> Loss:
        make: Any = Quantile
        return cast(Loss, make(quantiles=self.quantiles))

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        super().resolve(loss, output)
        assert isinstance(loss, Quantile)
        given = self.quantiles or loss.quantiles
        require(len(given) == len(loss.quantiles), f"has {len(given)} quantiles, and the loss {len(loss.quantiles)}")
        return self.replace(quantiles=given)

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        return sum_and_count(g, self.loss.unreduced_losses(g, target, output), mask)
