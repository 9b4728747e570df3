"""Counts of other data in the bins of the training data's statistics, and their drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .features import Feature
from .stability import Meaning, meaning_of, noise_limit, population_stability_index
from .statistics import CategoryStatistics, DescribedFeature, NumberStatistics


@dataclass(frozen=True)
class FeatureDrift:
    """How a feature of some rows differs from that of the training data."""

    feature: Feature
    rows: int
    missing: int
    unknown: int | None
    """Texts that the training data lack; None if these have too many, or numbers."""
    out_of_range: int | None
    """Numbers beyond those of the training data; None for texts."""
    psi: float | None
    """The population stability index, with missing values as a bin; None without rows."""
    noise_limit: float | None
    """The index that chance alone exceeds with a probability of 0.1 %."""
    meaning: Meaning

    def exceeds(self, threshold: float) -> bool:
        """Whether the drift is at least that large, and hardly by chance."""
        if self.psi is None or self.noise_limit is None or self.meaning == "few rows":
            return False
        return self.psi >= threshold and self.psi > self.noise_limit

    def to_json(self) -> dict[str, Any]:
        return {
            "column": self.feature.title,
            "rows": self.rows,
            "missing": self.missing,
            "unknown": self.unknown,
            "out_of_range": self.out_of_range,
            "psi": self.psi,
            "noise_limit": self.noise_limit,
            "meaning": self.meaning,
        }


class FeatureCounts:
    """The rows of a feature, counted in the bins of the training data."""

    def __init__(self, described: DescribedFeature) -> None:
        self.feature, statistics = described.feature, described.statistics
        self.rows, self.missing, self.unknown, self.out_of_range = 0, 0, 0, 0
        self._numbers = statistics if isinstance(statistics, NumberStatistics) else None
        self._categories = statistics if isinstance(statistics, CategoryStatistics) else None
        if self._numbers is not None:
            self._edges = np.array(self._numbers.edges, np.float64)
            expected = [*self._numbers.bins]
        else:
            values = self._categories.values if self._categories is not None else {}
            self._bin_of = {text: number for number, text in enumerate(values)}
            expected = [*values.values(), statistics.count - sum(values.values())]
        self._expected = np.array([*expected, statistics.missing], np.float64)
        self.bins = np.zeros(len(self._expected), np.int64)
        """The rows of each bin, and of missing values."""

    def add(self, array: np.ndarray) -> None:
        """Counts the rows of an input or an output."""
        values = self.feature.values(array)
        self.rows += len(array)
        if self._numbers is not None:
            self._add_numbers(np.asarray(values, np.float64), self._numbers)
        else:
            self._add_texts(values if isinstance(values, list) else [str(value) for value in values.tolist()])

    def _add_numbers(self, numbers: np.ndarray, statistics: NumberStatistics) -> None:
        is_missing = np.isnan(numbers)
        missing = int(is_missing.sum())
        if missing:
            numbers = numbers[~is_missing]
        self._count(np.searchsorted(self._edges, numbers, "right"), missing)
        if statistics.min is not None and statistics.max is not None:
            self.out_of_range += int(((numbers < statistics.min) | (numbers > statistics.max)).sum())

    def _add_texts(self, texts: Sequence[str | None]) -> None:
        others = len(self._bin_of)
        bins = [self._bin_of.get(text, others) for text in texts if text is not None]
        self._count(np.array(bins, np.int64), len(texts) - len(bins))
        self.unknown += bins.count(others)

    def _count(self, bins: np.ndarray, missing: int) -> None:
        self.bins[:-1] += np.bincount(bins, minlength=len(self.bins) - 1)
        self.bins[-1] += missing
        self.missing += missing

    def drift(self, bins: np.ndarray | None = None) -> FeatureDrift:
        """The drift of all rows, or of those in `bins`."""
        bins = self.bins if bins is None else bins
        rows, index, limit = int(bins.sum()), None, None
        if rows and self._expected.sum():
            index = population_stability_index(self._expected, bins)
            limit = noise_limit(self._expected, bins)
        meaning = "few rows" if index is None or limit is None else meaning_of(index, limit, rows)
        has_all_values = self._categories is not None and not self._categories.others
        unknown = self.unknown if has_all_values else None
        out_of_range = None if self._numbers is None else self.out_of_range
        return FeatureDrift(self.feature, self.rows, self.missing, unknown, out_of_range, index, limit, meaning)


@dataclass
class DriftCounts:
    """The rows of several inputs or outputs, counted by feature."""

    features: Sequence[FeatureCounts]

    @staticmethod
    def of(described: Sequence[DescribedFeature]) -> DriftCounts:
        return DriftCounts([FeatureCounts(item) for item in described])

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Counts some rows, given as arrays by input or output. Others are skipped."""
        for counts in self.features:
            if counts.feature.source in arrays:
                counts.add(arrays[counts.feature.source])

    def drifts(self) -> list[FeatureDrift]:
        return [counts.drift() for counts in self.features]
