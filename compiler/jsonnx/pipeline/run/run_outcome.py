"""The result of a training run, and the summary that the command prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.files.run_layout import RunPaths
from ...core.invisible_characters import escape_invisible
from ...core.metric_values import MetricValue, numbers_only
from ...core.reserved_names import is_validation_name
from ...core.signature.thresholds import Threshold, threshold_text
from ...runtime.execution.history import History

MAX_LISTED_LABELS = 12
"""Labels whose thresholds the summary has."""


@dataclass
class Outcome:
    """The result of a run. `test_metrics` are loss and metrics on the spec's test data, if it names any."""

    folder: Path
    history: History
    test_metrics: dict[str, MetricValue] = field(default_factory=dict)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The names of the classes, by output."""
    split_counts: Mapping[str, int] = field(default_factory=dict)
    """The number of samples of each part of the spec's `split`."""
    is_locked: bool = False
    """Whether the weights equal the lock file's, bit for bit."""
    restores_best: bool = False
    """Whether the weights are the best epoch's."""

    @property
    def exit_status(self) -> int:
        """The exit status: 0, or 128 and the number of the signal that interrupted the run."""
        return 128 + self.history.signal if self.history.signal else 0

    @property
    def kept_metrics(self) -> dict[str, float]:
        """The validation metrics of the last epoch, or of the best one if its weights were restored, and the metrics on
        the test data as `test_NAME`."""
        epochs, best = self.history.epoch, self.history.best_epoch
        index = epochs.index(best) if self.restores_best and best in epochs else -1
        metrics = {name: values[index] for name, values in self.history.history.items() if is_validation_name(name)}
        return numbers_only(metrics | {f"test_{name}": metric for name, metric in self.test_metrics.items()})

    def _threshold_texts(self) -> list[str]:
        """The threshold of each output, or those of its labels."""
        return [
            escape_invisible(f"{name} {threshold_text(value, self.labels.get(name, ()), '.4f', MAX_LISTED_LABELS)}")
            for name, value in self.thresholds.items()
        ]

    def summary_lines(self) -> list[str]:
        """The summary that the command prints."""
        lines = []
        if self.split_counts:
            lines.append("samples  " + "  ".join(f"{part} {count:,}" for part, count in self.split_counts.items()))
        if self.history.timed_out:
            epochs = len(self.history.epoch)
            lines.append(f"the time limit ended it after {epochs} epochs; `--resume` continues from there")
        elif self.history.interrupted:
            lines.append(f"interrupted after {len(self.history.epoch)} epochs; `--resume` continues from there")
        if self.history.stopped_early:
            lines.append(f"stopped early, after epoch {len(self.history.epoch)}")
        if self.history.best_epoch is not None and not self.history.interrupted:
            lines.append(f"best epoch: {self.history.best_epoch + 1}")
        if self.temperatures:
            lines.append(
                "temperature  " + "  ".join(f"{name} {value:.4f}" for name, value in self.temperatures.items())
            )
        if self.thresholds:
            lines.append(f"threshold  {'  '.join(self._threshold_texts())}")
        if self.test_metrics:
            metrics = numbers_only(self.test_metrics)
            lines.append("test  " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        if self.is_locked:
            lines.append("the weights are those of jsonnx.lock, bit for bit")
        return [*lines, f"wrote {RunPaths(self.folder).model}"]
