"""Latency, throughput and memory of runs of a model, by batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean

PERCENTILES = (50, 90, 95, 99)


def percentile(sorted_seconds: Sequence[float], percent: int) -> float | None:
    """The percentile by nearest rank: the shortest of the times that `percent` of them do not exceed.

    None if there are fewer than 100 / (100 - percent) times, of which it would be the longest.
    """
    count = len(sorted_seconds)
    return sorted_seconds[ceil(percent * count / 100) - 1] if count * (100 - percent) >= 100 else None


@dataclass(frozen=True)
class BatchLatency:
    """The runs of a session with batches of one size."""

    batch_size: int
    first_seconds: float
    """The time of the first run with this size, in which onnxruntime plans and gets its memory."""
    run_seconds: tuple[float, ...]
    """The times of the measured runs, in order, which follow some that are not measured."""
    added_bytes: int | None
    """The growth of the process' resident memory since the model was loaded; None on systems other than Linux."""

    @property
    def mean_seconds(self) -> float:
        return fmean(self.run_seconds)

    @property
    def samples_per_second(self) -> float:
        """The throughput of one run after another."""
        return self.batch_size / self.mean_seconds

    @property
    def percentiles(self) -> dict[int, float | None]:
        """Seconds by percent; None for those that need more runs."""
        seconds = sorted(self.run_seconds)
        return {percent: percentile(seconds, percent) for percent in PERCENTILES}


@dataclass(frozen=True)
class LatencyProfile:
    """What was measured in a process that only loads and runs a model."""

    subject: str
    provider: str
    threads: int
    load_seconds: float
    """The time in which a session reads and optimizes the model."""
    baseline_bytes: int | None
    """The peak of the process' resident memory before it loads the model: of Python and onnxruntime. None on systems
    that do not tell it, as for the peaks below."""
    load_peak_bytes: int | None
    """The peak when the model is loaded."""
    peak_bytes: int | None
    """The peak after all runs."""
    batches: tuple[BatchLatency, ...]

    @property
    def model_bytes(self) -> int | None:
        """What the model adds to the peak."""
        if self.peak_bytes is None or self.baseline_bytes is None:
            return None
        return self.peak_bytes - self.baseline_bytes
