"""The runs beneath a folder, with their figures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.diagnostics import CompileError, Diagnostic, UsageError, quoted_or_list, suggestion
from ..core.files import open_file
from ..core.natural_order import natural_key
from ..runtime.run_folder import METRICS_FILE, RUN_INFO_FILE
from .run_info import RUNNING, RunInfo, best_epoch, read_run_info, run_state

MAX_METRICS_BYTES = 1 << 28


@dataclass(frozen=True)
class RunSummary:
    """A run. `figures` are those of its last epoch, `test` those on the test data, `best` the best monitored figure."""

    folder: Path
    state: str
    spec: str
    started: str | None
    seconds: float | None
    epochs: int
    figures: Mapping[str, float | None]
    best: Mapping[str, Any] | None
    test: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "folder": str(self.folder)}


def list_runs(folder: Path) -> tuple[list[RunSummary], list[Diagnostic]]:
    """The runs beneath a folder, by name, and warnings about damaged ones. Raises UsageError for a missing folder."""
    if not folder.is_dir():
        raise UsageError("unreadable-file", f"there is no folder {str(folder)!r}", "name a folder with runs")
    runs, warnings = [], []
    for path in run_folders(folder):
        try:
            runs.append(_summary(path, read_run_info(path)))
        except CompileError as error:
            file = str(path / RUN_INFO_FILE)
            warnings += [replace(fault, severity="warning", file=fault.file or file) for fault in error.diagnostics]
        except UsageError as error:
            warnings.append(replace(error.diagnostic, severity="warning", file=str(path / RUN_INFO_FILE)))
    return runs, warnings


def run_folders(folder: Path) -> Iterator[Path]:
    """The folders with a `run.json`; hidden folders, links and the insides of runs are not searched."""
    for name, folders, files in os.walk(folder):
        if RUN_INFO_FILE in files:
            folders.clear()
            yield Path(name)
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))


def _summary(folder: Path, run_info: RunInfo) -> RunSummary:
    epochs = _read_metrics(folder)
    names = dict.fromkeys(name for epoch in epochs for name in epoch)
    history = {name: [epoch.get(name) for epoch in epochs] for name in names}
    started = run_info.get("started")
    return RunSummary(
        folder,
        run_state(folder, run_info),
        str(run_info.get("spec", "")),
        started if isinstance(started, str) else None,
        _seconds(folder, run_info),
        len(epochs),
        epochs[-1] if epochs else {},
        best_epoch(run_info, history),
        _figures(run_info.get("test")),
    )


def _seconds(folder: Path, run_info: RunInfo) -> float | None:
    """The duration of a run; of one that goes on or was killed, up to its last complete epoch. None if unknown."""
    seconds = run_info.get("seconds")
    if seconds is None or not _is_number(seconds):
        return None
    if run_info.get("state") != RUNNING:
        return float(seconds)
    try:  # `run.json` was written when the run started or was resumed, the metrics after each epoch
        started, last = ((folder / name).stat().st_mtime for name in (RUN_INFO_FILE, METRICS_FILE))
    except OSError:
        return float(seconds) or None
    return round(float(seconds) + max(0.0, last - started), 3) or None


def _read_metrics(folder: Path) -> list[dict[str, float | None]]:
    """The figures of each epoch; a line that is damaged, or not yet complete, ends them."""
    epochs: list[dict[str, float | None]] = []
    try:
        with open_file(folder / METRICS_FILE) as file:
            lines = file.read(MAX_METRICS_BYTES).splitlines()
    except (UsageError, OSError):
        return epochs
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            break
        if not isinstance(value, dict):
            break
        epochs.append(_figures({name: figure for name, figure in value.items() if name != "epoch"}))
    return epochs


def _figures(value: Any) -> dict[str, float | None]:
    """The numbers of an object from a file that may be damaged."""
    entries = value.items() if isinstance(value, dict) else ()
    return {name: figure for name, figure in entries if figure is None or _is_number(figure)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# -- order -------------------------------------------------------------------------------------------------------------


SORT_KEYS: dict[str, Callable[[RunSummary], Any]] = {
    "run": lambda run: natural_key(str(run.folder)),
    "state": lambda run: run.state,
    "spec": lambda run: run.spec,
    "started": lambda run: run.started,
    "duration": lambda run: run.seconds,
    "epochs": lambda run: run.epochs,
    "best": lambda run: run.best and run.best["value"],
}


def sorted_runs(runs: list[RunSummary], key: str) -> list[RunSummary]:
    """The runs in the order of a key, or of a figure on the test data; with `-` before it, the greatest first.

    Runs without a value are last. Raises UsageError for an unknown key.
    """
    name = key.removeprefix("-")
    figures = dict.fromkeys(figure for run in runs for figure in run.test)
    if name not in SORT_KEYS and name not in figures:
        known = [*SORT_KEYS, *figures]
        help = suggestion(name, known) or f"known: {quoted_or_list(known)}"
        raise UsageError("bad-option", f"--sort {key}: there is no such column", help)
    value_of: Callable[[RunSummary], Any] = SORT_KEYS.get(name, lambda run: run.test.get(name))
    with_value = [run for run in runs if value_of(run) is not None]
    without_value = [run for run in runs if value_of(run) is None]
    return sorted(with_value, key=value_of, reverse=key.startswith("-")) + without_value
