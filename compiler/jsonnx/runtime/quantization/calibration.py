"""The ranges of the values of a network on samples."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from typing import Any, Protocol

import numpy as np

HISTOGRAM_BINS = {"percentile": 2048, "entropy": 128}
QUANTIZED_BINS = 128
"""Bins that entropy calibration compares a range with. With more bins in a histogram, onnxruntime's entropy clips far
too much."""

Range = tuple[float, float]
Arrays = Mapping[str, np.ndarray]


class NotFiniteError(ValueError):
    """A value is NaN or infinite; `key` is its name."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is not finite")
        self.key = key


class RangeCollector(Protocol):
    """Collects the ranges of values by their keys."""

    def collect(self, arrays: Arrays) -> None: ...
    def ranges(self) -> dict[str, Range]: ...


def collected_ranges(batches: Iterable[Arrays], method: str, percentile: float) -> dict[str, Range]:
    """The ranges of the values in batches, by key; `method` is `minmax`, `percentile` or `entropy`.

    Raises NotFiniteError.
    """
    collector: RangeCollector = _Extremes() if method == "minmax" else _Histograms(method, percentile)
    for arrays in batches:
        for key, array in arrays.items():
            if not np.isfinite(array).all():
                raise NotFiniteError(key)
        collector.collect(arrays)
    return collector.ranges()


class _Extremes:
    """Least and largest values."""

    def __init__(self) -> None:
        self._ranges: dict[str, Range] = {}

    def collect(self, arrays: Arrays) -> None:
        for key, array in arrays.items():
            low, high = self._ranges.get(key, (np.inf, -np.inf))
            self._ranges[key] = float(min(low, array.min(initial=np.inf))), float(max(high, array.max(initial=-np.inf)))

    def ranges(self) -> dict[str, Range]:
        return {key: range if range[0] <= range[1] else (0.0, 0.0) for key, range in self._ranges.items()}


class _Histograms:
    """Ranges by onnxruntime's histograms, within least and largest values."""

    def __init__(self, method: str, percentile: float) -> None:
        from onnxruntime.quantization.calibrate import HistogramCollector

        self._collector: Any = HistogramCollector(
            method, False, HISTOGRAM_BINS[method], QUANTIZED_BINS, percentile, "same"
        )
        self._extremes = _Extremes()

    def collect(self, arrays: Arrays) -> None:
        self._extremes.collect(arrays)
        with redirect_stdout(io.StringIO()):  # it prints its progress
            self._collector.collect({key: array for key, array in arrays.items() if array.size})

    def ranges(self) -> dict[str, Range]:
        ranges = self._extremes.ranges()
        with redirect_stdout(io.StringIO()):
            found = self._collector.compute_collection_result() if self._collector.histogram_dict else {}
        for key, (low, high, *_) in found.items():
            least, largest = ranges[key]
            ranges[key] = _limited(low, least, largest), _limited(high, least, largest)
        return ranges


def _limited(bound: Any, least: float, largest: float) -> float:
    """A bound within least and largest values; those of a histogram of equal values are beyond them."""
    return min(max(float(bound), least), largest)
