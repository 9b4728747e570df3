"""The most memory that training takes, in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from ..contestants import TRAINING
from ..materials import write
from ..options import Options
from ..referee import Failed, Worker
from ..tables import Table
from ..workloads import TRAINING as WORKLOADS
from .train import contestants

ABOUT = "the peak of memory in training, with and without what the imports take"
STEPS = 20
Result = dict[str, Any]


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for workload in WORKLOADS.values():
        if not options.wants(workload.name):
            continue
        folder = options.folder / f"{workload.name}-memory"
        write(workload, folder)
        entries = contestants(workload)
        found: Result = {}
        for name in options.among(tuple(entries)):
            options.tell(f"memory of {workload.name}: {name}")
            try:
                with Worker(name, entries[name], folder, options.threads) as worker:
                    for _ in range(-(-STEPS // workload.batches)):
                        worker.steps(workload.batches)  # with the data that everybody holds: a fit repeats none
                    found[name] = {"imported": round(worker.imported, 1), "peak": round(worker.peak, 1)}
            except Failed as failed:
                found[name] = {"failed": str(failed)}
        yield workload.name, found


def tables(result: Result) -> list[Table]:
    names = [name for name in TRAINING if any(name in found for found in result.values())]
    ours = [name for name in names if name.startswith("jsonnx")]
    columns = ["workload", *(TRAINING[name].title for name in names)]
    columns += [f"{TRAINING[name].title} / PyTorch eager" for name in ours]
    table = Table("Peak memory in training, MB; in brackets: less the memory of the imports", columns)
    for workload, found in result.items():
        cells = [_cell(found.get(name, {})) for name in names]
        table.rows.append([workload, *cells, *(_ratio(found, name) for name in ours)])
    return [table]


def _cell(one: Result) -> str:
    return f"{one['peak']:.0f} ({one['peak'] - one['imported']:.0f})" if "peak" in one else "-"


def _ratio(found: Result, name: str) -> str:
    ours, torch = found.get(name, {}), found.get("torch", {})
    if "peak" not in ours or "peak" not in torch:
        return "-"
    own = (ours["peak"] - ours["imported"]) / (torch["peak"] - torch["imported"])
    return f"{ours['peak'] / torch['peak']:.2f} ({own:.2f})"


def page(result: Result) -> list[Table]:
    """The table of the documentation: the imports alone, then the peaks. PyTorch with channels last takes as much as
    PyTorch eager, and is left out."""
    measured = {name: [found[name] for found in result.values() if _peak(found, name) != "-"] for name in TRAINING}
    names = [name for name, found in measured.items() if found and name != "torch-nhwc"]
    imports = [median(one["imported"] for one in measured[name]) for name in names]
    table = Table("", ["workload", *(TRAINING[name].title for name in names), "jsonnx, step / PyTorch eager"])
    table.rows = [["imports alone", *(f"{megabytes:.0f}" for megabytes in imports), "-"]]
    for workload, found in result.items():
        table.rows.append([workload, *(_peak(found, name) for name in names), _ratio(found, "jsonnx")])
    return [table]


def _peak(found: Result, name: str) -> str:
    one = found.get(name, {})
    return f"{one['peak']:.0f}" if "peak" in one else "-"
