"""Metrics of predicted classes: F-scores, intersection over union, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr
from ...core.metric_values import MetricValue
from ...core.types import TensorType, require
from ..losses.losses import Loss
from ..output_form import OutputForm
from .class_counts import (
    MAX_CLASSES,
    check_class_target,
    class_indices,
    one_hot_target,
    static_units,
    sums_by_class,
    weighted_counts,
)
from .metrics import METRICS, ZERO_THRESHOLD, Metric, form_for_thresholds

if TYPE_CHECKING:
    from ...ir import Builder, Value

SMALLEST_SCORE = 1e-9
"""Scores up to this size predict no class although they are the greatest."""


class FScore(Metric):
    """The weighted harmonic mean of precision and recall."""

    threshold_key = "threshold"
    average: Literal["micro", "macro", "weighted"] | None = attr(
        None,
        doc="Whether all classes are counted together (`micro`), or the mean over the classes is reported (`macro`, or "
        "`weighted` by their numbers of samples); null reports the score of each class.",
    )
    threshold: float | None = attr(
        None, doc="Scores above it predict a class; if null, the greatest score does.", above=0, maximum=1
    )
    beta: float
    result_expression = "(1 + beta**2) * tp / (beta**2 * actual + predicted), where tp, predicted, actual = totals"

    @property
    def is_scalar(self) -> bool:
        return self.average is not None

    def resolve(self, loss: Loss, output: TensorType) -> Metric:
        metric: Metric = self
        if output.shape[-1] == 1:
            metric = self.replace(average=self.average or "macro", threshold=self.threshold or 0.5)
        metric.check(loss.target_type(output), output)
        return metric

    def output_form(self, output: TensorType) -> OutputForm:
        return OutputForm.NUMBERS if self.threshold is None else form_for_thresholds(self.threshold)

    def check(self, target: TensorType, output: TensorType) -> None:
        check_class_target(target, output)
        static_units(output)

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        if self.threshold is None:
            is_greatest = g.GreaterOrEqual(output, g.ReduceMax(output, [-1], keepdims=1))
            is_predicted = g.And(is_greatest, g.Greater(g.Abs(output), SMALLEST_SCORE))
        else:
            is_predicted = g.Greater(output, self.threshold)
        actual = g.cast(one_hot_target(g, target, output), "float32")
        predicted = g.cast(is_predicted, "float32")
        rows = [sums_by_class(g, values, mask) for values in (g.Mul(actual, predicted), predicted, actual)]
        return g.Concat(*rows, axis=0)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import averaged, fbeta, metric

        tp, predicted, actual = totals.sum(-1) if self.average == "micro" else totals
        return metric(averaged(fbeta(tp, predicted, actual, self.beta), actual, self.average))


@METRICS.register("fbeta_score")
class FBetaScore(FScore):
    """Weighted harmonic mean of precision and recall.

    Of an output with one element, a `threshold` of null means 0.5.
    """

    formula = """
        is_largest = y_pred == max(y_pred, axis=-1, keepdims=True)
        p = is_largest if threshold is None else y_pred > threshold
        tp, predicted, actual = sum(y_true * p, axis=0), sum(p, axis=0), sum(y_true, axis=0)
        if average == "micro":
            tp, predicted, actual = sum(tp), sum(predicted), sum(actual)
        metric = divide_no_nan((1 + beta ** 2) * tp, beta ** 2 * actual + predicted)
        if average == "macro":
            metric = mean(metric)
        elif average == "weighted":
            metric = sum(metric * actual) / sum(actual)
    """
    beta: float = attr(1.0, doc="Weight of the recall; precision has the weight 1.", above=0)


@METRICS.register()
class F1Score(FScore):
    """Harmonic mean of precision and recall.

    Of an output with one element, a `threshold` of null means 0.5.
    """

    formula = """
        is_largest = y_pred == max(y_pred, axis=-1, keepdims=True)
        p = is_largest if threshold is None else y_pred > threshold
        tp, predicted, actual = sum(y_true * p, axis=0), sum(p, axis=0), sum(y_true, axis=0)
        if average == "micro":
            tp, predicted, actual = sum(tp), sum(predicted), sum(actual)
        metric = divide_no_nan(2 * tp, actual + predicted)
        if average == "macro":
            metric = mean(metric)
        elif average == "weighted":
            metric = sum(metric * actual) / sum(actual)
    """
    beta = 1.0


# -- intersection over union -------------------------------------------------------------------------------------------


class PairCounts(Metric):
    """A metric of the confusion matrix: the number of samples by class of the target and by predicted class."""

    def class_count(self, units: int) -> int:
        """The number of classes of an output with these units."""
        raise NotImplementedError

    def classes(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        """The indices of the target's and of the predicted classes; other numbers than classes are not counted."""
        raise NotImplementedError

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        count = self.class_count(static_units(output.type) if isinstance(output.shape[-1], int) else 0)
        actual, predicted = (g.cast(x, "int64") for x in self.classes(g, target, output))
        is_class = g.And(*(g.And(g.GreaterOrEqual(x, 0), g.Less(x, count)) for x in (actual, predicted)))
        index = g.Where(is_class, g.Add(g.Mul(actual, count), predicted), -1)
        return weighted_counts(g, index, (count, count), mask)


