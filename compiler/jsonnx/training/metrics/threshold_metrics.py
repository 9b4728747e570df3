"""Metrics of scores above thresholds: precision, recall, the area under a curve and others.

Their statistics are a histogram of the scores: [label, is positive, number of thresholds below the score].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from ...core.components import ArrayCodec, NumberCodec, UnionCodec, attr
from ...core.metric_values import MetricValue
from ...core.types import TensorType, require
from ..losses.losses import Loss
from ..numerics import EPSILON
from ..output_form import OutputForm
from .class_counts import check_class_target, one_hot_target, static_units, weighted_counts
from .metrics import METRICS, Metric, form_for_thresholds

if TYPE_CHECKING:
    from ...ir import Builder, Value
    from .metric_arithmetic import Confusion

Average = Literal["micro", "macro", "weighted"]
Thresholds = Annotated[
    float | tuple[float, ...],
    UnionCodec(
        (lambda value: not isinstance(value, (list, tuple)), NumberCodec()),
        (lambda value: True, ArrayCodec(NumberCodec())),
    ),
]
"""A threshold, or a list of thresholds."""

THRESHOLDS_DOC = "Threshold above which a score counts as positive, or a list of them; 0.5 if null."
CLASS_ID_DOC = "Index of the only class that is considered; all if null."
LOWEST_SCORE = -1e10
"""The score of classes that are not among the most likely ones, and the threshold that all others exceed."""


def is_evenly_spaced(thresholds: tuple[float, ...]) -> bool:
    """Whether there are at least three thresholds, evenly spaced from 0 to 1, up to rounding."""
    even = [i / (len(thresholds) - 1) for i in range(len(thresholds))] if len(thresholds) > 2 else []
    return bool(even) and all(abs(a - b) <= EPSILON + 1e-5 * b for a, b in zip(thresholds, even, strict=True))


def evenly_spaced(count: int) -> tuple[float, ...]:
    return tuple(i / (count - 1) for i in range(count))


class ThresholdMetric(Metric):
    """A metric of the counts of true and false positives and negatives at some thresholds.

    The target may also be class indices, which stand for 1 for the class and 0 for all others.
    """

    class_id: int | None = None
    top_k: int | None = None

    @property
    def cuts(self) -> tuple[float, ...]:
        """The different thresholds in ascending order."""
        raise NotImplementedError

    @property
    def counts_all_scores(self) -> bool:
        """Whether a score of 0 counts as above a threshold of 0."""
        return False

    @property
    def is_by_label(self) -> bool:
        """Whether the labels of the output are counted one by one."""
        return False

    def output_form(self, output: TensorType) -> OutputForm:
        return form_for_thresholds(*self.cuts)

    def check(self, target: TensorType, output: TensorType) -> None:
        check_class_target(target, output)
        for name in ("class_id", "top_k"):
            value = getattr(self, name)
            if value is not None:
                units = static_units(output)
                fits = value < units if name == "class_id" else value <= units
                require(fits, f"has `{name}` {value}, and the output {output} has {units} classes")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        target, scores = self._scores(g, one_hot_target(g, target, output), output)
        labels = static_units(scores.type) if self.is_by_label else 1
        buckets = len(self.cuts) + 1
        is_positive = g.cast(g.Not(g.Equal(target, 0.0)), "int64")
        index = g.Add(g.Mul(is_positive, buckets), self._bucket(g, scores))
        if self.is_by_label:
            index = g.Add(index, g.positions(labels, "int64", step=2 * buckets))
        return weighted_counts(g, index, (labels, 2, buckets), self._weights(g, scores, mask))

    def _scores(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        """The targets and scores of the classes that count."""
        scores = g.cast(output, "float32")
        if self.top_k is not None:
            _, best = g.TopK(scores, [self.top_k], axis=-1, outputs=2)
            lowest = g.Min(scores, LOWEST_SCORE)
            scores = g.ScatterElements(lowest, best, g.GatherElements(scores, best, axis=-1), axis=-1)
        if self.class_id is not None:
            target, scores = (g.Gather(x, [self.class_id], axis=-1) for x in (target, scores))
        return target, scores

    def _weights(self, g: Builder, scores: Value, mask: Value | None) -> Value | None:
        """The weight of each score; None if all count the same."""
        return mask

    def _bucket(self, g: Builder, scores: Value) -> Value:
        """The number of thresholds below each score."""
        cuts = self.cuts
        if not is_evenly_spaced(cuts):
            above = g.cast(g.Greater(g.Unsqueeze(scores, [-1]), g.const(list(cuts), "float32")), "int64")
            return g.ReduceSum(above, [-1], keepdims=0)
        position = g.Ceil(g.Mul(g.Clip(scores, 0.0, 1.0), float(len(cuts) - 1)))
        bucket = g.cast(position, "int64")
        return g.Max(bucket, 1) if self.counts_all_scores else bucket

    def confusion(self, totals: Any) -> Confusion:
        """The counts [label, threshold]."""
        from .metric_arithmetic import confusion_of_buckets

        return confusion_of_buckets(totals)


class ListedThresholds(ThresholdMetric):
    """A metric with the attribute `thresholds`: a metric for each of them."""

    threshold_key = "thresholds"
    thresholds: Thresholds | None = attr(None, doc=THRESHOLDS_DOC, minimum=0, maximum=1)

    @property
    def _thresholds(self) -> tuple[float, ...]:
        if self.thresholds is None:
            return (0.5 if self.top_k is None else LOWEST_SCORE,)
        return self.thresholds if isinstance(self.thresholds, tuple) else (self.thresholds,)

    @property
    def cuts(self) -> tuple[float, ...]:
        return tuple(sorted(set(self._thresholds)))

    @property
    def is_scalar(self) -> bool:
        return len(self._thresholds) == 1

    @property
    def has_default_threshold(self) -> bool:
        return self.thresholds is None and self.top_k is None

    def check(self, target: TensorType, output: TensorType) -> None:
        require(len(self._thresholds) > 0, "needs at least one threshold")
        super().check(target, output)

    def at_thresholds(self, by_cut: Any) -> MetricValue:
        """The metrics at the thresholds as they are written, from those of each cut (the last axis)."""
        from .metric_arithmetic import metric

        columns = [self.cuts.index(threshold) for threshold in self._thresholds]
        return metric(by_cut[..., columns[0] if len(columns) == 1 else columns])

    def axis_labels(self, classes: Sequence[str]) -> list[Sequence[str]]:
        labels = [] if len(self._thresholds) == 1 else [[f"{threshold:g}" for threshold in self._thresholds]]
        return [*super().axis_labels(classes), *labels] if self.is_by_label else [*labels]


class ConfusionCount(ListedThresholds):
    """The number of samples in a cell of the confusion matrix."""

    cell: ClassVar[str]

    def result(self, totals: Any) -> MetricValue:
        return self.at_thresholds(getattr(self.confusion(totals), self.cell)[0])


_ABOVE = "totals[0, {}, i + 1:].sum()"
_UP_TO = "totals[0, {}, :i + 1].sum()"


@METRICS.register()
class TruePositives(ConfusionCount):
    """Number of scores above the threshold where the target is 1."""

    formula = "metric = [sum((y_true != 0) & (y_pred > threshold)) for threshold in thresholds]"
    cell, result_expression = "tp", _ABOVE.format(1)


@METRICS.register()
class FalsePositives(ConfusionCount):
    """Number of scores above the threshold where the target is 0."""

    formula = "metric = [sum((y_true == 0) & (y_pred > threshold)) for threshold in thresholds]"
    cell, result_expression, higher_is_better = "fp", _ABOVE.format(0), False


@METRICS.register()
class TrueNegatives(ConfusionCount):
    """Number of scores not above the threshold where the target is 0."""

    formula = "metric = [sum((y_true == 0) & (y_pred <= threshold)) for threshold in thresholds]"
    cell, result_expression = "tn", _UP_TO.format(0)


@METRICS.register()
class FalseNegatives(ConfusionCount):
    """Number of scores not above the threshold where the target is 1."""

    formula = "metric = [sum((y_true != 0) & (y_pred <= threshold)) for threshold in thresholds]"
    cell, result_expression, higher_is_better = "fn", _UP_TO.format(1), False


class PrecisionOrRecall(ListedThresholds):
    """A quotient of counts, of all labels together or of each."""

    top_k: int | None = attr(
        None, doc="Number of most likely classes that count as positive, instead of a threshold.", minimum=1
    )
    class_id: int | None = attr(None, doc=CLASS_ID_DOC, minimum=0)
    average: Average | None = attr(
        "micro",
        doc="Whether all classes are counted together (`micro`), or the mean over the classes is reported (`macro`, or "
        "`weighted` by their numbers of samples); null reports the metric of each class.",
    )
    quotient: ClassVar[str]

    @property
    def is_by_label(self) -> bool:
        return self.average != "micro"

    @property
    def is_scalar(self) -> bool:
        return super().is_scalar and self.average is not None

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        metric = self.replace(average="micro") if self.average is None and output.shape[-1] == 1 else self
        metric.check(loss.target_type(output), output)
        return metric

    def check(self, target: TensorType, output: TensorType) -> None:
        super().check(target, output)
        if self.is_by_label:
            static_units(output)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import averaged

        confusion = self.confusion(totals)
        by_label = getattr(confusion, self.quotient)
        metrics = by_label[0] if self.average == "micro" else averaged(by_label, confusion.support, self.average)
        return self.at_thresholds(metrics)


@METRICS.register()
class Precision(PrecisionOrRecall):
    """Fraction of the scores above the threshold whose target is 1."""

    formula = """
        hits = [sum((y_true != 0) & (y_pred > threshold)) for threshold in thresholds]
        metric = divide_no_nan(hits, [sum(y_pred > threshold) for threshold in thresholds])
    """
    quotient, result_expression = "precision", "tp / (tp + fp), where tp, fp = totals[:, ::-1, i + 1:].sum(-1).T"


@METRICS.register()
class Recall(PrecisionOrRecall):
    """Fraction of the targets of 1 whose score is above the threshold."""

    formula = """
        hits = [sum((y_true != 0) & (y_pred > threshold)) for threshold in thresholds]
        metric = divide_no_nan(hits, sum(y_true != 0))
    """
    quotient, result_expression = "recall", "tp / totals[:, 1].sum(-1), where tp = totals[:, 1, i + 1:].sum(-1)"
