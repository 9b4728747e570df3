"""The arithmetic of metrics on the host: from sums, counts or scores to values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Confusion(NamedTuple):
    """True and false positives, false and true negatives, by label, or by label and threshold."""

    tp: Array
    fp: Array
    fn: Array
    tn: Array

    @property
    def precision(self) -> Array:
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> Array:
        return ratio(self.tp, self.tp + self.fn)

    @property
    def sensitivity(self) -> Array:
        return self.recall

    @property
    def specificity(self) -> Array:
        return ratio(self.tn, self.tn + self.fp)

    @property
    def support(self) -> Array:
        return self.tp + self.fn

    def f_score(self, beta: float) -> Array:
        return fbeta(self.tp, self.tp + self.fp, self.support, beta)


def ratio(numerator: Array, denominator: Array) -> Array:
    """The quotient; 0 where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(
        numerator, denominator, out=np.zeros(np.broadcast(numerator, denominator).shape), where=denominator != 0
    )


def confusion_of_buckets(totals: Array) -> Confusion:
    """The confusion counts [label, threshold] for the histogram [label, is positive, number of thresholds below]."""
    totals = np.asarray(totals, np.float64)
    above = totals[..., ::-1].cumsum(-1)[..., ::-1][..., 1:]
    negatives, positives = np.moveaxis(totals.sum(-1, keepdims=True), 1, 0)
    fp, tp = above[:, 0], above[:, 1]
    return Confusion(tp, fp, positives - tp, negatives - fp)


def confusion_of_classes(matrix: Array) -> Confusion:
    """The confusion counts [class] of a matrix [true class, predicted class]."""
    hits, predicted, actual = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
    return Confusion(hits, predicted - hits, actual - hits, matrix.sum() - predicted - actual + hits)


def confusion_of_labels(true: Array, predicted: Array) -> Confusion:
    """The confusion counts [label] of independent labels, booleans [samples, labels]."""
    counts = ((true & predicted), (~true & predicted), (true & ~predicted), (~true & ~predicted))
    return Confusion(*(count.sum(0) for count in counts))


class ScoreCuts(NamedTuple):
    """The different scores of samples in ascending order, and the confusion counts [1, cut] at all cuts between them.

    Cuts are in ascending order, from one below all scores to one above all.
    """

    scores: Array
    confusion: Confusion


