"""What comes in: missing, unknown and distant values by column, and the drift of columns and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np

from ...core.diagnostics import CompileError, UsageError
from ...core.types import TensorType
from ...data.drift.drift_counts import DriftCounts, FeatureCounts, FeatureDrift
from ...data.drift.statistics import DataStatistics
from ...pipeline.run.data_statistics import read_data_statistics
from ...runtime.session.session import Session
from .observer import Feeds

MAX_PENDING_ROWS = 256
"""Rows that wait to be counted: many are counted at once in a tenth of the time."""
MAX_PENDING_BYTES = 1 << 20
MAX_BACKLOG = 8
"""Counts of pending rows that wait for the thread; further rows are left out, and their number is told."""
MIN_WINDOW_ROWS = 5000
"""The drift is that of the last 5,000 to 10,000 rows, so that rows of long ago do not hide it."""


NO_STATISTICS = (
    "the model has no data_statistics.json, which `jsonnx train` writes to the RUN folder unless the spec has "
    "`training.data.statistics: false`"
)


class MonitorSample(NamedTuple):
    """A number for Prometheus: of a counter, its name has no `_total`."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: dict[str, str]
    value: float


class InputMonitor:
    """Counts what requests give to one version of a model, and what they get.

    Requests only append to a list; a thread counts. Without statistics of the training data, nothing is counted, and
    `reason` says why.
    """

    def __init__(self, statistics: DataStatistics | None, reason: str | None = None) -> None:
        self.reason = reason
        """Why there are no figures, as a clause; None if there are some."""
        self.skipped_rows = 0
        """Rows that were not counted, because they came faster than they could be."""
        self._columns = None if statistics is None else _WindowedCounts(DriftCounts.of(statistics.columns))
        self._outputs = None if statistics is None else _WindowedCounts(DriftCounts.of(statistics.outputs))
        self._thread = ThreadPoolExecutor(1, "jsonnx-input-monitor")
        self._lock = Lock()
        self._pending: list[tuple[Feeds, Feeds]] = []
        self._pending_rows = self._pending_bytes = self._backlog = 0

    @staticmethod
    def open(path: Path, session: Session, text_inputs: Mapping[str, TensorType] = {}) -> InputMonitor:
        """The monitor of a model, with the statistics in its RUN folder, or beside the model's file.

        Statistics of `text_inputs`, in whose place the model gets tokens, are of no use to it.
        """
        try:
            folder = path if path.is_dir() else path.parent
            statistics = read_data_statistics(folder, session, text_inputs)
            columns = tuple(item for item in statistics.columns if item.feature.source in session.inputs)
            return InputMonitor(replace(statistics, columns=columns))
        except UsageError:
            return InputMonitor(None, NO_STATISTICS)
        except CompileError as error:
            return InputMonitor(None, f"its data_statistics.json is of no use: {error.diagnostics[0].message}")

    def predicted(self, feeds: Feeds, outputs: Feeds) -> None:
        """Takes what a request gave, and what it got."""
        if self._columns is None or not feeds:
            return
        rows, size = len(next(iter(feeds.values()))), sum(map(_bytes, feeds.values()))
        with self._lock:
            self._pending.append((feeds, outputs))
            self._pending_rows += rows
            self._pending_bytes += size
            if self._pending_rows >= MAX_PENDING_ROWS or self._pending_bytes >= MAX_PENDING_BYTES:
                self._submit()

    def _submit(self) -> Future[None] | None:
        """Lets the thread count the pending rows; leaves them out if it is behind."""
        pending, rows = self._pending, self._pending_rows
        self._pending, self._pending_rows, self._pending_bytes = [], 0, 0
        if self._backlog >= MAX_BACKLOG:
            self.skipped_rows += rows
            return None
        self._backlog += 1
        return self._thread.submit(self._count, pending)

    def _count(self, pending: Sequence[tuple[Feeds, Feeds]]) -> None:
        try:
            if self._columns is not None and self._outputs is not None:
                self._columns.add([feeds for feeds, _ in pending])
                self._outputs.add([outputs for _, outputs in pending])
        finally:
            with self._lock:
                self._backlog -= 1

    def drifts(self) -> tuple[list[FeatureDrift], list[FeatureDrift]]:
        """What was counted of each column and of each prediction, and their drift in the last rows."""
        with self._lock:
            self._submit()
        return self._thread.submit(self._drifts).result()

    def _drifts(self) -> tuple[list[FeatureDrift], list[FeatureDrift]]:
        if self._columns is None or self._outputs is None:
            return [], []
        return self._columns.drifts(), self._outputs.drifts()

    def document(self) -> dict[str, Any]:
        """The figures as JSON: `columns` and `outputs`, or the `reason` why there are none."""
        if self._columns is None:
            return {"reason": self.reason, "columns": [], "outputs": []}
        columns, outputs = self.drifts()
        return {
            "reason": None,
            "skipped_rows": self.skipped_rows,
            "columns": [drift.to_json() for drift in columns],
            "outputs": [drift.to_json() for drift in outputs],
        }

    def samples(self) -> Iterator[MonitorSample]:
        """The figures for Prometheus, without the labels of model and version."""
        if self._columns is None:
            return
        columns, outputs = self.drifts()
        yield MonitorSample("jsonnx_unmonitored_rows", "counter", SKIPPED_HELP, {}, self.skipped_rows)
        for name, help, values in (
            ("jsonnx_column_rows", "Rows that were compared with the training data", [d.rows for d in columns]),
            ("jsonnx_column_missing", "Rows without a value", [d.missing for d in columns]),
            ("jsonnx_column_unknown", "Texts that the training data lack", [d.unknown for d in columns]),
            ("jsonnx_column_out_of_range", "Numbers beyond the training data's", [d.out_of_range for d in columns]),
        ):
            for drift, value in zip(columns, values, strict=True):
                if value is not None:
                    yield MonitorSample(name, "counter", help, {"column": drift.feature.title}, value)
        for label, drifts in (("column", columns), ("output", outputs)):
            judged = [drift for drift in drifts if drift.psi is not None and drift.meaning != "few rows"]
            for name, help, indices in (
                (f"jsonnx_{label}_psi", PSI_HELP, [drift.psi for drift in judged]),
                (f"jsonnx_{label}_psi_noise_limit", NOISE_HELP, [drift.noise_limit for drift in judged]),
            ):
                for drift, index in zip(judged, indices, strict=True):
                    yield MonitorSample(name, "gauge", help, {label: drift.feature.title}, index or 0.0)


