"""Inference: latency of one sample and throughput at batch 32 of networks for deployment."""

from __future__ import annotations

from collections.abc import Iterator

from ..contest import Result, contest, details, summary
from ..contestants import INFERENCE
from ..options import Options
from ..tables import Table
from ..workloads import INFERENCE as WORKLOADS

ABOUT = "latency at batch 1 and throughput at batch 32, compared with the peers and their ONNX exports"


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for workload in WORKLOADS.values():
        if options.wants(workload.name):
            yield workload.name, contest(workload, INFERENCE, options)


def tables(results: Result) -> list[Table]:
    title = "Milliseconds a prediction, median"
    return [*(details(name, result, INFERENCE) for name, result in results.items()), summary(title, results, INFERENCE)]


def page(results: Result) -> list[Table]:
    """Returns the tables of the documentation."""
    return [summary("", results, INFERENCE)]
