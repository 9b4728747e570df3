"""Measures all contestants on one workload, and builds tables of the results."""

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

MIN_UNDISTURBED_TURNS = 3
"""Number of undisturbed turns from which on disturbed turns are ignored."""
MAX_PROOF_DIFFERENCE = 2e-3
"""Allowed relative difference of the first losses or outputs of two contestants."""
REASON_LENGTH = 80
"""Characters of a failure's reason in a summary; `details` prints the whole reason."""

Result = dict[str, Any]


def contest(workload: Workload, entries: Mapping[str, Entry], options: Options) -> Result:
    """Returns the scores of all contestants and of the machine's matrix product."""
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
    """Returns the GFLOP of a step: two per multiply-add; a backward pass counts as two forward passes."""
    import jsonnx

    macs = sum(row.macs.constant or 0 for row in jsonnx.compile(workload.spec).rows()) * workload.batch
    return (3 if workload.trains else 1) * 2 * macs / 1e9


def medians(result: Result) -> dict[str, float]:
    """Returns the median milliseconds per step of every contestant that did not fail."""
    rounds = {name: rounds_of(score) for name, score in result["contestants"].items()}
    return {name: median(times) for name, times in rounds.items() if times}


def rounds_of(score: Result) -> list[float]:
    """Returns the undisturbed turns, or all turns if these are fewer than MIN_UNDISTURBED_TURNS."""
    alone, shared = score["rounds"], score["shared"]
    times: list[float] = alone if len(alone) >= MIN_UNDISTURBED_TURNS else [*alone, *shared]
    return times


def peak(times: Mapping[str, float]) -> float | None:
    """Returns the GFLOP/s of the machine's matrix product, or None if it was not measured."""
    return 1e3 * GFLOP / times[GEMM] if GEMM in times else None


def best_peer(times: Mapping[str, float]) -> str | None:
    """Returns the name of the fastest peer, or None."""
    peers = [name for name in times if name not in (*OURS, GEMM)]
    return min(peers, key=times.__getitem__) if peers else None


def ratio(times: Mapping[str, float], name: str) -> float | None:
    """Returns the time of a contestant relative to the fastest peer, or None."""
    peer = best_peer(times)
    return times[name] / times[peer] if peer and name in times else None


def summary(title: str, results: Result, entries: Mapping[str, Entry]) -> Table:
    """The median of every contestant, and the ratio of jsonnx (by `step`, if it took part) to the fastest peer."""
    names = [n for n in entries if any(n in result["contestants"] for result in results.values())]
    ours = [n for n in names if n in OURS][:1]
    table = Table(
        title,
        ["workload", *(entries[n].title for n in names), *(f"{entries[n].title} / best peer" for n in ours)],
    )
    failures: dict[str, list[str]] = {}
    for workload, result in results.items():
        times = medians(result)
        ratios = [ratio(times, name) for name in ours]
        table.rows.append(
            [workload, *(number(times.get(n)) for n in names), *("-" if r is None else f"{r:.2f}" for r in ratios)]
        )
        for score in result["contestants"].values():
            if score["failed"]:
                failures.setdefault(shorten(score["failed"], REASON_LENGTH, placeholder=" ..."), []).append(workload)
    table.notes = [f"{', '.join(workloads)}: {reason}" for reason, workloads in failures.items()]
    return table


def details(workload: str, result: Result, entries: Mapping[str, Entry]) -> Table:
    """Returns the table of one workload: spread, share of peak performance, and disagreements."""
    times = medians(result)
    peak_gflops = peak(times)
    title = f"{workload}: {result['about']}; {result['gflop']:.2f} GFLOP a step"
    title += f", the machine's GEMM does {peak_gflops:.0f} GFLOP/s" if peak_gflops else ""
    columns = ["contestant", "ms (min-max)", "to the best peer", "of the GEMM's GFLOP/s", "turns", "proof"]
    table = Table(title, columns)
    for name, score in result["contestants"].items():
        if name == GEMM:
            continue
        if name not in times:
            table.rows.append([entries[name].title, "failed", *["-"] * 4])
            table.notes.append(score["failed"])
            continue
        share = f"{result['gflop'] / times[name] * 1e3 / peak_gflops:.0%}" if peak_gflops else "-"
        peer_ratio = ratio(times, name)
        proof = ", ".join(f"{value:.4g}" for value in score["proof"])
        turns = f"{len(score['rounds'])}" + (f" (+{len(score['shared'])} shared)" if score["shared"] else "")
        row = [entries[name].title, spread(rounds_of(score)), "-" if peer_ratio is None else f"{peer_ratio:.2f}", share]
        table.rows.append([*row, turns, proof])
    table.notes += [f"not the same work: {error}" for error in disagreements(result)]
    return table


def disagreements(result: Result) -> list[str]:
    """Returns a message for every contestant whose first loss or output differs from the first contestant's."""
    proofs = {name: score["proof"] for name, score in result["contestants"].items() if score["proof"]}
    if not proofs:
        return []
    first, *others = proofs
    scale = max(abs(value) for value in proofs[first])
    return [
        f"{name} begins with {proofs[name][0]:.6g}, {first} with {proofs[first][0]:.6g}"
        for name in others
        if not abs(proofs[name][0] - proofs[first][0]) <= MAX_PROOF_DIFFERENCE * scale
    ]
