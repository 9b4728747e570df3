from __future__ import annotations

import time

from jsonnx.server.monitoring.model_metrics import ModelMetrics
from jsonnx.server.monitoring.model_statistics import model_statistics


def test_counts_and_times() -> None:
    metrics = ModelMetrics()
    assert model_statistics("m", "1", metrics)["last_inference"] == 0
    metrics.executed(5, 0.25)
    metrics.answered(2, 0.5, 0.25)
    metrics.answered(3, 0.125, 0.25)
    metrics.failed("bad-feed")
    statistics = model_statistics("m", "1", metrics)
    assert abs(statistics["last_inference"] - time.time() * 1000) < 60_000
    del statistics["last_inference"]
    assert statistics == {
        "name": "m",
        "version": "1",
        "inference_count": 5,
        "execution_count": 1,
        "inference_stats": {
            "success": {"count": 2, "ns": 1_125_000_000},
            "fail": {"count": 1, "ns": 0},
            "queue": {"count": 2, "ns": 625_000_000},
            "compute_input": {"count": 2, "ns": 0},
            "compute_infer": {"count": 2, "ns": 500_000_000},
            "compute_output": {"count": 2, "ns": 0},
        },
        "batch_stats": [],
    }
