"""Training: milliseconds a step, all contestants in turn."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

import jsonnx

from ..contestants import CONTESTANTS, GEMM, OURS
from ..contestants.gemm import GFLOP
from ..materials import write
from ..options import Options
from ..referee import compete
from ..tables import Table, number, spread
from ..workloads import WORKLOADS, Workload

ABOUT = "milliseconds a training step, beside the peers"
AGREE = 2e-3
"""How far first losses may differ, relatively: the same network with the same weights."""

Result = dict[str, Any]


def measure(options: Options) -> Result:
    """Every workload's contestants."""
    return {
        workload.name: _contest(workload, options) for workload in WORKLOADS.values() if options.wants(workload.name)
    }


def _contest(workload: Workload, options: Options) -> Result:
    folder = options.folder / workload.name
    write(workload, folder)
    names = (*options.among(tuple(CONTESTANTS)), GEMM)
    scores = compete(
        names, folder, options.threads, options.turns, lambda text: options.tell(f"{workload.name}: {text}")
    )
    return {
        "about": workload.about,
        "batch": workload.batch,
        "gflop": gflop(workload),
        "contestants": {name: asdict(score) for name, score in scores.items()},
    }


def gflop(workload: Workload) -> float:
    """The arithmetic of a step: two operations a multiply-add, and the backward pass twice the forward pass."""
    rows = jsonnx.compile(workload.spec).rows()
    return 3 * 2 * sum(row.macs or 0 for row in rows) * workload.batch / 1e9


def tables(result: Result) -> list[Table]:
    return [_summary(result), *(_details(name, about) for name, about in result.items())]


def medians(about: Result) -> dict[str, float]:
    """Milliseconds a step, of those that came through."""
    return {name: median(score["rounds"]) for name, score in about["contestants"].items() if score["rounds"]}


def best_peer(times: dict[str, float]) -> str | None:
    """The fastest of the others."""
    peers = [name for name in times if name not in (*OURS, GEMM)]
    return min(peers, key=times.__getitem__) if peers else None


def _summary(result: Result) -> Table:
    """Everyone's median, and ours against the best of the others."""
    names = [n for n in CONTESTANTS if any(n in about["contestants"] for about in result.values())]
    ours = [n for n in names if n in OURS]
    table = Table(
        "Milliseconds a training step, median",
        ["workload", *(CONTESTANTS[n].title for n in names), *(f"{n} / best peer" for n in ours)],
    )
    for workload, about in result.items():
        times = medians(about)
        peer = best_peer(times)
        ratios = [f"{times[n] / times[peer]:.2f}" if peer and n in times else "-" for n in ours]
        table.rows.append([workload, *(number(times[n]) if n in times else "-" for n in names), *ratios])
    return table


def _details(workload: str, about: Result) -> Table:
    """One workload: spread, share of the peak, and whether all did the same."""
    times = medians(about)
    peer = best_peer(times)
    peak = GFLOP / times[GEMM] * 1e3 if GEMM in times else None
    title = f"{workload}: {about['about']} ({about['gflop']:.2f} GFLOP a step"
    title += f"; the machine's GEMM: {peak:.0f} GFLOP/s)" if peak else ")"
    table = Table(
        title, ["contestant", "ms a step (min-max)", "to the best peer", "of the GEMM's peak", "first losses"]
    )
    for name, score in about["contestants"].items():
        if name == GEMM:
            continue
        if name not in times:
            table.rows.append([CONTESTANTS[name].title, "failed", "-", "-", "-"])
            table.notes.append(score["failed"])
            continue
        share = f"{about['gflop'] / times[name] * 1e3 / peak:.0%}" if peak else "-"
        ratio = f"{times[name] / times[peer]:.2f}" if peer else "-"
        losses = ", ".join(f"{loss:.4f}" for loss in score["losses"])
        table.rows.append([CONTESTANTS[name].title, spread(score["rounds"]), ratio, share, losses])
    table.notes += disagreements(about)
    return table


def disagreements(about: Result) -> list[str]:
    """Who does not begin as the first contestant does: then it is not the same work."""
    told = {name: score["losses"] for name, score in about["contestants"].items() if score["losses"]}
    if not told:
        return []
    first, *others = told
    return [
        f"{name} begins with the loss {told[name][0]:.5f}, {first} with {told[first][0]:.5f}: not the same work"
        for name in others
        if abs(told[name][0] - told[first][0]) > AGREE * abs(told[first][0])
    ]
