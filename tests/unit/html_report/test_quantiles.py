"""The metrics of predicted quantiles on the page."""

from __future__ import annotations

import numpy as np
import pytest
from jsonnx.html_report.outputs import OutputKind, Predicted, output_metrics
from jsonnx.html_report.quantiles import MAX_INTERVALS, QuantilePredictions


def test_quantiles_have_coverage_calibration_and_intervals() -> None:
    true = np.linspace(0, 1, 1001)
    values = np.tile([0.1, 0.5, 0.9], (1001, 1))
    quantiles = QuantilePredictions((0.1, 0.5, 0.9), values)
    predicted = Predicted(OutputKind.NUMBERS, true[:, None], values[:, 1:2], ("price",), quantiles=quantiles)
    metrics = output_metrics(predicted)
    shown = metrics["quantiles"]
    assert shown["observed"] == pytest.approx([0.1, 0.5, 0.9], abs=2e-3)
    assert shown["interval"]["nominal"] == pytest.approx(0.8)
    assert shown["interval"]["coverage"] == pytest.approx(0.8, abs=2e-3)
    assert shown["interval"]["mean width"] == pytest.approx(0.8)
    # sklearn.metrics.mean_pinball_loss, 1.7
    assert shown["pinball"] == pytest.approx([0.045, 0.12513, 0.045], abs=1e-3)
    assert {name: len(values) for name, values in shown["samples"].items()} == dict.fromkeys(
        ("low", "middle", "high", "true"), MAX_INTERVALS
    )
    assert metrics["scores"]["mean absolute error"] == pytest.approx(0.25, abs=1e-3)
