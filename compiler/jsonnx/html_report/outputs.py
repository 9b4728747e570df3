"""The page's section on an output: metrics and points of curves, as JSON values, from targets and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..core.signature.thresholds import Threshold
from ..training.metrics.metric_arithmetic import (
    Confusion,
    ScoreCuts,
    confusion_of_classes,
    confusion_of_labels,
    cuts_of_scores,
)
from .classification import brier_score, calibration, confusion_matrix, most_confused
from .curves import Curve, precision_recall_curve, roc_curve, shortened
from .json_values import rounded
from .quantiles import QuantilePredictions, quantile_metrics
from .regression import histogram, regression_scores, scatter_sample

MAX_MATRIX_CLASSES = 25
"""Maximum number of classes in a confusion matrix: the classes with the most errors."""
MAX_CURVE_CLASSES = 10
MAX_CONFUSIONS = 15
MAX_UNITS = 6
"""Units of a regression that have charts of their own."""
THRESHOLDS = np.linspace(0.0, 1.0, 101)
CONFIDENCES = np.linspace(0.0, 1.0, 101)


class OutputKind(Enum):
    """The kind of prediction of an output."""

    EXCLUSIVE = "one of several classes"
    BINARY = "whether a class holds"
    MULTI_LABEL = "which classes hold"
    NUMBERS = "numbers"


@dataclass(frozen=True)
class Predicted:
    """Targets and predictions of an output for all samples, or for all positions of all samples.

    EXCLUSIVE: `true` [rows] class indices, `scores` [rows, classes]. BINARY: `true` [rows] and `scores` [rows].
    MULTI_LABEL: both [rows, classes]. NUMBERS: both [rows, units].
    """

    kind: OutputKind
    true: np.ndarray
    scores: np.ndarray
    labels: Sequence[str]
    """Names of the classes, or of the units."""
    has_probabilities: bool = False
    threshold: Threshold = 0.5
    """A class is predicted if its score exceeds this, unless EXCLUSIVE."""
    quantiles: QuantilePredictions | None = None
    """All predicted quantiles, of which `scores` has the one next to the median."""

    @property
    def class_indices(self) -> np.ndarray:
        """The predicted classes [rows]."""
        return (
            self.scores.argmax(-1)
            if self.kind is OutputKind.EXCLUSIVE
            else (self.scores > np.asarray(self.threshold)) * 1
        )


def output_metrics(output: Predicted) -> dict[str, Any]:
    """Everything that the page shows of an output."""
    shown = {"kind": output.kind.name.lower(), "rows": len(output.true), "labels": list(output.labels)}
    if not len(output.true):
        return shown
    if output.kind is OutputKind.EXCLUSIVE:
        return shown | _exclusive_metrics(output)
    if output.kind is OutputKind.BINARY:
        return shown | _binary_metrics(output)
    if output.kind is OutputKind.MULTI_LABEL:
        return shown | _multi_label_metrics(output)
    return shown | _number_metrics(output)


# -- classes -----------------------------------------------------------------------------------------------------------


def _exclusive_metrics(output: Predicted) -> dict[str, Any]:
    predicted, count = output.class_indices, len(output.labels)
    matrix = confusion_matrix(output.true, predicted, count)
    one_hot = output.true[:, None] == np.arange(count)
    confidence, is_right = output.scores.max(-1), predicted == output.true
    curves = [_class_curves(one_hot[:, index], output.scores[:, index]) for index in range(count)]
    shown = {
        "scores": {"accuracy": float(is_right.mean()), **_mean_scores(matrix)},
        **_matrix_metrics(matrix, output.labels),
        **_curve_metrics(curves, output.labels, matrix.sum(1)),
    }
    if output.has_probabilities:
        bins = calibration(is_right, confidence)
        shown["scores"] |= {
            "calibration error": bins.error,
            "Brier score": brier_score(one_hot, output.scores.astype(np.float64)),
        }
        shown["calibration"] = rounded(bins._asdict())
        shown["confidence"] = _confidence_metrics(confidence, is_right)
    return rounded(shown)


def _binary_metrics(output: Predicted) -> dict[str, Any]:
    true = output.true.astype(bool)
    matrix = confusion_matrix(true, output.class_indices, 2)
    cuts = cuts_of_scores(output.scores, true)
    roc, precision_recall = roc_curve(cuts.confusion), precision_recall_curve(cuts.confusion)
    scores = confusion_of_classes(matrix)
    shown: dict[str, Any] = {
        "scores": {
            "accuracy": float(np.trace(matrix) / matrix.sum()),
            "precision": scores.precision[1],
            "recall": scores.recall[1],
            "F1": scores.f_score(1)[1],
            "ROC AUC": roc.area,
            "average precision": precision_recall.area,
        },
        **_matrix_metrics(matrix, output.labels),
        "curves": [_curve_values(output.labels[1], roc, precision_recall)],
        "threshold": _threshold_metrics(cuts, output),
    }
    if output.has_probabilities:
        bins = calibration(true, output.scores)
        error = brier_score(true, output.scores.astype(np.float64))
        shown["scores"] |= {"calibration error": bins.error, "Brier score": error}
        shown["calibration"] = bins._asdict()
    return rounded(shown)


def _multi_label_metrics(output: Predicted) -> dict[str, Any]:
    true, predicted = output.true.astype(bool), output.class_indices.astype(bool)
    curves = [_class_curves(true[:, index], output.scores[:, index]) for index in range(len(output.labels))]
    scores = confusion_of_labels(true, predicted)
    shown: dict[str, Any] = {
        "scores": {
            "accuracy of single labels": float((true == predicted).mean()),
            "samples with all labels right": float((true == predicted).all(1).mean()),
            "mean F1": float(scores.f_score(1).mean()),
            "F1 of all labels": Confusion(*map(np.sum, scores)).f_score(1),
        },
        "classes": _class_rows(output.labels, scores),
        **_curve_metrics(curves, output.labels, scores.support),
    }
    if isinstance(output.threshold, tuple):
        for row, threshold in zip(shown["classes"], output.threshold, strict=True):
            row["threshold"] = threshold
    else:
        shown["threshold"] = _threshold_metrics(cuts_of_scores(output.scores.ravel(), true.ravel()), output)
    if output.has_probabilities:
        shown["calibration"] = calibration(true.ravel(), output.scores.ravel())._asdict()
    return rounded(shown)


def _mean_scores(matrix: np.ndarray) -> dict[str, float]:
    """The means over the classes that have samples or predictions, as scikit-learn's macro average."""
    scores = confusion_of_classes(matrix)
    present = (matrix.sum(0) + matrix.sum(1)) > 0
    titles = {"mean precision": scores.precision, "mean recall": scores.recall, "mean F1": scores.f_score(1)}
    return {title: float(values[present].mean()) for title, values in titles.items()}


