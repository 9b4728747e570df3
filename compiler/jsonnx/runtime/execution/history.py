"""The progress of a fit and its metrics: losses and metrics by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.html_table import METRIC_TITLES, html_table, metric_rows
from ...core.metric_values import MetricValue, is_metric
from ...core.quantities import count_text
from ...core.reserved_names import loss_metric, metric_sums_name
from ..callbacks.callback_states import CallbackStates

if TYPE_CHECKING:
    from ...data.samples.batch_stream import BatchStream
    from ...data.samples.dataset import Dataset
    from ..training_plan import TrainingPlan

Weights = dict[str, np.ndarray]


@dataclass
class History:
    """The result of a fit: `history` has a list of metrics by name, one per epoch; `epoch` counts from 0.

    A metric is a number, or for some metrics nested lists of numbers.

    `signal` is the number of the signal that interrupted it; then the current epoch has no metrics yet.
    """

    history: dict[str, list[Any]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    signal: int | None = None
    stopped_early: bool = False
    best_epoch: int | None = None
    timed_out: bool = False
    """Whether the time limit of the spec interrupted it; then the current epoch has no metrics yet."""

    @property
    def interrupted(self) -> bool:
        return self.signal is not None or self.timed_out

    def last(self) -> dict[str, Any]:
        """The losses and metrics of the last epoch."""
        count = len(self.epoch)
        return {name: values[-1] for name, values in self.history.items() if values and len(values) == count}

    def plot(self, names: Sequence[str] | None = None) -> list[Any]:
        """Draws a chart for each loss and metric by epoch, or only for `names`. Returns matplotlib's axes.

        Raises UsageError without matplotlib, ValueError for an unknown name.
        """
        from .plot_metrics import plot_metrics

        return plot_metrics(self.history, names)

    def _repr_html_(self) -> str:
        """The table that a notebook shows."""
        return html_table(count_text(len(self.epoch), "epoch"), METRIC_TITLES, metric_rows(self.history))

    def add(self, epoch: int, metrics: Mapping[str, MetricValue]) -> None:
        self.epoch.append(epoch)
        self.add_metrics(metrics)

    def add_metrics(self, metrics: Mapping[str, MetricValue]) -> None:
        """Adds further metrics of the last epoch."""
        for name, metric in metrics.items():
            self.history.setdefault(name, []).append(metric)


def added_metric(name: str, value: Any) -> MetricValue:
    """The value of a metric that a callback has added to the logs. Raises TypeError if it is none."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is not None and is_metric(value):
        return value
    message = (
        f"a callback has added {name!r} to the logs: a metric is a number or a list of numbers, got {value!r:.100}"
    )
    raise TypeError(message)


class MetricSums:
    """Losses and metric sums, added up over batches in float64; of metrics that keep samples, rows of samples."""

    def __init__(self, plan: TrainingPlan, sums: Mapping[str, Any] | None = None, sample_count: int = 0) -> None:
        self._plan, self.sample_count = plan, sample_count
        self.sums: dict[str, Any] = {name: np.asarray(total, np.float64) for name, total in (sums or {}).items()}
        self._summed: list[str] = []
        self._rows: dict[str, list[np.ndarray]] = {}
        for metric_name, metric in plan.metrics.items():
            name = metric_sums_name(metric_name)
            if metric.keeps_samples:
                self._rows[name] = [self.sums[name]] if name in self.sums else []
            else:
                self._summed.append(name)

    def add(self, results: Mapping[str, np.ndarray], sample_count: int) -> None:
        """Adds the results of a batch. A loss is a mean, so it is weighted by the batch's size."""
        self.add_all([results], [sample_count])

    def add_all(self, results: Sequence[Mapping[str, np.ndarray]], sample_counts: Sequence[int]) -> None:
        """Adds the results of consecutive batches, bit for bit as one by one."""
        sums = self.sums
        self.sample_count += sum(sample_counts)
        for name in self._plan.loss_names:
            total = sums.get(name, 0.0)
            for result, count in zip(results, sample_counts, strict=True):
                total += result[name].item() * count
            sums[name] = total
        for name, rows in self._rows.items():
            rows += (np.array(result[name]) for result in results)
        for name in self._summed:
            total = sums.get(name)
            for result in results:
                total = result[name].astype(np.float64) if total is None else total + result[name]
            sums[name] = total

    def add_sums(self, other: MetricSums) -> None:
        """Adds the sums of other samples, with the losses and metrics of the same plan."""
        self.sample_count += other.sample_count
        for name, rows in self._rows.items():
            rows += other._rows[name]
        for name, total in other.sums.items():
            if name not in self._rows:
                self.sums[name] = self.sums.get(name, 0.0) + total

    def _join_rows(self) -> None:
        for name, rows in self._rows.items():
            if len(rows) > 1 or (rows and name not in self.sums):
                rows[:] = [np.concatenate(rows).astype(np.float64)]
                self.sums[name] = rows[0]

    def results(self) -> dict[str, Any]:
        """Losses, then metrics, over all batches so far."""
        metrics: dict[str, MetricValue] = {
            loss_metric(name): float(self.sums[name] / self.sample_count) for name in self._plan.loss_names
        }
        if not self._plan.metrics:
            return metrics
        self._join_rows()
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, metric in self._plan.metrics.items():
                metrics[name] = metric.result(self.sums[metric_sums_name(name)])
        return metrics

    def state_dict(self) -> dict[str, Any]:
        self._join_rows()
        return {
            "samples": self.sample_count,
            "sums": {name: np.asarray(total).tolist() for name, total in self.sums.items()},
        }


