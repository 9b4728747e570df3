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

from ..core.diagnostics import CompileError, Diagnostic, listed, path_text, suggestion
from ..training.reserved_names import STATISTICS
from .training_plan import Plan

if TYPE_CHECKING:
    from .dataset import Samples

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


class Totals:
    """Losses and statistics of metrics, summed over batches in float64."""

    def __init__(self, plan: Plan, sums: Mapping[str, Any] | None = None, samples: int = 0) -> None:
        self._plan, self.samples = plan, samples
        self.sums: dict[str, Any] = {name: np.asarray(total, np.float64) for name, total in (sums or {}).items()}
        self._statistics = [name for name in plan.fetched if name not in plan.scalars]

    def add(self, results: Mapping[str, np.ndarray], samples: int) -> None:
        """A batch's results. A loss counts by its batch's size, statistics are sums already."""
        self.add_all([results], [samples])

    def add_all(self, results: Sequence[Mapping[str, np.ndarray]], samples: Sequence[int]) -> None:
        """Those of several batches, one after the other: to the same sums as one by one."""
        sums = self.sums
        self.samples += sum(samples)
        for name in self._plan.scalars:
            total = sums.get(name, 0.0)
            for result, count in zip(results, samples, strict=True):
                total += result[name].item() * count
            sums[name] = total
        for name in self._statistics:
            total = sums.get(name)
            for result in results:
                total = result[name].astype(np.float64) if total is None else total + result[name]
            sums[name] = total

    def figures(self) -> dict[str, float]:
        """Losses, then metrics, over all that was added."""
        figures = {name: float(self.sums[name] / self.samples) for name in self._plan.scalars}
        if not self._plan.metrics:
            return figures
        with np.errstate(divide="ignore", invalid="ignore"):
            for name, metric in self._plan.metrics.items():
                figures[name] = float(metric.result(self.sums[f"{STATISTICS}{name}"]))
        return figures

    def state(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "sums": {name: np.asarray(total).tolist() for name, total in self.sums.items()},
        }


# Metrics that fall as a model gets better; all others rise.
_FALLING = ("loss", "error", "crossentropy", "divergence", "hinge", "poisson", "logcosh", "log_cosh")


class Watch:
    """Early stopping and the best epoch's weights, as Keras counts them."""

    def __init__(self, plan: Plan, validated: bool) -> None:
        stopping, self.keeps = plan.training.early_stopping, plan.training.restore_best_weights
        self._stopping = stopping
        self._monitor = stopping.monitor if stopping else "val_loss"
        self.best, self.best_epoch, self.wait = inf, -1, 0
        self.weights: Weights | None = None
        if stopping or self.keeps:
            self._check(plan, validated)
            self._sign = -1.0 if self._rises(plan) else 1.0

    def _check(self, plan: Plan, validated: bool) -> None:
        known = [*plan.scalars, *plan.metrics]
        known += [f"val_{name}" for name in known] if validated else []
        if self._monitor in known:
            return
        key = (
            ("early_stopping", *(("monitor",) if "monitor" in self._stopping.to_json() else ()))
            if self._stopping
            else ("restore_best_weights",)
        )
        path = ("training", *key)
        line, column = (plan.locate(path, False) if plan.locate else None) or (None, None)
        missing = self._monitor.startswith("val_") and not validated
        help = "give validation data, or `validation_split`" if missing else suggestion(self._monitor, known)
        message = f"{self._monitor!r} is to be watched, but the figures are {listed(known)}"
        raise CompileError([Diagnostic("unknown-figure", message, path_text(path), plan.file, line, column, help)])

    def _rises(self, plan: Plan) -> bool:
        if self._stopping and self._stopping.mode != "auto":
            return self._stopping.mode == "max"
        name = self._monitor.removeprefix("val_")
        metric = plan.metrics.get(name)
        return metric is not None and not any(word in metric.type_name for word in _FALLING)

    def after(self, epoch: int, figures: Mapping[str, float], weights: Callable[[], Weights]) -> bool:
        """Whether to stop after this epoch."""
        stopping = self._stopping
        if not (stopping or self.keeps) or (stopping and epoch < stopping.start_from_epoch):
            return False
        figure = self._sign * figures[self._monitor]
        better = self.best_epoch < 0 or figure + (stopping.min_delta if stopping else 0.0) < self.best
        if better or (isnan(self.best) and not isnan(figure)):
            self.best, self.best_epoch, self.wait = figure, epoch, 0
            self.weights = weights() if self.keeps else None
            return False
        self.wait += 1
        return stopping is not None and self.wait >= stopping.patience and epoch > 0

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}

    def restore(self, state: Mapping[str, Any], weights: Weights | None) -> None:
        self.best, self.best_epoch, self.wait = state["best"], state["best_epoch"], state["wait"]
        self.weights = weights


@dataclass
class Progress:
    """How far a fit is. `offset` counts the epochs of earlier fits, which had draws of their own."""

    totals: Totals
    offset: int = 0
    epoch: int = 0
    batch: int = 0
    finished: bool = False
    history: History = field(default_factory=History)
    watch: dict[str, Any] | None = None
    best: Weights | None = None
    setting: dict[str, Any] = field(default_factory=dict)
    """What must be the same when the run goes on: batch size, order, and the samples themselves."""
    samples: Samples | None = None

    def state(self) -> dict[str, Any]:
        """Everything but the best weights, as JSON."""
        return {
            "offset": self.offset,
            "epoch": self.epoch,
            "batch": self.batch,
            "finished": self.finished,
            "totals": self.totals.state(),
            "history": {"history": self.history.history, "epoch": self.history.epoch},
            "watch": self.watch,
            "setting": self.setting if self.samples is None else {**self.setting, "data": self.samples.digest},
        }

    @staticmethod
    def restored(plan: Plan, state: Mapping[str, Any], best: Weights | None) -> Progress:
        return Progress(
            Totals(plan, state["totals"]["sums"], state["totals"]["samples"]),
            state["offset"],
            state["epoch"],
            state["batch"],
            state["finished"],
            History(**state["history"]),
            state["watch"],
            best,
            state["setting"],
        )


ENDING = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Interruption:
    """While it is entered, the first signal to end (SIGINT, SIGTERM, SIGHUP) only asks to stop; a second one acts as it
    always does.

    A signal that the process ignores stays ignored, and outside the main thread nothing changes.
    """

    def __init__(self, signals: Iterable[int] = ENDING) -> None:
        self.signal: int | None = None
        self._signals = tuple(signals)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in self._signals:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._asked)
        return self

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.__exit__()
            signal.raise_signal(number)
        self.signal = number

    def __exit__(self, *error: object) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)