IGNORE_CLASS_DOC = "Class index; positions with this target do not count."
SPARSE_Y_TRUE_DOC = "Whether the target contains class indices, rather than a number for each class."
SPARSE_Y_PRED_DOC = "Whether the output contains class indices, rather than a score for each class."
TARGET_CLASSES_DOC = "Indices of the classes over which the mean is taken."


class IntersectionOverUnion(PairCounts):
    """Samples that have a class and are predicted to have it, divided by those for which one of both holds."""

    threshold: float | None = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1
    result_expression = "mean over classes of d / (totals.sum(0) + totals.sum(1) - d), where d = totals.diagonal()"

    num_classes: int
    target_class_ids: tuple[int, ...]

    def class_count(self, units: int) -> int:
        return self.num_classes

    @property
    def averaged_classes(self) -> list[int]:
        return list(self.target_class_ids)

    def output_form(self, output: TensorType) -> OutputForm:
        if self.threshold is not None:
            return form_for_thresholds(self.threshold)
        return OutputForm.CLASS_INDICES if self.sparse_y_pred else OutputForm.NUMBERS

    def check(self, target: TensorType, output: TensorType) -> None:
        ids = self.averaged_classes
        require(
            bool(ids) and max(ids) < self.num_classes, f"has the classes {ids} and `num_classes` {self.num_classes}"
        )
        require(-output.rank <= self.axis < output.rank, f"needs an output with an axis {self.axis}, got {output}")
        actual, predicted = target.shape, output.shape
        if not self.sparse_y_true and target.rank == output.rank:
            actual = _without(actual, self.axis)
        if not self.sparse_y_pred:
            predicted = _without(predicted, self.axis)
        message = f"compares {_shape(actual)} classes of the target with {_shape(predicted)} of the output"
        help = 'for scores of classes, write "sparse_y_pred": false, and "sparse_y_true": false for such targets'
        require(_without_ones(actual) == _without_ones(predicted), message, help)

    def classes(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        actual = target if self.sparse_y_true else class_indices(g, target, output, self.axis)
        if self.threshold is not None:
            predicted = g.GreaterOrEqual(output, self.threshold)
        else:
            predicted = output if self.sparse_y_pred else g.ArgMax(output, axis=self.axis, keepdims=0)
        actual, predicted = g.cast(actual, "int64"), g.cast(predicted, "int64")
        if actual.rank != predicted.rank:  # they differ in axes of size 1
            narrow = min(actual, predicted, key=lambda x: x.rank)
            actual, predicted = (g.reshape(x, narrow.shape, narrow) for x in (actual, predicted))
        if self.ignore_class is not None:
            actual = g.Where(g.Equal(actual, self.ignore_class), -1, actual)
        return actual, predicted

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import intersection_over_union

        return intersection_over_union(totals, self.averaged_classes)


def _without(shape: tuple[Any, ...], axis: int) -> tuple[Any, ...]:
    return tuple(size for i, size in enumerate(shape) if i != axis % len(shape))


def _without_ones(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(size for size in shape if size != 1)


def _shape(shape: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


@METRICS.register("io_u", "iou")
class IoU(IntersectionOverUnion):
    """Mean intersection over union of some classes."""

    formula = """
        a = y_true if sparse_y_true else argmax(y_true, axis)
        p = y_pred if sparse_y_pred else argmax(y_pred, axis)
        a, p = a[a != ignore_class], p[a != ignore_class]
        ious = [sum((a == c) & (p == c)) / sum((a == c) | (p == c)) for c in target_class_ids]
        metric = nanmean(ious)
    """
    num_classes: int = attr(doc="Number of classes.", minimum=1, maximum=MAX_CLASSES)
    target_class_ids: tuple[int, ...] = attr(doc=TARGET_CLASSES_DOC, minimum=0)
    ignore_class: int | None = attr(None, doc=IGNORE_CLASS_DOC)
    sparse_y_true: bool = attr(True, doc=SPARSE_Y_TRUE_DOC)
    sparse_y_pred: bool = attr(True, doc=SPARSE_Y_PRED_DOC)
    axis: int = attr(-1, doc="Axis of the classes.")


class IntersectionOverUnionOfAll(IntersectionOverUnion):
    """The mean over all classes that occur."""

    num_classes: int = attr(doc="Number of classes.", minimum=1, maximum=MAX_CLASSES)
    ignore_class: int | None = attr(None, doc=IGNORE_CLASS_DOC)
    axis: int = attr(-1, doc="Axis of the classes.")

    @property
    def averaged_classes(self) -> list[int]:
        return list(range(self.num_classes))


@METRICS.register("mean_io_u", "mean_iou")
class MeanIoU(IntersectionOverUnionOfAll):
    """Mean intersection over union of all classes that occur."""

    formula = """
        a = y_true if sparse_y_true else argmax(y_true, axis)
        p = y_pred if sparse_y_pred else argmax(y_pred, axis)
        a, p = a[a != ignore_class], p[a != ignore_class]
        ious = [sum((a == c) & (p == c)) / sum((a == c) | (p == c)) for c in range(num_classes)]
        metric = nanmean(ious)
    """
    sparse_y_true: bool = attr(True, doc=SPARSE_Y_TRUE_DOC)
    sparse_y_pred: bool = attr(True, doc=SPARSE_Y_PRED_DOC)


@METRICS.register("one_hot_io_u", "one_hot_iou")
class OneHotIoU(IntersectionOverUnion):
    """Mean intersection over union of some classes, for targets with a number for each class."""

    formula = """
        a = argmax(y_true, axis)
        p = y_pred if sparse_y_pred else argmax(y_pred, axis)
        a, p = a[a != ignore_class], p[a != ignore_class]
        ious = [sum((a == c) & (p == c)) / sum((a == c) | (p == c)) for c in target_class_ids]
        metric = nanmean(ious)
    """
    num_classes: int = attr(doc="Number of classes.", minimum=1, maximum=MAX_CLASSES)
    target_class_ids: tuple[int, ...] = attr(doc=TARGET_CLASSES_DOC, minimum=0)
    ignore_class: int | None = attr(None, doc=IGNORE_CLASS_DOC)
    sparse_y_pred: bool = attr(False, doc=SPARSE_Y_PRED_DOC)
    axis: int = attr(-1, doc="Axis of the classes.")
    sparse_y_true = False


@METRICS.register("one_hot_mean_io_u", "one_hot_mean_iou")
class OneHotMeanIoU(IntersectionOverUnionOfAll):
    """Mean intersection over union of all classes that occur, for targets with a number for each class."""

    formula = """
        a = argmax(y_true, axis)
        p = y_pred if sparse_y_pred else argmax(y_pred, axis)
        a, p = a[a != ignore_class], p[a != ignore_class]
        ious = [sum((a == c) & (p == c)) / sum((a == c) | (p == c)) for c in range(num_classes)]
        metric = nanmean(ious)
    """
    sparse_y_pred: bool = attr(False, doc=SPARSE_Y_PRED_DOC)
    sparse_y_true = False


@METRICS.register("binary_io_u", "binary_iou")
class BinaryIoU(IntersectionOverUnion):
    """Mean intersection over union of the classes 0 and 1."""

    formula = """
        p = y_pred >= threshold
        pairs = [(y_true == c, p == c) for c in target_class_ids]
        metric = nanmean([sum(a & b) / sum(a | b) for a, b in pairs])
    """
    logits_arguments = ZERO_THRESHOLD
    target_class_ids: tuple[int, ...] = attr((0, 1), doc=TARGET_CLASSES_DOC, minimum=0, maximum=1)
    threshold_key = "threshold"
    threshold: float = attr(0.5, doc="Outputs that are not below the threshold count as 1.")
    num_classes = 2


@METRICS.register()
class ConfusionMatrix(PairCounts):
    """Number of samples by class: a row for each class of the target, a column for each predicted class."""

    formula = """
        a = y_true if y_true.ndim < y_pred.ndim else argmax(y_true, axis=-1)
        p, classes = argmax(y_pred, axis=-1), arange(y_pred.shape[-1])
        metric = array([[sum((a == i) & (p == j)) for j in classes] for i in classes])
        if normalize:
            axis = {"true": 1, "pred": 0, "all": None}[normalize]
            metric = metric / sum(metric, axis, keepdims=True)
    """
    keras_name = ""
    logits_arguments = ZERO_THRESHOLD
    threshold_key = "threshold"
    threshold: float = attr(0.5, doc="Of an output with one element, scores above it predict the class 1.")
    normalize: Literal["true", "pred", "all"] | None = attr(
        None, doc="Divides the numbers by the sums of their rows (`true`), of their columns (`pred`), or by their sum."
    )
    result_expression = "totals"

    @property
    def is_scalar(self) -> bool:
        return False

    def decisions(self, g: Builder, output: Value) -> Value:
        return output  # of several units, the greatest number decides

    def class_count(self, units: int) -> int:
        return max(units, 2)

    def output_form(self, output: TensorType) -> OutputForm:
        return form_for_thresholds(self.threshold) if output.shape[-1] == 1 else OutputForm.NUMBERS

    def check(self, target: TensorType, output: TensorType) -> None:
        check_class_target(target, output)
        units = static_units(output)
        require(units <= MAX_CLASSES, f"counts up to {MAX_CLASSES} classes, and the output has {units}")

    def classes(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        if output.shape[-1] == 1:
            is_one = (g.Greater(x, threshold) for x, threshold in ((target, 0.5), (output, self.threshold)))
            actual, predicted = is_one
            return actual, predicted
        return class_indices(g, target, output), g.ArgMax(output, axis=-1, keepdims=0)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import metric, normalized_matrix

        return metric(normalized_matrix(totals, self.normalize))

    def axis_labels(self, classes: Sequence[str]) -> list[Sequence[str]]:
        return [classes, classes]