DATA_NAMES = ("training data", "validation data")
WEIGHTS_NAMES = ("sample weights", "sample weights for validation")
SETTING_NAMES = ("batch_size", "shuffle", *DATA_NAMES)
"""The settings of a fit in every checkpoint."""
TEACHER = "teacher"
"""The setting with the digest of the teacher."""
OPTIONAL_SETTING_NAMES = (*WEIGHTS_NAMES, "steps_per_epoch", "validation_freq", TEACHER)
"""The settings that a checkpoint has only if they are given."""


def data_digests(samples: Dataset | BatchStream, validation: Dataset | BatchStream | None) -> dict[str, str | None]:
    """The digests of a fit's samples and of their weights by name; None for what there is not."""
    parts = samples, validation
    digests = [None if part is None else part.digest for part in parts]
    weights = [None if part is None else part.weights_digest for part in parts]
    return dict(zip((*DATA_NAMES, *WEIGHTS_NAMES), (*digests, *weights), strict=True))


@dataclass
class FitProgress:
    """The progress of a fit. `epoch_offset` counts the epochs of earlier fits, as each has its own order of samples."""

    metric_sums: MetricSums
    epoch_offset: int = 0
    epoch: int = 0
    batch: int = 0
    finished: bool = False
    history: History = field(default_factory=History)
    early_stopping_state: dict[str, Any] | None = None
    best_weights: Weights | None = None
    plateau_state: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the fit that may not change when it is resumed: batch size and shuffling. Those of a loaded
    checkpoint include the digests of the samples."""
    datasets: tuple[Dataset | BatchStream, Dataset | BatchStream | None] | None = None
    """The samples to train and to validate on; None after a checkpoint was loaded, until its fit is resumed."""
    callbacks: CallbackStates = field(default_factory=CallbackStates)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the best weights and the states of callbacks, as JSON."""
        return {
            "offset": self.epoch_offset,
            "epoch": self.epoch,
            "batch": self.batch,
            "finished": self.finished,
            "totals": self.metric_sums.state_dict(),
            "history": {"history": self.history.history, "epoch": self.history.epoch},
            "watch": self.early_stopping_state,
            "setting": self._settings_and_digests(),
            **({"plateau": self.plateau_state} if self.plateau_state else {}),
        }

    def _settings_and_digests(self) -> dict[str, Any]:
        """The settings of a checkpoint, without the optional ones that are not given."""
        settings = self.settings | (data_digests(*self.datasets) if self.datasets else {})
        return {
            name: value for name, value in settings.items() if value is not None or name not in OPTIONAL_SETTING_NAMES
        }

    def changes(self, settings: Mapping[str, Any], epochs: int) -> Iterator[str]:
        """The reasons that a fit with these epochs, settings and digests cannot resume this one."""
        for name, value in settings.items():
            previous = self.settings.get(name)
            if previous == value:
                continue
            if name == TEACHER:
                yield "the teacher is another model"
            elif name not in (*DATA_NAMES, *WEIGHTS_NAMES):
                yield f"{name} changes from {previous} to {value}"
            elif previous is None:
                yield f"it had no {name}"
            else:
                yield f"the {name} {'have changed' if value else 'are missing'}"
        if (self.epoch, self.batch) > (epochs, 0):
            part = " and a part of the next" if self.batch else ""
            yield f"it has trained {self.epoch} epochs{part}, but `epochs` is {epochs}"

    @staticmethod
    def from_state_dict(plan: TrainingPlan, state: Mapping[str, Any], best: Weights | None) -> FitProgress:
        return FitProgress(
            MetricSums(plan, state["totals"]["sums"], state["totals"]["samples"]),
            state["offset"],
            state["epoch"],
            state["batch"],
            state["finished"],
            History(**state["history"]),
            state["watch"],
            best,
            state["plateau"],
            state["setting"],
        )
