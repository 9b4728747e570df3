"""Metrics of a curve over many thresholds: the area under it, and its best point under a constraint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...core.components import attr
from ...core.metric_values import MetricValue
from ...core.types import TensorType, require
from ..losses.losses import FROM_LOGITS
from ..numerics import EPSILON
from ..output_form import OutputForm
from .class_counts import one_hot_target, static_units, trailing_ones
from .metrics import METRICS
from .threshold_metrics import CLASS_ID_DOC, ThresholdMetric, evenly_spaced, is_evenly_spaced

if TYPE_CHECKING:
    from ...ir import Builder, Value
    from .metric_arithmetic import Confusion

NUM_THRESHOLDS_DOC = "Number of thresholds, which are evenly spaced from 0 to 1."


class BestUnderConstraint(ThresholdMetric):
    """The greatest value of one quotient at those thresholds where another one has at least some value.

    The bound is an attribute with the name of the bounded quotient.
    """

    num_thresholds: int = attr(200, doc=NUM_THRESHOLDS_DOC, minimum=1, maximum=100_000)
    class_id: int | None = attr(None, doc=CLASS_ID_DOC, minimum=0)
    maximized: ClassVar[str]
    bounded: ClassVar[str]
    result_expression = "max(quotient[other_quotient >= bound]) over all thresholds"

    @property
    def cuts(self) -> tuple[float, ...]:
        return (0.5,) if self.num_thresholds == 1 else evenly_spaced(self.num_thresholds)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import greatest_where

        confusion = self.confusion(totals)
        is_allowed = getattr(confusion, self.bounded) >= getattr(self, self.bounded)
        return greatest_where(getattr(confusion, self.maximized), is_allowed)


BEST_FORMULA = """
    cuts = linspace(0, 1, num_thresholds) if num_thresholds > 1 else array([0.5])
    tp = sum(y_pred[y_true != 0, None] > cuts, axis=0)
    fp = sum(y_pred[y_true == 0, None] > cuts, axis=0)
    is_enough = {bounded} >= {bound}
    metric = max({maximized}, where=is_enough, initial=0)