def cuts_of_scores(scores: Array, is_positive: Array, weights: Array | None = None) -> ScoreCuts:
    """The cuts of scores [samples]; samples count their weights, or one each."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], is_positive[order].astype(bool)
    amounts = (positive, ~positive) if weights is None else (weights[order] * positive, weights[order] * ~positive)
    is_last = np.append(scores[1:] != scores[:-1], True) if len(scores) else np.zeros(0, bool)
    tp, fp = (np.append(0, np.cumsum(amount)[is_last])[::-1] for amount in amounts)
    return ScoreCuts(scores[is_last][::-1], Confusion(tp[None], fp[None], (tp[0] - tp)[None], (fp[0] - fp)[None]))


def confusion_of_samples(rows: Array) -> Confusion:
    """The confusion counts [1, cut] of rows [score, is positive, weight], at all cuts between different scores."""
    return cuts_of_scores(*np.asarray(rows, np.float64).reshape(-1, 3).T).confusion


def averaged(by_class: Array, support: Array, average: str | None) -> Array:
    """The mean over the first axis, the classes; `weighted` by the number of their samples."""
    if average == "macro":
        return by_class.mean(0)
    if average == "weighted":
        return ratio((by_class * support).sum(0), support.sum(0))
    return by_class


def fbeta(tp: Array, predicted: Array, actual: Array, beta: float) -> Array:
    """The F-score of each class; 0 where no sample has the class and none is predicted to have it."""
    return ratio((1 + beta**2) * tp, beta**2 * actual + predicted)


def area_under_curve(confusion: Confusion, curve: str, method: str) -> Array:
    """The area under a curve of each label, whose points are the thresholds in ascending order."""
    if curve == "PR" and method == "interpolation":
        return _interpolated_pr_area(confusion)
    x, y = curve_points(confusion, curve)
    left, right = y[:, :-1], y[:, 1:]
    heights = {
        "interpolation": (left + right) / 2,
        "minoring": np.minimum(left, right),
        "majoring": np.maximum(left, right),
        "step": left,
    }[method]
    return ((x[:, :-1] - x[:, 1:]) * heights).sum(-1)


def curve_points(confusion: Confusion, curve: str) -> tuple[Array, Array]:
    """The coordinates of the points of a curve of each label."""
    if curve == "ROC":
        return ratio(confusion.fp, confusion.fp + confusion.tn), confusion.recall
    if curve == "PR":
        return confusion.recall, confusion.precision
    scale = ratio(confusion.support, confusion.tn + confusion.fp)
    has_hits = confusion.tp > 0
    recall_gain = np.where(has_hits, 1.0 - scale * ratio(confusion.fn, confusion.tp), 0.0)
    precision_gain = np.where(has_hits, 1.0 - scale * ratio(confusion.fp, confusion.tp), 1.0)
    return np.maximum(recall_gain, 0.0), precision_gain


def _interpolated_pr_area(confusion: Confusion) -> Array:
    """The area under the precision-recall curve, between whose points the counts are interpolated, not the precision.

    See Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves (2006).
    """
    tp, predicted = confusion.tp, confusion.tp + confusion.fp
    hits = tp[:, :-1] - tp[:, 1:]
    slope = ratio(hits, predicted[:, :-1] - predicted[:, 1:])
    intercept = tp[:, 1:] - slope * predicted[:, 1:]
    has_both = (predicted[:, :-1] > 0) & (predicted[:, 1:] > 0)
    growth = np.where(has_both, ratio(predicted[:, :-1], predicted[:, 1:]), 1.0)
    areas = slope * (hits + intercept * np.log(growth))
    return ratio(areas, confusion.support[:, 1:]).sum(-1)


def greatest_where(metrics: Array, holds: Array) -> float:
    """The greatest metric among those where a condition holds; 0 if there is none."""
    return float(np.where(holds, metrics, 0.0).max(initial=0.0))


def intersection_over_union(matrix: Array, classes: list[int]) -> float:
    """The mean over those of the classes that occur among targets or predictions; 0 if none does."""
    hits = matrix.diagonal()[classes]
    union = (matrix.sum(0) + matrix.sum(1) - matrix.diagonal())[classes]
    occurs = union > 0
    return float(ratio(hits, union)[occurs].mean()) if occurs.any() else 0.0


def normalized_matrix(matrix: Array, normalize: str | None) -> Array:
    """The matrix divided by the sums of its rows (`true`), of its columns (`pred`), or of all (`all`)."""
    if normalize is None:
        return matrix
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    return ratio(matrix, matrix.sum(axis, keepdims=True))


def r2_scores(totals: Array) -> tuple[Array, Array]:
    """The R2 score of each number of the output, and the sum of squares that it explains.

    The rows of the totals: counts, sums and squares of targets, squared errors.
    """
    count, total, squares, errors = totals[:4]
    spread = squares - total * total / count
    scores = 1.0 - errors / spread
    return np.where(np.isinf(scores), 0.0, scores), spread


def correlation(totals: Array, concordance: bool) -> float:
    """The mean correlation of the columns, from the sums of weights, of both values, and of their products."""
    count, y, p, yy, pp, yp = totals
    mean_y, mean_p = y / count, p / count
    var_y, var_p = yy / count - mean_y**2, pp / count - mean_p**2
    covariance = yp / count - mean_y * mean_p
    if concordance:
        return float((2 * covariance / (var_y + var_p + (mean_y - mean_p) ** 2)).mean())
    return float((covariance / np.sqrt(var_y * var_p)).mean())


def metric(values: Any) -> float | list[Any]:
    """A number, or the nested lists of an array."""
    values = np.asarray(values, np.float64)
    return values.tolist() if values.ndim else float(values)
