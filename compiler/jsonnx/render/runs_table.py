"""Lists of runs, and the figures of several runs, as text, JSON and csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .text_table import TextTable

Figures = Mapping[str, float | None]


class Run(Protocol):
    """A run, as `pipeline.list_runs` describes it."""

    @property
    def folder(self) -> Path: ...
    @property
    def state(self) -> str: ...
    @property
    def spec(self) -> str: ...
    @property
    def started(self) -> str | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def epochs(self) -> int: ...
    @property
    def best(self) -> Mapping[str, Any] | None: ...
    @property
    def test(self) -> Figures: ...
    def to_json(self) -> dict[str, Any]: ...


def runs_text(runs: Sequence[Run], color: bool = False, width: int | None = None) -> str:
    """One row a run."""
    names = list(dict.fromkeys(name for run in runs for name in run.test))
    titles = ["run", "state", "epochs", "best", *(f"test {name}" for name in names), "duration", "started"]
    table = TextTable(titles, right=(2, *range(4, 5 + len(names))), unbroken=(0,))
    for run in runs:
        best = f"{run.best['figure']} {_figure_text(run.best['value'])} in {run.best['epoch']}" if run.best else ""
        test = [_figure_text(run.test.get(name)) for name in names]
        started = (run.started or "").replace("T", " ").removesuffix("+00:00")
        table.add_row(str(run.folder), run.state, str(run.epochs), best, *test, _duration_text(run.seconds), started)
    return table.text(color, width)


def runs_csv(runs: Sequence[Run]) -> str:
    """One row a run, with all digits."""
    names = list(dict.fromkeys(name for run in runs for name in run.test))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["run", "spec", "state", "started", "seconds", "epochs", "monitor", "best", "best_epoch"]
    writer.writerow([*header, *(f"test_{name}" for name in names)])
    for run in runs:
        best = [run.best[key] for key in ("figure", "value", "epoch")] if run.best else [""] * 3
        row = [run.folder, run.spec, run.state, run.started, run.seconds, run.epochs, *best]
        writer.writerow([*row, *(run.test.get(name) for name in names)])
    return text.getvalue().rstrip("\n")


def runs_json(runs: Sequence[Run]) -> str:
    return json.dumps([run.to_json() for run in runs], indent=2)


def figures_text(figures: Sequence[tuple[str, Figures]], color: bool = False, width: int | None = None) -> str:
    """One row for each run or model, one column a figure."""
    names = list(dict.fromkeys(name for _, values in figures for name in values))
    table = TextTable(["run", *names], right=range(1, len(names) + 1), unbroken=(0,))
    for run, values in figures:
        table.add_row(run, *(_figure_text(values.get(name)) for name in names))
    return table.text(color, width)


def _figure_text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _duration_text(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02}:{int(seconds) % 60:02}"
