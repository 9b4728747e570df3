"""`run.json`: what a run was made from, where it ran, how long, and with which results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import inf, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backend import package_version
from ..core.diagnostics import CompileError, Diagnostic, UsageError
from ..core.figures import Figure, finite
from ..core.reserved_names import LOSS, validation_name
from ..frontend.json_reader import STDIN_NAME
from ..runtime.early_stopping import EarlyStoppingMonitor
from ..runtime.run_folder import RUN_INFO_FILE, SPEC_FILE
from ..runtime.run_lock import is_locked
from ..training.monitor import monitored_figure
from .check import read_spec
from .git_revision import git_revision
from .run_data import DataFiles, RunData

if TYPE_CHECKING:
    from ..runtime.history import History
    from .check import CheckedSpec
    from .trainer import Trainer

RUNNING, FINISHED, INTERRUPTED, DIVERGED = STATES = ("running", "finished", "interrupted", "diverged")
RUN_FOLDER_HELP = "a RUN folder is what `jsonnx train -o RUN` writes"

VARYING_KEYS = ("started", "ended", "seconds")
"""What differs between two runs of the same spec on the same machine."""

RunInfo = dict[str, Any]


def read_run_info(folder: Path) -> RunInfo:
    """The content of `run.json`. Raises UsageError if the folder has none, CompileError if it is damaged."""
    try:
        value = read_spec(folder / RUN_INFO_FILE).value
    except UsageError as error:
        raise UsageError("unreadable-file", f"{str(folder)!r} is not a RUN folder", RUN_FOLDER_HELP) from error
    run_info: RunInfo = value if isinstance(value, dict) else {}
    paths = [run_info.get("data_folder"), run_info.get("spec", SPEC_FILE)]
    if not all(isinstance(path, str) and "\0" not in path for path in paths):
        file = str(folder / RUN_INFO_FILE)
        raise CompileError([Diagnostic("damaged-file", "does not name the folder of the run's data", file=file)])
    return run_info


def data_files_of(folder: Path, run_info: RunInfo) -> DataFiles:
    """The files that replaced the spec's in a run."""
    section = run_info.get("data_files")
    files = section if isinstance(section, dict) else {}
    paths = {part: os.path.normpath(folder / path) for part, path in files.items() if isinstance(path, str)}
    return DataFiles(paths.get("train"), paths.get("validation"))


def run_info_text(run_info: RunInfo) -> str:
    return json.dumps(run_info, indent=2) + "\n"


def run_state(folder: Path, run_info: RunInfo) -> str:
    """One of STATES. A run whose process was killed is interrupted, whatever it has written."""
    state = run_info.get("state", RUNNING)
    if state == RUNNING and not is_locked(folder):
        return INTERRUPTED
    return state if state in STATES else INTERRUPTED


def path_from(folder: Path, path: Path) -> str:
    """A path relative to a RUN folder."""
    return os.path.relpath(path.resolve(), folder.resolve())


def start_info(
    folder: Path,
    checked: CheckedSpec,
    trainer: Trainer,
    data: RunData,
    data_files: Mapping[str, str],
    scale: str | None,
    changes: Sequence[str],
    before: RunInfo,
) -> RunInfo:
    """The description of a run that starts, or that continues one with the description `before`.

    `data_files` replace the spec's files, by their keys in `training.data`.
    """
    document: Any = checked.source.value
    run_info: RunInfo = {
        "jsonnx": package_version(),
        "data_folder": path_from(folder, checked.folder),
        "spec": Path(checked.source.file or STDIN_NAME).name,
        "name": checked.network.name,
        "provider": trainer.provider,
        "seed": trainer.plan.seed,
    }
    if data_files:
        run_info["data_files"] = {part: path_from(folder, Path(path)) for part, path in data_files.items()}
    return run_info | {
        "state": RUNNING,
        "started": before.get("started", _now()),
        "ended": None,
        "seconds": _number(before.get("seconds")),
        "scale": scale,
        "set": list(changes),
        "parameters": document.get("parameters", {}),
        "data": {part: {"samples": len(dataset), "sha256": dataset.digest} for part, dataset in data.parts.items()},
        "monitor": _monitor(trainer, data.validation is not None),
        **_environment(trainer),
        "git_revision": git_revision(checked.folder),
    }


def _environment(trainer: Trainer) -> RunInfo:
    """What a run is executed by: threads, versions, and the machine."""
    environment = trainer.environment()
    versions = {name: environment[name] for name in ("jsonnx", "onnx", "onnxruntime", "numpy")}
    return {
        "threads": environment["threads"],
        "versions": {**versions, "python": platform.python_version()},
        "machine": {"system": platform.platform(), "processor": environment["CPU"]},
    }


def end_info(
    run_info: RunInfo, state: str, seconds: float, history: History, test: Mapping[str, float] = {}
) -> RunInfo:
    """The description of a run that has ended after some more seconds."""
    figures = {name: values[-1] for name, values in history.history.items() if values}
    return run_info | {
        "state": state,
        "ended": _now(),
        "seconds": round(_number(run_info.get("seconds")) + seconds, 3),
        "epochs": len(history.epoch),
        "figures": finite_figures(figures),
        "best": best_epoch(run_info, history.history),
        "test": finite_figures(test) if test else None,
    }


def with_evaluation(run_info: RunInfo, data: str | None, figures: Mapping[str, Figure]) -> RunInfo:
    """The description with the figures of an evaluation: on the spec's test data, or on other data of this name."""
    if data is None:
        return run_info | {"test": finite_figures(figures)}
    before = run_info.get("evaluations")
    evaluations = before if isinstance(before, dict) else {}
    return run_info | {"evaluations": evaluations | {data: finite_figures(figures)}}


def best_epoch(run_info: RunInfo, history: Mapping[str, Sequence[float | None]]) -> dict[str, Any] | None:
    """The best value of the monitored figure, and its epoch, counted from 1; None if it has no value."""
    monitor = run_info.get("monitor")
    figure, mode = (monitor.get("figure"), monitor.get("mode")) if isinstance(monitor, dict) else (None, None)
    values = [value if value is not None else inf for value in history.get(figure, ())] if figure else []
    values = [(-value if mode == "max" else value) if isfinite(value) else inf for value in values]
    if not values or min(values) == inf:
        return None
    best = min(values)
    return {"figure": figure, "value": -best if mode == "max" else best, "epoch": values.index(best) + 1}


def finite_figures(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """The figures as JSON values: NaN and infinity become null."""
    return {name: finite(figure) for name, figure in figures.items()}


def _monitor(trainer: Trainer, has_validation: bool) -> dict[str, str]:
    """The figure that tells the best epoch: the one that the spec monitors, or else a loss."""
    monitor = EarlyStoppingMonitor(trainer.plan, has_validation)
    figure = monitored_figure(trainer.plan.training)
    if figure is None:
        return {"figure": validation_name(LOSS) if has_validation else LOSS, "mode": "min"}
    return {"figure": figure, "mode": "max" if monitor.is_maximized else "min"}


def _number(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and isfinite(value) else 0.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
