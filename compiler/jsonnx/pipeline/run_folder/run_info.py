"""`run.json` and `execution.json`: what a run was made from and its results; when, where and with what it ran.

Two runs of one spec, seed and data on one machine have the same `run.json`; all that may differ is in `execution.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from pathlib import Path
from typing import Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError, quoted_or_list
from ...core.files.files import write_atomically
from ...core.files.run_layout import FOLDS_FILE, SPEC_FILE, RunPaths
from ...core.files.sweep_data import SWEEP_FILE
from ...core.metric_values import MetricValue, finite, is_number
from ...core.training_options import option_keys
from ...frontend.json.json_reader import read_file
from .run_lock import is_locked

RUNNING, FINISHED, INTERRUPTED, DIVERGED = STATES = ("running", "finished", "interrupted", "diverged")
MAX_LISTED_RUNS = 3
"""RUN folders that a help names."""
SPEC_NAME_MESSAGE = "names the run's spec by a path, not by the name of its file alone"
RUN_FOLDER_HELP = "a RUN folder is what `jsonnx train -o RUN` writes"

LAYOUT_VERSION = 2
"""The version of the layout of RUN folders. Folders of version 1 have no `execution.json`: `run.json` has its keys."""

EXECUTION_KEYS = (
    "data_folder",
    "data_files",
    "arrays",
    "started",
    "ended",
    "seconds",
    "peak_memory_bytes",
    *option_keys(is_environment=True),
    "versions",
    "machine",
    "git_revision",
)
"""The keys of `execution.json`: what may differ between two runs of one spec, seed and data."""

RunInfo = dict[str, Any]
"""The keys of both files together."""


def read_run_info(folder: Path) -> RunInfo:
    """The content of both files. Raises UsageError for another kind of folder, CompileError if one is damaged."""
    paths = RunPaths(folder)
    try:
        run_info = _read_object(paths.run_info)
    except UsageError as error:
        if error.diagnostic.code == "unsafe-path":
            raise
        raise no_run_folder(folder) from error
    has_execution = os.path.exists(paths.execution)
    spec = run_info.get("spec", None if has_execution else SPEC_FILE)
    _require_path(paths.run_info, spec, "the file of the run's spec")
    if os.path.basename(str(spec)) != spec:
        raise CompileError([Diagnostic("damaged-file", SPEC_NAME_MESSAGE, file=str(paths.run_info))])
    if has_execution:
        run_info |= _read_object(paths.execution)
    file = paths.execution if has_execution else paths.run_info
    _require_path(file, run_info.get("data_folder"), "the folder of the run's data")
    return run_info


def no_run_folder(folder: Path) -> UsageError:
    """The error for a path that is not a RUN folder: what it is, and which folders in it are."""
    message = f"{str(folder)!r} is not a RUN folder"
    if (folder / SWEEP_FILE).is_file():
        runs = _run_folders(folder / "trials")
        choice = f"name {runs}, or train" if runs else "train"
        shown = f"; {folder / 'sweep.html'} shows all trials" if (folder / "sweep.html").is_file() else ""
        help = f"{choice} the best spec with `jsonnx train {folder / 'best.json'}`{shown}"
        return UsageError("unreadable-file", f"{message}, but a SWEEP folder", help)
    if (folder / FOLDS_FILE).is_file():
        evaluate = f"`jsonnx evaluate {folder}` shows the metrics of all folds"
        help = f"name a run, such as {str(folder / 'fold-0')!r}, or several with {folder / 'fold-*'}; {evaluate}"
        return UsageError("unreadable-file", f"{message}, but a folder with the runs of all folds", help)
    if runs := _run_folders(folder):
        help = f"name {runs}; `jsonnx runs {folder}` lists all"
        return UsageError("unreadable-file", f"{message}, but a folder of RUN folders", help)
    return UsageError("unreadable-file", message, RUN_FOLDER_HELP)


def _run_folders(parent: Path) -> str:
    """The RUN folders directly in a folder, for a message; empty if there are none."""
    names = sorted(map(str, (path.parent for path in parent.glob(f"*/{RunPaths(Path()).run_info}"))))
    return quoted_or_list(names, MAX_LISTED_RUNS)


def _read_object(path: Path) -> RunInfo:
    value = read_file(path).value
    return value if isinstance(value, dict) else {}


def _require_path(file: Path, path: object, title: str) -> None:
    """Raises CompileError if what a file of the run gives as a path is none."""
    if not isinstance(path, str) or "\0" in path:
        raise CompileError([Diagnostic("damaged-file", f"does not name {title}", file=str(file))])


def run_info_texts(paths: RunPaths, run_info: RunInfo) -> dict[Path, str]:
    """The contents of both files, by their paths; `run.json` last: a folder with it has a run."""
    execution = {key: value for key, value in run_info.items() if key in EXECUTION_KEYS}
    run = {key: value for key, value in run_info.items() if key not in EXECUTION_KEYS}
    return {paths.execution: _json_text(execution), paths.run_info: _json_text(run)}


def _json_text(value: RunInfo) -> str:
    return json.dumps(value, indent=2) + "\n"


def run_state(folder: Path, run_info: RunInfo) -> str:
    """One of STATES. A run whose process was killed is interrupted, whatever it has written."""
    state = run_info.get("state", RUNNING)
    if state == RUNNING and not is_locked(folder):
        return INTERRUPTED
    return state if state in STATES else INTERRUPTED


def path_from(folder: Path, path: Path) -> str:
    """A path relative to a RUN folder."""
    return os.path.relpath(path.resolve(), folder.resolve())


def write_evaluation(folder: Path, data: str | None, metrics: Mapping[str, MetricValue]) -> None:
    """Writes the metrics of an evaluation on the spec's test data, or on other data of this name, to `run.json`, unless
    a process trains the run. Raises UsageError, CompileError."""
    if is_locked(folder):
        return
    run_info, paths = read_run_info(folder), RunPaths(folder)
    if data is None:
        run_info["test"] = finite_metrics(metrics)
    else:
        before = run_info.get("evaluations")
        run_info["evaluations"] = {**(before if isinstance(before, dict) else {}), data: finite_metrics(metrics)}
    text = run_info_texts(paths, run_info)[paths.run_info]
    write_atomically(paths.run_info, text.encode(), follows_links=False)


def best_epoch(run_info: RunInfo, history: Mapping[str, Sequence[float | None]]) -> dict[str, Any] | None:
    """The best value of the monitored metric, and its epoch, counted from 1; None if it has no value."""
    monitor = run_info.get("monitor")
    metric, mode = (monitor.get("figure"), monitor.get("mode")) if isinstance(monitor, dict) else (None, None)
    recorded = history.get(metric, ()) if isinstance(metric, str) else ()
    values = [inf if value is None or not is_number(value) else value for value in recorded]
    values = [(-value if mode == "max" else value) if isfinite(value) else inf for value in values]
    if not values or min(values) == inf:
        return None
    best = min(values)
    return {"figure": metric, "value": -best if mode == "max" else best, "epoch": values.index(best) + 1}


def finite_metrics(metrics: Mapping[str, MetricValue]) -> dict[str, Any]:
    """The metrics as JSON values: NaN and infinity become null."""
    return {name: finite(metric) for name, metric in metrics.items()}
