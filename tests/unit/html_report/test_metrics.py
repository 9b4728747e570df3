"""Metrics of predictions. The expected values were computed by scikit-learn 1.9."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.html_report.classification import brier_score, calibration, confusion_matrix, most_confused
from jsonnx.html_report.curves import precision_recall_curve, roc_curve, shortened
from jsonnx.html_report.outputs import OutputKind, Predicted, output_metrics
from jsonnx.html_report.regression import histogram, regression_scores, scatter_sample
from jsonnx.training.metrics.metric_arithmetic import confusion_of_classes, confusion_of_labels, cuts_of_scores

TRUE = np.array([0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0])
SCORES = np.array([0.1, 0.35, 0.35, 0.8, 0.4, 0.65, 0.05, 0.9, 0.45, 0.8, 0.55, 0.2])
CLASSES = np.array([0, 1, 2, 2, 1, 0, 2, 1, 0, 2])
PREDICTED_CLASSES = np.array([0, 2, 2, 2, 1, 0, 1, 1, 2, 2])


def test_roc_curve() -> None:
    curve = roc_curve(cuts_of_scores(SCORES, TRUE).confusion)
    np.testing.assert_allclose(curve.x * 6, [0, 0, 1, 1, 1, 1, 2, 3, 4, 5, 6])
    np.testing.assert_allclose(curve.y * 6, [0, 1, 2, 3, 4, 5, 5, 6, 6, 6, 6])
    assert curve.area == pytest.approx(0.8333333333333334)


def test_precision_recall_curve() -> None:
    curve = precision_recall_curve(cuts_of_scores(SCORES, TRUE).confusion)
    assert curve.area == pytest.approx(0.7861111111111111)
    assert (curve.x[0], curve.y[0]) == (0, 1)


def test_a_class_without_samples_has_no_area() -> None:
    confusion = cuts_of_scores(np.array([0.1, 0.2, 0.3]), np.zeros(3, bool)).confusion
    for curve in (roc_curve(confusion), precision_recall_curve(confusion)):
        assert np.isnan(curve.area)
        assert np.isfinite(curve.x).all()


def test_calibration() -> None:
    bins = calibration(TRUE, SCORES)
    np.testing.assert_allclose(bins.observed, [0, 0, 1 / 3, 1, 1, 1, 0.5, 1])
    np.testing.assert_allclose(bins.predicted, [0.075, 0.2, 0.36666667, 0.45, 0.55, 0.65, 0.8, 0.9])
    assert bins.counts.sum() == len(TRUE)
    assert brier_score(TRUE, SCORES) == pytest.approx(0.1729166666666667)


def test_confusion_matrix_and_class_scores() -> None:
    matrix = confusion_matrix(CLASSES, PREDICTED_CLASSES, 3)
    assert matrix.tolist() == [[2, 0, 1], [0, 2, 1], [0, 1, 3]]
    scores = confusion_of_classes(matrix)
    np.testing.assert_allclose(scores.precision, [1, 2 / 3, 0.6])
    np.testing.assert_allclose(scores.recall, [2 / 3, 2 / 3, 0.75])
    np.testing.assert_allclose(scores.f_score(1), [0.8, 2 / 3, 2 / 3])
    assert (scores.support + scores.tn + scores.fp).tolist() == [10, 10, 10]
    assert most_confused(matrix, 2) == [(0, 2, 1), (1, 2, 1)]


def test_labels_that_are_independent() -> None:
    true = np.array([[1, 0], [1, 1], [0, 0]], bool)
    scores = confusion_of_labels(true, np.array([[1, 0], [0, 1], [1, 0]], bool))
    np.testing.assert_allclose([scores.precision, scores.recall], [[0.5, 1], [0.5, 1]])
    assert scores.tn.tolist() == [0, 2]


def test_regression_scores() -> None:
    scores = regression_scores(np.array([3.0, -0.5, 2.0, 7.0, 4.5]), np.array([2.5, 0.0, 2.0, 8.0, 3.0]))
    assert scores.r2 == pytest.approx(0.8801916932907348)
    assert scores.mean_absolute_error == pytest.approx(0.7)
    assert scores.root_mean_squared_error == pytest.approx(0.8660254037844386)
    assert scores.median_absolute_error == pytest.approx(0.5)


def test_curves_are_shortened_along_their_length() -> None:
    x = np.linspace(0, 1, 10_001)
    kept = shortened(x, x**8)
    assert len(kept) <= 200
    assert kept[0] == 0
    assert kept[-1] == len(x) - 1
    assert scatter_sample(10, 4).tolist() == [0, 3, 6, 9]


def test_counts_above_a_threshold_are_those_of_the_confusion_matrix() -> None:
    metrics = output_metrics(Predicted(OutputKind.BINARY, TRUE, SCORES, ("no", "yes"), True, 0.45))
    threshold, index = metrics["threshold"], 45
    assert threshold["thresholds"][index] == pytest.approx(0.45)
    (_, false_positives), (_, true_positives) = metrics["matrix"]["counts"]
    assert (threshold["true_positives"][index], threshold["false_positives"][index]) == (
        true_positives,
        false_positives,
    )


def test_classes_with_the_most_errors_are_shown() -> None:
    count = 40
    true = np.arange(count).repeat(2)
    predicted = true.copy()
    predicted[-2:] = 0
    scores = np.eye(count)[predicted]
    labels = [f"c{index}" for index in range(count)]
    metrics = output_metrics(Predicted(OutputKind.EXCLUSIVE, true, scores, labels, True))
    assert len(metrics["matrix"]["labels"]) == 25
    assert {"c0", "c39"} <= set(metrics["matrix"]["labels"])
    assert metrics["confusions"] == [{"true": "c39", "predicted": "c0", "count": 2}]
    assert metrics["scores"]["accuracy"] == pytest.approx(78 / 80)


def test_several_labels_and_numbers() -> None:
    true = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], bool)
    scores = np.array([[0.9, 0.2], [0.8, 0.7], [0.3, 0.1], [0.6, 0.4]])
    metrics = output_metrics(Predicted(OutputKind.MULTI_LABEL, true, scores, ("a", "b"), True))
    assert metrics["scores"]["samples with all labels right"] == 0.75
    assert metrics["areas"]["ROC AUC"] == [1.0, 1.0]
    numbers = output_metrics(Predicted(OutputKind.NUMBERS, scores, scores + 0.1, ("a", "b")))
    assert numbers["scores"]["bias"] == pytest.approx(0.1)
    assert [unit["label"] for unit in numbers["units"]] == ["a", "b"]


@pytest.mark.parametrize("values", [[0.1, 0.1 + 1e-17, 0.1], [1e20, 1e20], [3.0, np.nan, np.inf], []])
def test_histograms_of_equal_values(values: list[float]) -> None:
    assert histogram(np.array(values)).counts.sum() == np.isfinite(values).sum()


def test_no_samples() -> None:
    assert output_metrics(Predicted(OutputKind.BINARY, np.zeros(0), np.zeros(0), ("a", "b")))["rows"] == 0
