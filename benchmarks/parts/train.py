"""Training: milliseconds a step, all contestants in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..contest import Result, contest, details, summary
from ..contestants import TRAINING, Entry
from ..options import Options
from ..tables import Table
from ..workloads import TRAINING as WORKLOADS
from ..workloads import Workload

ABOUT = "milliseconds a training step, beside the peers"


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    return contests(WORKLOADS.values(), options)


def contests(workloads: Iterable[Workload], options: Options) -> Iterator[tuple[str, Result]]:
    """One after the other, those that are wanted."""
    for workload in workloads:
        if options.wants(workload.name):
            yield workload.name, contest(workload, contestants(workload), options)


def contestants(workload: Workload) -> dict[str, Entry]:
    """Channels last is a layout of images."""
    return {name: entry for name, entry in TRAINING.items() if name != "torch-nhwc" or len(workload.shape) == 3}


def tables(result: Result) -> list[Table]:
    title = "Milliseconds a training step, median"
    return [*(details(name, found, TRAINING) for name, found in result.items()), summary(title, result, TRAINING)]


def page(result: Result) -> list[Table]:
    """What the page shows of it."""
    return [summary("", result, TRAINING)]