SKIPPED_HELP = "Rows that were not compared with the training data, because too many came"
PSI_HELP = "Population stability index of the last rows against the training data: large from 0.25 on"
NOISE_HELP = "The index that so few rows exceed by chance with a probability of 0.1 %"


class _WindowedCounts:
    """Counts of all rows, and those of the last two windows."""

    def __init__(self, counts: DriftCounts) -> None:
        self._counts = counts
        self._rows = 0
        """Rows of the current window."""
        self._starts = [[np.zeros_like(item.bins) for item in counts.features] for _ in range(2)]
        """The counts at the starts of the previous and the current window."""

    def add(self, parts: Sequence[Feeds]) -> None:
        """Counts the rows of some requests."""
        for arrays in _concatenated(parts):
            self._counts.add(arrays)
            self._rows += len(next(iter(arrays.values())))
        if self._rows >= MIN_WINDOW_ROWS:
            self._starts = [self._starts[1], [item.bins.copy() for item in self._counts.features]]
            self._rows = 0

    def drifts(self) -> list[FeatureDrift]:
        items: Sequence[FeatureCounts] = self._counts.features
        return [item.drift(item.bins - start) for item, start in zip(items, self._starts[0], strict=True)]


def _concatenated(parts: Sequence[Feeds]) -> Iterator[Feeds]:
    """The rows of several requests, those of equal shapes together."""
    groups: dict[tuple[tuple[int, ...], ...], list[Feeds]] = {}
    for arrays in parts:
        groups.setdefault(tuple(array.shape[1:] for array in arrays.values()), []).append(arrays)
    for group in groups.values():
        yield {name: np.concatenate([arrays[name] for arrays in group]) for name in group[0]}


def _bytes(array: np.ndarray) -> int:
    return sum(map(len, array.ravel().tolist())) if array.dtype == object else array.nbytes
