"""Reads a RUN folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.diagnostics import CompileError, Diagnostic, UsageError
from ...core.files.run_layout import RunPaths
from ...core.html_table import METRIC_TITLES, html_table, metric_rows
from ...core.metric_values import is_number
from ...core.quantities import count_text
from ...frontend.json.json_reader import read_file
from .metric_files import metrics_in, read_columns
from .run_info import FINISHED, LAYOUT_VERSION, RUNNING, RunInfo, best_epoch, read_run_info, run_state

if TYPE_CHECKING:
    import numpy as np

    from ...core.metric_values import MetricValue
    from ..check.check import CheckedSpec

REPORTED_KEYS = ("data", "monitor", "parameters", "versions", "machine", "threads", "initial_weights", "sha256")
"""Keys that runs of earlier versions may lack."""


class Run:
    """A RUN folder, as `jsonnx train` writes it. Its files are read when they are first needed.

    A file that is still being written, or that is missing or damaged, gives what can be read; `missing` says what a run
    of an earlier version does not have. Raises UsageError `unreadable-file` if the folder is no RUN folder,
    CompileError if its `run.json` is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.paths = RunPaths(self.folder)
        self._info = read_run_info(self.folder)

    @property
    def info(self) -> RunInfo:
        """The keys of `run.json` and `execution.json`, as docs/guides/training/runs.md describes them."""
        return self._info

    # -- what was trained ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of the network."""
        return self._text("name")

    @property
    def spec_file(self) -> str:
        """The name of the spec's file."""
        return self._text("spec")

    @property
    def data_folder(self) -> Path:
        """The folder that the paths of the spec's data refer to: the folder of the spec's file."""
        return Path(os.path.normpath(self.folder.resolve() / self._text("data_folder")))

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The spec as it was trained, with overrides and learned labels. Raises UsageError, CompileError."""
        value = read_file(self.paths.spec).value
        return value if isinstance(value, dict) else {}

    @cached_property
    def source_spec(self) -> str | None:
        """The text of the spec's file when the run began; None if the run does not have it."""
        path = self.paths.source_spec
        return read_file(path).text if path.exists() else None

    @cached_property
    def checked_spec(self) -> CheckedSpec:
        """The spec with its network, checked. Raises UsageError, CompileError."""
        from ..check.check import check_spec

        checked = check_spec(self.paths.spec, accepts_missing_functions=True)
        checked.require()
        return checked

    @property
    def class_weight(self) -> Any:
        """The weights of classes in the training loss, as the spec has them; None without any, or without a spec."""
        try:
            training = self.spec.get("training")
        except (UsageError, CompileError):
            return None
        return training.get("class_weight") if isinstance(training, dict) else None

    @property
    def seed(self) -> int | None:
        """The seed."""
        seed = self.info.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def scale(self) -> str | None:
        """The scale of `--scale`."""
        return self._text("scale") or None

    @property
    def changes(self) -> list[str]:
        """The overrides of `--set`, such as `width=128`."""
        changes = self.info.get("set")
        return [str(change) for change in changes] if isinstance(changes, list) else []

    @property
    def parameters(self) -> dict[str, Any]:
        """The values of the spec's parameters."""
        return self._object("parameters")

    @property
    def data(self) -> dict[str, Any]:
        """By part (`train`, `validation`, `test`): the number of samples and the SHA-256 of their values."""
        return self._object("data")

    # -- how it ran ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """`running`, `finished`, `interrupted` (also if its process was killed) or `diverged`."""
        return run_state(self.folder, self.info)

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended as planned, by its last epoch or by early stopping."""
        return self.state == FINISHED

    @property
    def provider(self) -> str:
        """The execution provider."""
        return self._text("provider")

    @property
    def threads(self) -> int | None:
        """The number of threads."""
        threads = self.info.get("threads")
        return threads if isinstance(threads, int) else None

    @property
    def versions(self) -> dict[str, Any]:
        """The versions of jsonnx, onnx, onnxruntime, numpy, Python and the optional packages that were used."""
        return self._object("versions")

    @property
    def machine(self) -> dict[str, Any]:
        """The `system`, the `processor` and its `instruction_sets`."""
        return self._object("machine")

    @property
    def git_revision(self) -> str | None:
        """The commit of the spec's repository."""
        return self._text("git_revision") or None

    @property
    def started(self) -> str | None:
        """The time of the start in UTC, in the format of ISO 8601."""
        return self._text("started") or None

    @property
    def ended(self) -> str | None:
        """The time of the end in UTC; None for a run that goes on or was killed."""
        return self._text("ended") or None

    @cached_property
    def seconds(self) -> float | None:
        """The duration of a run; of one that goes on or was killed, up to its last complete epoch. None if unknown."""
        seconds = self.info.get("seconds")
        if seconds is None or not is_number(seconds):
            return None
        if self.info.get("state") != RUNNING:
            return float(seconds)
        try:  # `run.json` was written when the run started or was resumed, the metrics after each epoch
            started, last = (path.stat().st_mtime for path in (self.paths.run_info, self.paths.metrics))
        except OSError:
            return float(seconds) or None
        return round(float(seconds) + max(0.0, last - started), 3) or None

    # -- metrics ---------------------------------------------------------------------------------------------------

    @cached_property
    def history(self) -> dict[str, list[Any]]:
        """Losses and metrics by name, one value an epoch: a number, nested lists of numbers, or None."""
        return read_columns(self.paths.metrics, ignored=("epoch",))

    @property
    def epochs(self) -> int:
        """The number of complete epochs."""
        return max(map(len, self.history.values()), default=0)

    @cached_property
    def steps(self) -> dict[str, list[Any]]:
        """Metrics by step: `step` and `epoch` have the position of each value. They are means over the epoch so far."""
        return read_columns(self.paths.steps)

    @property
    def figures(self) -> dict[str, MetricValue | None]:
        """The losses and metrics of the last epoch."""
        return {name: values[-1] for name, values in self.history.items() if values}

    @property
    def model_figures(self) -> dict[str, MetricValue | None]:
        """The losses and metrics of the epoch whose weights the model has: the best one if the run has finished and the
        spec has `restore_best_weights`, else the last one."""
        if self.best is None or not self.is_finished or not self._restores_best_weights:
            return self.figures
        epoch, count = self.best["epoch"], self.epochs
        best = {name: values[epoch - 1] for name, values in self.history.items() if len(values) == count}
        return self.figures | best

    @property
    def _restores_best_weights(self) -> bool:
        try:
            training = self.spec.get("training")
        except (UsageError, CompileError):
            return False
        return isinstance(training, dict) and training.get("restore_best_weights") is True

    @property
    def monitor(self) -> dict[str, Any]:
        """The monitored `figure`, or else the loss, and its `mode`, `min` or `max`."""
        return self._object("monitor")

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The `value` of the monitored `figure` in its best `epoch`, count_text from 1; None if it has no value."""
        return best_epoch(self.info, self.history)

    @property
    def test(self) -> dict[str, MetricValue | None]:
        """The losses and metrics on the spec's test data."""
        return metrics_in(self.info.get("test"))

    @property
    def evaluations(self) -> dict[str, dict[str, MetricValue | None]]:
        """Those of `jsonnx evaluate RUN --data FILE`, by file."""
        return {name: metrics_in(metrics) for name, metrics in self._object("evaluations").items()}

    def figure_labels(self) -> dict[str, list[Sequence[str]]]:
        """The labels along the axes of the metrics that are lists, such as the names of the classes.

        Raises UsageError, CompileError.
        """
        checked = self.checked_spec
        metrics = checked.objective.metrics_by_name() if checked.objective is not None else {}
        labels = checked.network.labels
        return {
            name: reported.metric.axis_labels(labels.get(reported.output, ())) for name, reported in metrics.items()
        }

    # -- files -----------------------------------------------------------------------------------------------------

    @property
    def model_file(self) -> Path:
        """The inference model, written at the end."""
        return self.paths.model

    @property
    def hashes(self) -> dict[str, Any]:
        """The SHA-256 of the weights' and the model's file when the run ended, by the name of the file."""
        return self._object("sha256")

    def weights(self, verify: bool = True) -> dict[str, np.ndarray]:
        """The trained weights. Raises UsageError if there are none yet, CompileError if they are damaged."""
        from ...runtime.session.weight_files import read_weight_file

        return {name: array.copy() for name, array in read_weight_file(self.paths.weights, verify).items()}

    @property
    def best_checkpoint(self) -> Path | None:
        """The checkpoint of the best epoch, which runs have if `training.checkpoint` has a `monitor`."""
        path = self.paths.best_checkpoint
        return path if path.exists() else None

    @property
    def missing(self) -> list[str]:
        """The files and keys that a run of an earlier version lacks, or that were removed."""
        paths = self.paths
        wanted = [paths.execution, paths.spec, paths.expanded_spec, paths.metrics, paths.steps]
        if self.state == FINISHED:
            wanted += [paths.weights, paths.model]
        files = [path.name for path in paths.results if path in wanted and not path.exists()]
        keys = [key for key in REPORTED_KEYS if key not in self.info and (key != "sha256" or self.state == FINISHED)]
        return files + keys

    def missing_warnings(self) -> list[Diagnostic]:
        """A warning `incomplete-run` about what is missing."""
        missing = self.missing
        if not missing:
            return []
        is_old = self.info.get("layout") != LAYOUT_VERSION
        reason = "an earlier version of jsonnx wrote it" if is_old else "files were removed"
        message = f"the run in {str(self.folder)!r} lacks {', '.join(missing)}: {reason}"
        return [Diagnostic("incomplete-run", message, severity="warning")]

    def to_json(self) -> dict[str, Any]:
        """The run as `jsonnx runs --format json` prints it."""
        return {
            "folder": str(self.folder),
            "state": self.state,
            "spec": self.spec_file,
            "name": self.name,
            "started": self.started,
            "seconds": self.seconds,
            "epochs": self.epochs,
            "figures": self.figures,
            "best": self.best,
            "test": self.test,
            "evaluations": self.evaluations,
            "parameters": self.parameters,
            "seed": self.seed,
            "provider": self.provider,
        }

    def plot(self, names: Sequence[str] | None = None) -> list[Any]:
        """Draws a chart for each loss and metric by epoch, or only for `names`. Returns matplotlib's axes.

        Raises UsageError without matplotlib, ValueError for an unknown name.
        """
        from ...runtime.execution.plot_metrics import plot_metrics

        return plot_metrics(self.history, names)

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        best = (
            f", best {self.best['figure']} {self.best['value']:.6g} in epoch {self.best['epoch']}" if self.best else ""
        )
        rows = metric_rows(self.history)
        rows += [[f"test {name}", "", f"{value:.6g}", "", ""] for name, value in self.test.items() if is_number(value)]
        return html_table(f"{self.folder}: {self.state}, {count_text(self.epochs, 'epoch')}{best}", METRIC_TITLES, rows)

    def __repr__(self) -> str:
        return f"<Run {str(self.folder)!r}: {self.state}, {count_text(self.epochs, 'epoch')}>"

    def _text(self, key: str) -> str:
        value = self.info.get(key)
        return value if isinstance(value, str) else ""

    def _object(self, key: str) -> dict[str, Any]:
        value = self.info.get(key)
        return value if isinstance(value, dict) else {}