"""
QUOTIENTS = {
    "sensitivity": "tp / sum(y_true != 0)",
    "recall": "tp / sum(y_true != 0)",
    "specificity": "1 - fp / sum(y_true == 0)",
    "precision": "divide_no_nan(tp, tp + fp)",
}


def register_best_under_constraint(maximized: str, bounded: str, doc: str, bound_doc: str) -> None:
    """Registers the metric `MaximizedAtBounded` of two quotients."""
    formula = BEST_FORMULA.format(maximized=QUOTIENTS[maximized], bounded=QUOTIENTS[bounded], bound=bounded)
    members = {
        "__doc__": doc,
        "formula": formula,
        "__module__": __name__,
        "__annotations__": {bounded: "float"},
        bounded: attr(doc=bound_doc, minimum=0, maximum=1),
        "maximized": maximized,
        "bounded": bounded,
    }
    METRICS.register()(type(f"{maximized.title()}At{bounded.title()}", (BestUnderConstraint,), members))


register_best_under_constraint(
    "sensitivity",
    "specificity",
    "Greatest sensitivity (recall) of all thresholds with at least some specificity.",
    "Least specificity: fraction of the targets of 0 not above it.",
)
register_best_under_constraint(
    "specificity",
    "sensitivity",
    "Greatest specificity of all thresholds with at least some sensitivity (recall).",
    "Least sensitivity: fraction of the targets of 1 above it.",
)
register_best_under_constraint(
    "precision",
    "recall",
    "Greatest precision of all thresholds with at least some recall.",
    "Least recall.",
)
register_best_under_constraint(
    "recall",
    "precision",
    "Greatest recall of all thresholds with at least some precision.",
    "Least precision.",
)


@METRICS.register()
class AUC(ThresholdMetric):
    """Area under the ROC curve, or under the precision-recall curve, of scores from 0 to 1."""

    formula = """
        scores = sigmoid(y_pred) if from_logits else y_pred
        cuts = hstack([-1e-7, linspace(0, 1, num_thresholds)[1:-1], 1 + 1e-7])
        tp = sum(scores[y_true != 0, None] > cuts, axis=0)
        fp = sum(scores[y_true == 0, None] > cuts, axis=0)
        # of the ROC curve, by the summation method interpolation:
        metric = -trapezoid(y=tp / tp[0], x=fp / fp[0])
    """
    logits_arguments = FROM_LOGITS
    num_thresholds: int | None = attr(
        200,
        doc="Number of thresholds that approximate the curve, evenly spaced from 0 to 1; null computes the exact area, "
        "for which the scores of all samples are kept.",
        minimum=2,
        maximum=100_000,
    )
    curve: Literal["ROC", "PR", "PRGAIN", "roc", "pr", "prgain"] = attr(
        "ROC",
        doc="Recall over the false positive rate (`ROC`), precision over recall (`PR`), or their gains (`PRGAIN`).",
    )
    summation_method: Literal["interpolation", "minoring", "majoring", "step"] = attr(
        "interpolation",
        doc="How the area between two points of the curve is computed. `minoring` and `majoring` bound it; `step` with "
        "the curve `PR` gives the average precision.",
    )
    thresholds: tuple[float, ...] | None = attr(
        None, doc="Thresholds between 0 and 1, instead of `num_thresholds`.", minimum=0, maximum=1
    )
    multi_label: bool = attr(
        False,
        doc="Whether the mean over the areas of all labels is reported, instead of the area of all scores together.",
    )
    num_labels: int | None = attr(None, doc="Number of labels, with `multi_label`.", minimum=1)
    label_weights: tuple[float, ...] | None = attr(None, doc="Weights of the labels.", minimum=0)
    from_logits: bool = attr(False, doc="Whether the output contains logits instead of probabilities.")
    result_expression = "the area under the curve of all thresholds"

    @property
    def cuts(self) -> tuple[float, ...]:
        if self.thresholds is not None:
            inner = sorted(self.thresholds)
            if is_evenly_spaced((0.0, *inner, 1.0)):
                return (0.0, *inner, 1.0)
            return (-EPSILON, *inner, 1.0 + EPSILON)
        count = self.num_thresholds or 2
        return evenly_spaced(count) if count > 2 else (-EPSILON, 1.0 + EPSILON)

    @property
    def counts_all_scores(self) -> bool:
        return True

    @property
    def is_by_label(self) -> bool:
        return self.multi_label

    @property
    def keeps_samples(self) -> bool:
        return self.num_thresholds is None and self.thresholds is None

    def output_form(self, output: TensorType) -> OutputForm:
        if self.keeps_samples:  # compares scores with each other
            return OutputForm.NUMBERS
        return OutputForm.LOGITS if self.from_logits else OutputForm.UNITS_FROM_0_TO_1

    def check(self, target: TensorType, output: TensorType) -> None:
        super().check(target, output)
        if self.multi_label or self.label_weights is not None:
            units = static_units(output, rank=2 if self.multi_label else None)
            for count in (self.num_labels, None if self.label_weights is None else len(self.label_weights)):
                require(count in (None, units), f"has {count} labels, and the output is {output}")
        require(self.multi_label or self.num_labels is None, "has `num_labels`, which only `multi_label` needs")

    def statistics(self, g: Builder, target: Value, output: Value, mask: Value | None = None) -> Value:
        if not self.keeps_samples:
            return super().statistics(g, target, output, mask)
        target, scores = self._scores(g, one_hot_target(g, target, output), output)
        weights = self._weights(g, scores, mask)
        ones = g.cast(g.GreaterOrEqual(g.Abs(target), 0.0), "float32")
        counts = ones if weights is None else g.Mul(ones, trailing_ones(g, weights, scores.rank))
        is_positive = g.cast(g.Not(g.Equal(target, 0.0)), "float32")
        columns = [g.Unsqueeze(x, [-1]) for x in (scores, is_positive, counts)]
        labels = static_units(scores.type) if self.multi_label else 1
        return g.Reshape(g.Concat(*columns, axis=-1), [-1, labels, 3])

    def _scores(self, g: Builder, target: Value, output: Value) -> tuple[Value, Value]:
        target, scores = super()._scores(g, target, output)
        return target, g.Sigmoid(scores) if self.from_logits else scores

    def _weights(self, g: Builder, scores: Value, mask: Value | None) -> Value | None:
        if self.label_weights is None or self.multi_label:
            return mask
        weights = g.Reshape(g.const(list(self.label_weights), "float32"), [*[1] * (scores.rank - 1), -1])
        return weights if mask is None else g.Mul(trailing_ones(g, mask, scores.rank), weights)

    def result(self, totals: Any) -> MetricValue:
        from .metric_arithmetic import area_under_curve, confusion_of_samples

        def areas(confusion: Confusion) -> Any:
            return area_under_curve(confusion, self.curve.upper(), self.summation_method)

        if self.keeps_samples:
            by_label = [float(areas(confusion_of_samples(totals[:, label]))[0]) for label in range(totals.shape[1])]
        else:
            by_label = areas(self.confusion(totals)).tolist()
        weights = (self.label_weights if self.multi_label else None) or (1.0,) * len(by_label)
        total = sum(area * weight for area, weight in zip(by_label, weights, strict=True))
        return total / sum(weights) if sum(weights) else 0.0
