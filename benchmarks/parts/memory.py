"""Peak memory of training in a fresh process."""

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

ABOUT = "peak memory of training, with and without the memory of the imports"
STEPS = 20
Result = dict[str, Any]


def measure(options: Options) -> Iterator[tuple[str, Result]]:
    for workload in WORKLOADS.values():
        if not options.wants(workload.name):
            continue
        folder = options.folder / f"{workload.name}-memory"
        write(workload, folder)
        entries = contestants(workload)
        memory_by_name: Result = {}
        for name in options.among(tuple(entries)):
            options.tell(f"memory of {workload.name}: {name}")
            try:
                with Worker(name, entries[name], folder, options.threads) as worker:
                    for _ in range(-(-STEPS // workload.batches)):
                        worker.steps(workload.batches)  # no more than the data, so that a fit does not copy them
                    memory_by_name[name] = {"imported": round(worker.imported, 1), "peak": round(worker.peak, 1)}
            except Failed as failed:
                memory_by_name[name] = {"failed": str(failed)}
        yield workload.name, memory_by_name


def tables(results: Result) -> list[Table]:
    names = [name for name in TRAINING if any(name in memory_by_name for memory_by_name in results.values())]
    ours = [name for name in names if name.startswith("jsonnx")]
    columns = ["workload", *(TRAINING[name].title for name in names)]
    columns += [f"{TRAINING[name].title} / PyTorch eager" for name in ours]
    table = Table("Peak memory in training, MB; in brackets: less the memory of the imports", columns)
    for workload, memory_by_name in results.items():
        cells = [_cell(memory_by_name.get(name, {})) for name in names]
        table.rows.append([workload, *cells, *(_ratio(memory_by_name, name) for name in ours)])
    return [table]


def _cell(memory_mb: Result) -> str:
    return f"{memory_mb['peak']:.0f} ({memory_mb['peak'] - memory_mb['imported']:.0f})" if "peak" in memory_mb else "-"


def _ratio(memory_by_name: Result, name: str) -> str:
    ours, torch = memory_by_name.get(name, {}), memory_by_name.get("torch", {})
    if "peak" not in ours or "peak" not in torch:
        return "-"
    net_ratio = (ours["peak"] - ours["imported"]) / (torch["peak"] - torch["imported"])
    return f"{ours['peak'] / torch['peak']:.2f} ({net_ratio:.2f})"


def page(results: Result) -> list[Table]:
    """Returns the table of the documentation: the memory of the imports, then the peaks.

    PyTorch with channels last is omitted, since it needs the same memory as PyTorch eager.
    """
    measured = {
        name: [memory_by_name[name] for memory_by_name in results.values() if _peak(memory_by_name, name) != "-"]
        for name in TRAINING
    }
    names = [name for name, memory_by_name in measured.items() if memory_by_name and name != "torch-nhwc"]
    imports = [median(one["imported"] for one in measured[name]) for name in names]
    table = Table("", ["workload", *(TRAINING[name].title for name in names), "jsonnx, step / PyTorch eager"])
    table.rows = [["imports alone", *(f"{megabytes:.0f}" for megabytes in imports), "-"]]
    for workload, memory_by_name in results.items():
        table.rows.append(
            [workload, *(_peak(memory_by_name, name) for name in names), _ratio(memory_by_name, "jsonnx")]
        )
    return [table]


def _peak(memory_by_name: Result, name: str) -> str:
    memory_mb = memory_by_name.get(name, {})
    return f"{memory_mb['peak']:.0f}" if "peak" in memory_mb else "-"
