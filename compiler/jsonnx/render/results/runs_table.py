"""Lists of runs, and the metrics of several runs, as text, JSON and csv."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ...core.metric_values import numbers_only
from ..text.text_table import TextTable

Metrics = Mapping[str, Any]


class Run(Protocol):
    """A run, as `pipeline.run` reads it."""

    folder: Path

    @property
    def state(self) -> str: ...
    @property
    def spec_file(self) -> str: ...
    @property
    def started(self) -> str | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def epochs(self) -> int: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def provider(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def figures(self) -> Metrics: ...
    @property
    def best(self) -> Mapping[str, Any] | None: ...
    @property
    def test(self) -> Metrics: ...
    def to_json(self) -> dict[str, Any]: ...


ColumnValue = Callable[[Any, str], Any]
"""The value of a run in a column."""


def runs_text(
    runs: Sequence[Run],
    color: bool = False,
    width: int | None = None,
    columns: Sequence[str] = (),
    value_of: ColumnValue = lambda run, name: None,
) -> str:
    """One row a run. `columns` are further columns, whose values `value_of` gives."""
    names = _metric_names(runs, "test")
    further = [name for name in columns if name not in SHOWN_COLUMNS and name.removeprefix("test_") not in names]
    titles = [*FIRST_COLUMNS, *further, *(f"test {name}" for name in names), *LAST_COLUMNS]
    right = range(len(FIRST_COLUMNS), len(titles) - 1)
    table = TextTable(titles, right=(FIRST_COLUMNS.index("epochs"), *right), unbroken=(0,))
    for run in runs:
        best = f"{run.best['figure']} {metric_text(run.best['value'])} in {run.best['epoch']}" if run.best else ""
        cells = [
            *(_cell(value_of(run, name)) for name in further),
            *(metric_text(run.test.get(name)) for name in names),
        ]
        started = (run.started or "").replace("T", " ").removesuffix("+00:00")
        row = [str(run.folder), run.state, str(run.epochs), best, *cells, duration_text(run.seconds), started]
        table.add_row(*row)
    return table.text(color, width)


FIRST_COLUMNS, LAST_COLUMNS = ("run", "state", "epochs", "best"), ("duration", "started")
SHOWN_COLUMNS = (*FIRST_COLUMNS, *LAST_COLUMNS)


def runs_csv(runs: Sequence[Run]) -> str:
    """One row a run, with all digits: what it is, its parameters, and the metrics of the last epoch and of tests."""
    parameters = list(dict.fromkeys(name for run in runs for name in run.parameters))
    metrics, tests = _metric_names(runs, "figures"), _metric_names(runs, "test")
    header = [
        "run",
        "spec",
        "state",
        "started",
        "seconds",
        "epochs",
        "monitor",
        "best",
        "best_epoch",
        "seed",
        "provider",
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header, *parameters, *metrics, *(f"test_{name}" for name in tests)])
    for run in runs:
        best = [run.best[key] for key in ("figure", "value", "epoch")] if run.best else [""] * 3
        row = [
            run.folder,
            run.spec_file,
            run.state,
            run.started,
            run.seconds,
            run.epochs,
            *best,
            run.seed,
            run.provider,
        ]
        writer.writerow(
            [
                *row,
                *(_csv_cell(run.parameters.get(name)) for name in parameters),
                *(run.figures.get(name) for name in metrics),
                *(run.test.get(name) for name in tests),
            ]
        )
    return text.getvalue().rstrip("\n")


def runs_json(runs: Sequence[Run]) -> str:
    return json.dumps([run.to_json() for run in runs], indent=2)


def metrics_text(metrics: Sequence[tuple[str, Metrics]], color: bool = False, width: int | None = None) -> str:
    """One row for each run or model, one column a metric."""
    names = list(dict.fromkeys(name for _, values in metrics for name in values))
    table = TextTable(["run", *names], right=range(1, len(names) + 1), unbroken=(0,))
    for run, values in metrics:
        table.add_row(run, *(metric_text(values.get(name)) for name in names))
    return table.text(color, width)


def _metric_names(runs: Sequence[Run], attribute: str) -> list[str]:
    """The names of the metrics that are numbers."""
    return list(dict.fromkeys(name for run in runs for name in numbers_only(getattr(run, attribute))))


def _cell(value: Any) -> str:
    return metric_text(value) if isinstance(value, float) else _csv_cell(value)


def _csv_cell(value: Any) -> Any:
    """A value of a spec: a text as it is, nothing for None, anything else as JSON."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def metric_text(value: float | None) -> str:
    """A metric with six digits; nothing for None."""
    return "" if value is None else f"{value:.6g}"


def duration_text(seconds: float | None) -> str:
    """A duration in seconds below a minute, else in hours, minutes and seconds; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02}:{int(seconds) % 60:02}"
