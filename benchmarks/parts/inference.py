"""Inference: latency of one sample, and throughput by 32, of networks that are deployed."""

from __future__ import annotations

from ..contest import Result, contest, details, summary
from ..contestants import INFERENCE
from ..options import Options
from ..tables import Table
from ..workloads import INFERENCE as WORKLOADS

ABOUT = "latency at batch 1 and throughput at 32, beside the peers and their ONNX exports"


def measure(options: Options) -> Result:
    return {w.name: contest(w, INFERENCE, options) for w in WORKLOADS.values() if options.wants(w.name)}


def tables(result: Result) -> list[Table]:
    title = "Milliseconds a prediction, median"
    return [*(details(name, found, INFERENCE) for name, found in result.items()), summary(title, result, INFERENCE)]


def page(result: Result) -> list[Table]:
    """What the page shows of it."""
    return [summary("", result, INFERENCE)]
