"""The files of losses and metrics in a RUN folder: `metrics.jsonl`, `steps.jsonl` and `metrics.csv`.

They may be damaged, or still be written: a line that is not complete ends what can be read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, UsageError
from ...core.files.files import open_file
from ...core.metric_values import finite, is_metric, numbers_only

if TYPE_CHECKING:
    from ...runtime.execution.history import History

MAX_METRICS_BYTES = 1 << 28

# -- reading -----------------------------------------------------------------------------------------------------------


def read_columns(path: Path, ignored: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The values of all lines of a file by name; None where a line lacks one. Empty if the file cannot be read."""
    try:
        with open_file(path) as file:
            lines = metric_lines(file.read(MAX_METRICS_BYTES))
    except (UsageError, CompileError, OSError):
        return {}
    names = dict.fromkeys(name for line in lines for name in line if name not in ignored)
    return {name: [line.get(name) for line in lines] for name in names}


def metric_lines(contents: bytes) -> list[dict[str, Any]]:
    """The metrics of each line of JSON, up to a line that is damaged or not complete."""
    found: list[dict[str, Any]] = []
    for line in contents.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        found.append(metrics_in(value))
    return found


def metrics_in(value: Any) -> dict[str, Any]:
    """The numbers, nested lists of numbers and nulls of an object."""
    entries = value.items() if isinstance(value, dict) else ()
    return {name: metric for name, metric in entries if is_metric(metric)}


def lines_until(step: int, contents: bytes) -> bytes:
    """The complete lines of `steps.jsonl` of steps up to this one."""
    lines = contents.splitlines(keepends=True)
    return b"".join(line for line in lines if line.endswith(b"\n") and _step_of(line) <= step)


def _step_of(line: bytes) -> float:
    """The step of a line; infinity for a damaged one."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return inf
    return step if isinstance(step, int) else inf


# -- writing -----------------------------------------------------------------------------------------------------------


def step_line(step: int, epoch: int, metrics: Mapping[str, float]) -> bytes:
    """A line of `steps.jsonl`: the means over the steps of an epoch until a step. Metrics that are lists are left
    out."""
    return _line({"step": step, "epoch": epoch}, numbers_only(metrics))


def epoch_line(epoch: int, metrics: Mapping[str, float]) -> bytes:
    """A line of `metrics.jsonl`; NaN and infinity become null."""
    return _line({"epoch": epoch}, metrics)


def epoch_lines(history: History) -> bytes:
    """All lines of `metrics.jsonl`."""
    columns = history.history
    rows = ({name: values[row] for name, values in columns.items()} for row in range(len(history.epoch)))
    return b"".join(map(epoch_line, history.epoch, rows))


def _line(position: Mapping[str, int], metrics: Mapping[str, float]) -> bytes:
    return json.dumps({**position, **{name: finite(metric) for name, metric in metrics.items()}}).encode() + b"\n"


def csv_lines(history: History) -> bytes:
    """All lines of `metrics.csv`, the header first; metrics that are lists are left out."""
    columns = {
        name: values for name, values in history.history.items() if not any(isinstance(value, list) for value in values)
    }
    rows = zip(history.epoch, *columns.values(), strict=True)
    return csv_line(["epoch", *columns]) + b"".join(map(csv_line, rows)) if columns else b""


def csv_line(values: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
