"""Training: milliseconds per step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..contest import Result, contest, details, summary
from ..contestants import TRAINING, Entry
from ..options import Options
from ..tables import Table
from ..workloads import TRAINING as WORKLOADS
from ..workloads import Workload

ABOUT = "milliseconds per training step, compared with the peers"


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    return contests(WORKLOADS.values(), options)


def contests(workloads: Iterable[Workload], options: Options) -> Iterator[tuple[str, Result]]:
    """Measures the selected workloads."""
    for workload in workloads:
        if options.wants(workload.name):
            yield workload.name, contest(workload, contestants(workload), options)


def contestants(workload: Workload) -> dict[str, Entry]:
    """Returns the contestants of a workload: PyTorch with channels last only for images."""
    return {name: entry for name, entry in TRAINING.items() if name != "torch-nhwc" or len(workload.shape) == 3}


def tables(results: Result) -> list[Table]:
    title = "Milliseconds a training step, median"
    return [*(details(name, result, TRAINING) for name, result in results.items()), summary(title, results, TRAINING)]


def page(results: Result) -> list[Table]:
    """Returns the tables of the documentation."""
    return [summary("", results, TRAINING)]
