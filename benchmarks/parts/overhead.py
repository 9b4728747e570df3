"""The overhead of a fit outside onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from ..options import Options
from ..probes import run_probe
from ..tables import Table, number, spread
from ..workloads.classic import mlp
from ..workloads.workload import Spec, network, trained

ABOUT = "the share of a fit of tiny steps that is spent outside onnxruntime"
SAMPLES = 64_000
"""Samples of a fit, of at most 5,000 steps."""
Result = dict[str, Any]


def tiny() -> Spec:
    return network({"shape": [16]}, [{"type": "Dense", "units": 16, "activation": "relu"}])


STEPS = {
    "16-16-10, batch 1": trained(tiny(), 1),
    "16-16-10, batch 32": trained(tiny(), 32),
    "784-512-10, batch 1": trained(mlp(), 1),
    "784-512-10, batch 128": trained(mlp(), 128),
}


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for name, spec in STEPS.items():
        options.tell(f"fit of {name}")
        steps = min(5000, SAMPLES // spec["training"]["batch_size"])
        yield name, run_probe("overhead", options.threads, spec=spec, steps=steps, rounds=options.turns.rounds)


def tables(results: Result) -> list[Table]:
    table = Table(
        "A fit's step, microseconds, and what of it is outside onnxruntime's run",
        ["step", "microseconds (min-max)", "outside", "share outside (min-max)"],
    )
    for name, times in results.items():
        outside = [step - within for step, within in zip(times["step"], times["within"], strict=True)]
        shares = [100 * out / step for out, step in zip(outside, times["step"], strict=True)]
        table.rows.append([name, spread(times["step"]), number(median(outside)), spread(shares) + " %"])
    return [table]


page = tables
