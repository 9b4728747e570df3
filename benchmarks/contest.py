"""A contest over one workload: who takes part, the scores as data, and the tables made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from textwrap import shorten
from typing import Any

from .contestants import GEMM, OURS, PEAK, Entry
from .contestants.gemm import GFLOP
from .materials import write
from .options import Options
from .referee import compete
from .tables import Table, number, spread
from .workloads import Workload

FEWEST = 3
"""Turns alone on the machine whose median is worth more than that of all turns."""
AGREE = 2e-3
"""How far the first numbers may differ, relatively: the same network with the same weights."""
REASON_LENGTH = 80
"""Characters of a failure's reason in a summary; `details` prints the whole reason."""

Result = dict[str, Any]


def contest(workload: Workload, entries: Mapping[str, Entry], options: Options) -> Result:
    """Everyone's score, beside the machine's own."""
    folder = options.folder / workload.name
    write(workload, folder)
    names = options.among(tuple(entries))
    scores = compete(
        {**{name: entries[name] for name in names}, GEMM: PEAK},
        folder,
        options.threads,
        options.turns,
        lambda text: options.tell(f"{workload.name}: {text}"),
    )
    return {
        "about": workload.about,
        "batch": workload.batch,
        "gflop": gflop(workload),
        "contestants": {name: asdict(score) for name, score in scores.items()},
    }


def gflop(workload: Workload) -> float:
    """The arithmetic of a step: two operations a multiply-add, and the backward pass twice the forward pass."""
    import jsonnx

    multiplied = sum(row.macs or 0 for row in jsonnx.compile(workload.spec).rows()) * workload.batch
    return (3 if workload.trains else 1) * 2 * multiplied / 1e9


def medians(found: Result) -> dict[str, float]:
    """Milliseconds a step, of those that came through."""
    rounds = {name: rounds_of(score) for name, score in found["contestants"].items()}
    return {name: median(times) for name, times in rounds.items() if times}


def rounds_of(score: Result) -> list[float]:
    """The turns that count: those that had the machine for themselves, where these are not too few."""
    alone, shared = score["rounds"], score["shared"]
    times: list[float] = alone if len(alone) >= FEWEST else [*alone, *shared]
    return times


def peak(times: Mapping[str, float]) -> float | None:
    """GFLOP/s of the machine's own product of matrices."""
    return 1e3 * GFLOP / times[GEMM] if GEMM in times else None


def best_peer(times: Mapping[str, float]) -> str | None:
    """The fastest of the others."""
    peers = [name for name in times if name not in (*OURS, GEMM)]
    return min(peers, key=times.__getitem__) if peers else None


def ratio(times: Mapping[str, float], name: str) -> float | None:
    """How much longer than the best of the others."""
    peer = best_peer(times)
    return times[name] / times[peer] if peer and name in times else None


def summary(title: str, result: Result, entries: Mapping[str, Entry]) -> Table:
    """The median of every contestant, and the ratio of jsonnx (by `step`, if it took part) to the fastest peer."""
    names = [n for n in entries if any(n in found["contestants"] for found in result.values())]
    ours = [n for n in names if n in OURS][:1]
    table = Table(
        title,
        ["workload", *(entries[n].title for n in names), *(f"{entries[n].title} / best peer" for n in ours)],
    )
    failures: dict[str, list[str]] = {}
    for workload, found in result.items():
        times = medians(found)
        ratios = [ratio(times, name) for name in ours]
        table.rows.append(
            [workload, *(number(times.get(n)) for n in names), *("-" if r is None else f"{r:.2f}" for r in ratios)]
        )
        for score in found["contestants"].values():
            if score["failed"]:
                failures.setdefault(shorten(score["failed"], REASON_LENGTH, placeholder=" ..."), []).append(workload)
    table.notes = [f"{', '.join(workloads)}: {reason}" for reason, workloads in failures.items()]
    return table


def details(workload: str, found: Result, entries: Mapping[str, Entry]) -> Table:
    """One workload: spread, share of the peak, and whether all did the same."""
    times = medians(found)
    top = peak(times)
    title = f"{workload}: {found['about']}; {found['gflop']:.2f} GFLOP a step"
    title += f", the machine's GEMM does {top:.0f} GFLOP/s" if top else ""
    columns = ["contestant", "ms (min-max)", "to the best peer", "of the GEMM's GFLOP/s", "turns", "proof"]
    table = Table(title, columns)
    for name, score in found["contestants"].items():
        if name == GEMM:
            continue
        if name not in times:
            table.rows.append([entries[name].title, "failed", *["-"] * 4])
            table.notes.append(score["failed"])
            continue
        share = f"{found['gflop'] / times[name] * 1e3 / top:.0%}" if top else "-"
        against = ratio(times, name)
        proof = ", ".join(f"{value:.4g}" for value in score["proof"])
        turns = f"{len(score['rounds'])}" + (f" (+{len(score['shared'])} shared)" if score["shared"] else "")
        row = [entries[name].title, spread(rounds_of(score)), "-" if against is None else f"{against:.2f}", share]
        table.rows.append([*row, turns, proof])
    table.notes += [f"not the same work: {fault}" for fault in disagreements(found)]
    return table


def disagreements(found: Result) -> list[str]:
    """Who does not begin as the first contestant does."""
    told = {name: score["proof"] for name, score in found["contestants"].items() if score["proof"]}
    if not told:
        return []
    first, *others = told
    scale = max(abs(value) for value in told[first])
    return [
        f"{name} begins with {told[name][0]:.6g}, {first} with {told[first][0]:.6g}"
        for name in others
        if not abs(told[name][0] - told[first][0]) <= AGREE * scale
    ]