def _matrix_metrics(matrix: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """The confusion matrix, the scores of each class, and the most frequent confusions."""
    shown = np.arange(len(matrix))
    if len(matrix) > MAX_MATRIX_CLASSES:
        errors = matrix.sum(0) + matrix.sum(1) - 2 * np.diag(matrix)
        shown = np.sort(np.argsort(-errors, kind="stable")[:MAX_MATRIX_CLASSES])
    return {
        "matrix": {"labels": [labels[index] for index in shown.tolist()], "counts": matrix[np.ix_(shown, shown)]},
        "classes": _class_rows(labels, confusion_of_classes(matrix)),
        "confusions": [
            {"true": labels[true], "predicted": labels[predicted], "count": count}
            for true, predicted, count in most_confused(matrix, MAX_CONFUSIONS)
        ],
    }


def _class_rows(labels: Sequence[str], confusion: Confusion) -> list[dict[str, Any]]:
    """A row for each class."""
    columns = {
        "label": labels,
        "precision": confusion.precision,
        "recall": confusion.recall,
        "f1": confusion.f_score(1),
        "support": confusion.support,
        "predicted": confusion.tp + confusion.fp,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _class_curves(is_positive: np.ndarray, scores: np.ndarray) -> tuple[Curve, Curve]:
    """The ROC curve and the precision-recall curve."""
    confusion = cuts_of_scores(scores, is_positive).confusion
    return roc_curve(confusion), precision_recall_curve(confusion)


def _curve_metrics(
    curves: Sequence[tuple[Curve, Curve]], labels: Sequence[str], supports: np.ndarray
) -> dict[str, Any]:
    """The areas of all classes, and the curves of the most frequent ones."""
    with_both = [index for index, (roc, _) in enumerate(curves) if np.isfinite(roc.area)]
    frequent = sorted(sorted(with_both, key=lambda index: -supports[index])[:MAX_CURVE_CLASSES])
    areas = [(roc.area, precision_recall.area) for roc, precision_recall in curves]
    return {
        "areas": {"ROC AUC": [area for area, _ in areas], "average precision": [area for _, area in areas]},
        "mean_areas": {
            "ROC AUC": float(np.mean([areas[index][0] for index in with_both])) if with_both else np.nan,
            "average precision": float(np.mean([areas[index][1] for index in with_both])) if with_both else np.nan,
        },
        "curves": [_curve_values(labels[index], *curves[index]) for index in frequent],
    }


def _curve_values(label: str, roc: Curve, precision_recall: Curve) -> dict[str, Any]:
    """The points of the curves of a class, as lists of x and of y."""
    values: dict[str, Any] = {"label": label, "auc": roc.area, "average_precision": precision_recall.area}
    for name, curve in (("roc", roc), ("precision_recall", precision_recall)):
        kept = shortened(curve.x, curve.y)
        values[name] = [curve.x[kept], curve.y[kept]]
    return values


def _threshold_metrics(cuts: ScoreCuts, output: Predicted) -> dict[str, Any]:
    """True and false positives above each of 101 thresholds, from the least to the greatest score."""
    low, high = (0.0, 1.0) if output.has_probabilities else (cuts.scores[0], cuts.scores[-1])
    thresholds = low + THRESHOLDS * (high - low)
    index = np.searchsorted(cuts.scores, thresholds, side="right")  # a class is predicted above its threshold
    true_positives, false_positives = cuts.confusion.tp[0], cuts.confusion.fp[0]
    return {
        "chosen": output.threshold,
        "thresholds": thresholds,
        "true_positives": true_positives[index],
        "false_positives": false_positives[index],
        "positives": int(true_positives[0]),
        "negatives": int(false_positives[0]),
    }


def _confidence_metrics(confidence: np.ndarray, is_right: np.ndarray) -> dict[str, Any]:
    """The share and the accuracy of the samples with at least a confidence."""
    order = np.argsort(-confidence, kind="stable")
    counts = np.searchsorted(-confidence[order], -CONFIDENCES, side="right")
    right = np.r_[0, np.cumsum(is_right[order])][counts]
    shown = counts > 0
    return {
        "thresholds": CONFIDENCES[shown],
        "share": counts[shown] / len(confidence),
        "accuracy": right[shown] / counts[shown],
    }


# -- numbers -----------------------------------------------------------------------------------------------------------


def _number_metrics(output: Predicted) -> dict[str, Any]:
    """The scores of all units together, and the charts of the first units."""
    true, predicted = output.true, output.scores
    units = []
    for index in range(min(true.shape[1], MAX_UNITS)):
        residuals = predicted[:, index].astype(np.float64) - true[:, index]
        rows = scatter_sample(len(true))
        units.append(
            {
                "label": output.labels[index],
                "scores": regression_scores(true[:, index], predicted[:, index])._asdict(),
                "points": [true[rows, index], predicted[rows, index]],
                "residuals": histogram(residuals)._asdict(),
            }
        )
    scores = regression_scores(true.ravel(), predicted.ravel())._asdict()
    titles = {name: name.replace("_", " ").replace("r2", "R²") for name in scores}
    return rounded(
        {
            "scores": {titles[name]: value for name, value in scores.items()},
            "units": units,
            "unit_count": true.shape[1],
            **({} if output.quantiles is None else {"quantiles": quantile_metrics(true[:, 0], output.quantiles)}),
        }
    )
