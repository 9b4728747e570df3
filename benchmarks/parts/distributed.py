"""Distributed training: the efficiency of two processes with one thread each, compared with one such process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

from ..contest import Result, contest, disagreements, medians
from ..contestants import DISTRIBUTED, TRAINING
from ..options import Options
from ..tables import Table, number
from ..workloads import TRAINING as WORKLOADS

ABOUT = "two processes that divide each batch, compared with PyTorch DDP"
SINGLE = {"jsonnx-2": "jsonnx", "jsonnx-2x4": "jsonnx", "torch-2": "torch"}
"""The contestant of one process to which two are compared."""
NETWORKS = ("mlp", "cnn", "lstm", "transformer")
"""Networks without batch normalization, whose statistics are those of parts of a batch otherwise."""


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    entries = {name: TRAINING[name] for name in dict.fromkeys(SINGLE.values())} | DISTRIBUTED
    for name in filter(options.wants, NETWORKS):
        yield name, contest(WORKLOADS[name], entries, replace(options, threads=1))


def tables(results: Result) -> list[Table]:
    """The times of a step, and the efficiencies: the time of one process, divided by twice that of two."""
    return [
        _table("Milliseconds per step", results, medians),
        _table("Milliseconds of processor time per step and process", results, processor_medians),
    ]


def page(results: Result) -> list[Table]:
    """Returns the tables of the documentation."""
    return tables(results)[1:]


def processor_medians(result: Result) -> dict[str, float]:
    """Returns the median processor time of a step, of one of the processes of a contestant."""
    scores = result["contestants"].items()
    return {name: median(score["processor"]) for name, score in scores if score["processor"]}


def _table(title: str, results: Result, times_of: Callable[[Result], dict[str, float]]) -> Table:
    names = [*dict.fromkeys(SINGLE.values()), *SINGLE]
    titles = {name: entry.title for name, entry in (TRAINING | DISTRIBUTED).items()}
    columns = ["network", *map(titles.__getitem__, names), *(f"efficiency: {titles[name]}" for name in SINGLE)]
    table = Table(title, columns)
    for network, result in results.items():
        times = times_of(result)
        efficiencies = {n: times[one] / times[n] / 2 for n, one in SINGLE.items() if {n, one} <= times.keys()}
        shown = [f"{efficiencies[n]:.0%}" if n in efficiencies else "-" for n in SINGLE]
        table.rows.append([network, *(number(times.get(name)) for name in names), *shown])
        table.notes += [f"{network}: not the same work: {error}" for error in disagreements(result)]
        table.notes += [f"{network}: {s['failed']}" for s in result["contestants"].values() if s["failed"]]
    return table
