"""Where a run of training stands: its figures so far, its best epoch, and whether it was asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.diagnostics import CompileError, Diagnostic, path_text, quoted_or_list, suggestion
from ..core.reserved_names import LOSS, is_validation_name, metric_sums_name, validation_name
from .training_plan import TrainingPlan

if TYPE_CHECKING:
    from .dataset import Dataset

Weights = dict[str, np.ndarray]


@dataclass
class History:
    """What a fit did: `history` has a list of figures by name, one an epoch; `epoch` counts from 0.

    `signal` is the number of the signal that interrupted it; then the current epoch has no figures yet.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    signal: int | None = None
    stopped_early: bool = False
    best_epoch: int | None = None

    @property
    def interrupted(self) -> bool:
        return self.signal is not None

    def add(self, epoch: int, figures: Mapping[str, float]) -> None:
        self.epoch.append(epoch)
        for name, figure in figures.items():
            self.history.setdefault(name, []).append(figure)


class MetricSums:
    """Losses and statistics of metrics, summed over batches in float64."""

    def __init__(self, plan: TrainingPlan, sums: Mapping[str, Any] | None = None, sample_count: int = 0) -> None:
        self._plan, self.sample_count = plan, sample_count
        self.sums: dict[str, Any] = {name: np.asarray(total, np.float64) for name, total in (sums or {}).items()}
        self._statistics = [name for name in plan.fetched_names if name not in plan.loss_names]

    def add(self, results: Mapping[str, np.ndarray], sample_count: int) -> None:
        """A batch's results. A loss counts by its batch's size, statistics are sums already."""
        self.add_all([results], [sample_count])

    def add_all(self, results: Sequence[Mapping[str, np.ndarray]], sample_counts: Sequence[int]) -> None:
        """Those of several batches, one after the other: to the same sums as one by one."""
        sums = self.sums
        self.sample_count += sum(sample_counts)
        for name in self._plan.loss_names:
            total = sums.get(name, 0.0)
            for result, count in zip(results, sample_counts, strict=True):
                total += result[name].item() * count
            sums[name] = total
        for name in self._statistics:
            total = sums.get(name)
            for result in results:
                total = result[name].astype(np.float64) if total is None else total + result[name]
            sums[name] = total

    def results(self) -> dict[str, float]:
        """Losses, then metrics, over all that was added."""
        figures = {name: float(self.sums[name] / self.sample_count) for name in self._plan.loss_names}
        if not self._plan.metrics:
            return figures
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, metric in self._plan.metrics.items():
                figures[name] = float(metric.result(self.sums[metric_sums_name(name)]))
        return figures

    def state_dict(self) -> dict[str, Any]:
        return {
            "samples": self.sample_count,
            "sums": {name: np.asarray(total).tolist() for name, total in self.sums.items()},
        }


# Metrics that fall as a model gets better; all others rise.
_MINIMIZED_WORDS = ("loss", "error", "crossentropy", "divergence", "hinge", "poisson", "logcosh", "log_cosh")


class EarlyStoppingMonitor:
    """Early stopping and the best epoch's weights, as Keras counts them."""

    def __init__(self, plan: TrainingPlan, has_validation: bool) -> None:
        stopping, self.keeps_best_weights = plan.training.early_stopping, plan.training.restore_best_weights
        self._config = stopping
        self._monitor = stopping.monitor if stopping else validation_name(LOSS)
        self.best, self.best_epoch, self.wait = inf, -1, 0
        self.best_weights: Weights | None = None
        if stopping or self.keeps_best_weights:
            self._check_monitor(plan, has_validation)
            self._sign = -1.0 if self._is_maximized(plan) else 1.0

    def _check_monitor(self, plan: TrainingPlan, has_validation: bool) -> None:
        known = [*plan.loss_names, *plan.metrics]
        known += [validation_name(name) for name in known] if has_validation else []
        if self._monitor in known:
            return
        key = (
            ("early_stopping", *(("monitor",) if "monitor" in self._config.to_json() else ()))
            if self._config
            else ("restore_best_weights",)
        )
        path = ("training", *key)
        line, column = (plan.locate(path, False) if plan.locate else None) or (None, None)
        missing = is_validation_name(self._monitor) and not has_validation
        help = "give validation data, or `validation_split`" if missing else suggestion(self._monitor, known)
        message = f"{self._monitor!r} is to be watched, but the figures are {quoted_or_list(known)}"
        raise CompileError([Diagnostic("unknown-figure", message, path_text(path), plan.file, line, column, help)])

    def _is_maximized(self, plan: TrainingPlan) -> bool:
        if self._config and self._config.mode != "auto":
            return self._config.mode == "max"
        name = self._monitor.removeprefix("val_")
        metric = plan.metrics.get(name)
        return metric is not None and not any(word in metric.type_name for word in _MINIMIZED_WORDS)

    def should_stop_after(self, epoch: int, figures: Mapping[str, float], weights: Callable[[], Weights]) -> bool:
        """Whether to stop after this epoch."""
        stopping = self._config
        if not (stopping or self.keeps_best_weights) or (stopping and epoch < stopping.start_from_epoch):
            return False
        figure = self._sign * figures[self._monitor]
        better = self.best_epoch < 0 or figure + (stopping.min_delta if stopping else 0.0) < self.best
        if better or (isnan(self.best) and not isnan(figure)):
            self.best, self.best_epoch, self.wait = figure, epoch, 0
            self.best_weights = weights() if self.keeps_best_weights else None
            return False
        self.wait += 1
        return stopping is not None and self.wait >= stopping.patience and epoch > 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}

    def load_state_dict(self, state: Mapping[str, Any], weights: Weights | None) -> None:
        self.best, self.best_epoch, self.wait = state["best"], state["best_epoch"], state["wait"]
        self.best_weights = weights


@dataclass
class FitProgress:
    """How far a fit is. `epoch_offset` counts the epochs of earlier fits, which had draws of their own."""

    metric_sums: MetricSums
    epoch_offset: int = 0
    epoch: int = 0
    batch: int = 0
    finished: bool = False
    history: History = field(default_factory=History)
    early_stopping_state: dict[str, Any] | None = None
    best_weights: Weights | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """What must be the same when the run goes on: batch size, order, and the samples themselves."""
    dataset: Dataset | None = None

    def state_dict(self) -> dict[str, Any]:
        """Everything but the best weights, as JSON."""
        return {
            "offset": self.epoch_offset,
            "epoch": self.epoch,
            "batch": self.batch,
            "finished": self.finished,
            "totals": self.metric_sums.state_dict(),
            "history": {"history": self.history.history, "epoch": self.history.epoch},
            "watch": self.early_stopping_state,
            "setting": self.settings if self.dataset is None else {**self.settings, "data": self.dataset.digest},
        }

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
            state["setting"],
        )


TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class StopOnSignal:
    """While it is entered, the first signal to end (SIGINT, SIGTERM, SIGHUP) only asks to stop; a second one acts as it
    always does.

    A signal that the process ignores stays ignored, and outside the main thread nothing changes.
    """

    def __init__(self, signals: Iterable[int] = TERMINATION_SIGNALS) -> None:
        self.signal: int | None = None
        self._signals = tuple(signals)
        self._previous_handlers: dict[int, Any] = {}

    def __enter__(self) -> StopOnSignal:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._previous_handlers[number] = before
                    signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.__exit__()
            signal.raise_signal(number)
        self.signal = number

    def __exit__(self, *error: object) -> None:
        while self._previous_handlers:
            number, before = self._previous_handlers.popitem()
            signal.signal(number, before)
