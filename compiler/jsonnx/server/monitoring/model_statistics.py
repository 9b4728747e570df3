"""The counts of a version of a model in the form of Triton's statistics extension.

Source: Triton's docs/protocol/extension_statistics.md. The time of failed requests and of single batch sizes is not
measured.
"""

from __future__ import annotations

from typing import Any

from .model_metrics import ModelMetrics

NANOSECONDS = 1_000_000_000
MILLISECONDS = 1000


def model_statistics(name: str, version: str, metrics: ModelMetrics) -> dict[str, Any]:
    """An element of `model_stats`."""
    queue, compute = metrics.queue_s, metrics.compute_s
    return {
        "name": name,
        "version": version,
        "last_inference": round(metrics.last_answer_s * MILLISECONDS),
        "inference_count": metrics.rows,
        "execution_count": metrics.executions,
        "inference_stats": {
            "success": _duration(metrics.successes, queue.sum + compute.sum),
            "fail": _duration(sum(metrics.failures.values()), 0.0),
            "queue": _duration(metrics.successes, queue.sum),
            "compute_input": _duration(metrics.successes, 0.0),
            "compute_infer": _duration(metrics.successes, compute.sum),
            "compute_output": _duration(metrics.successes, 0.0),
        },
        "batch_stats": [],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * NANOSECONDS)}
