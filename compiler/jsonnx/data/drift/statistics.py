"""The statistics of features in training data, which other data are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .features import Feature

QUANTILES = np.arange(1, 10) / 10
"""The edges of the bins of numbers: deciles."""
MAX_DISTINCT_BINS = 20
"""Maximum number of distinct numbers that have a bin each; of more, the bins are deciles."""
CONSTANT_MARGIN = 1e-6
"""The relative difference from which a number is another one than that of a column with a single number."""
MAX_VALUES = 200
"""The most frequent values of a feature of texts that are kept."""
MAX_VALUE_LENGTH = 200
"""Characters of a text that is kept as a value; longer ones count as others."""
MIN_REPETITIONS = 2
"""The mean number of rows with the same text, at least, for texts that are categories."""


@dataclass(frozen=True)
class NumberStatistics:
    """The distribution of numbers. A number is in the bin of as many edges as are less than or equal to it."""

    count: int
    """Rows with a number."""
    missing: int
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    edges: tuple[float, ...]
    bins: tuple[int, ...]

    @staticmethod
    def of(numbers: np.ndarray) -> NumberStatistics:
        """The statistics of float64 numbers, with NaN for missing ones."""
        present = numbers[~np.isnan(numbers)]
        finite = present[np.isfinite(present)]
        edges = _edges(finite)
        bins = np.bincount(np.searchsorted(edges, present, "right"), minlength=len(edges) + 1)
        low, high, mean, std = _moments(finite)
        missing = len(numbers) - len(present)
        return NumberStatistics(
            len(present), missing, low, high, mean, std, tuple(edges.tolist()), tuple(bins.tolist())
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "missing": self.missing,
            "min": self.min,
            "max": self.max,
            "mean": self.mean,
            "std": self.std,
            "edges": [*self.edges],
            "bins": [*self.bins],
        }


def _moments(finite: np.ndarray) -> list[float | None]:
    """Minimum, maximum, mean and standard deviation; None for those that are not finite."""
    if not len(finite):
        return [None] * 4
    with np.errstate(over="ignore", invalid="ignore"):
        moments = (finite.min(), finite.max(), finite.mean(), finite.std())
    return [float(moment) if np.isfinite(moment) else None for moment in moments]


def _edges(finite: np.ndarray) -> np.ndarray:
    """The midpoints between few distinct numbers, and edges around them, so that other numbers have bins of their own.

    Of many, the midpoints below the deciles, and above a number that is several deciles, which has a bin of its own.
    """
    distinct = np.unique(finite)
    with np.errstate(over="ignore"):
        halves = np.diff(distinct) / 2
        midpoints = distinct[:-1] + halves
        if len(distinct) > MAX_DISTINCT_BINS:
            ranks = np.searchsorted(distinct, np.quantile(finite, QUANTILES, method="higher"))
            repeated = ranks[1:][ranks[1:] == ranks[:-1]]
            chosen = np.concatenate([ranks[ranks > 0] - 1, repeated[repeated < len(midpoints)]])
            edges = midpoints[np.unique(chosen)]
        elif len(distinct):
            margins = halves if len(halves) else np.maximum(np.abs(distinct), 1) * CONSTANT_MARGIN
            edges = np.array([distinct[0] - margins[0], *midpoints, distinct[-1] + margins[-1]])
        else:
            edges = distinct
    return np.unique(edges[np.isfinite(edges)])


@dataclass(frozen=True)
class CategoryStatistics:
    """The distribution of texts of which most occur several times, or of predicted classes."""

    count: int
    """Rows with a text."""
    missing: int
    values: Mapping[str, int]
    """The most frequent texts, and their rows."""
    others: int
    """Rows with other texts."""

    @staticmethod
    def of(texts: Iterable[str | None], labels: Iterable[str] = ()) -> CategoryStatistics:
        """The statistics of texts, with None for missing ones. `labels` are values although no row has them."""
        counts: Counter[str | None] = Counter(dict.fromkeys(labels, 0))
        counts.update(texts)
        missing = counts.pop(None, 0)
        kept = [(text, rows) for text, rows in counts.items() if text is not None and len(text) <= MAX_VALUE_LENGTH]
        values = dict(sorted(kept, key=lambda item: (-item[1], item[0]))[:MAX_VALUES])
        count = counts.total()
        return CategoryStatistics(count, missing, values, count - sum(values.values()))

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "missing": self.missing, "values": dict(self.values), "others": self.others}


ColumnStatistics = NumberStatistics | CategoryStatistics


@dataclass(frozen=True)
class DescribedFeature:
    """A feature and its statistics."""

    feature: Feature
    statistics: ColumnStatistics


@dataclass(frozen=True)
class DataStatistics:
    """The statistics of the features of training data, and of predictions."""

    rows: int
    """All rows of the training data."""
    read_rows: int
    """Those that the statistics are of."""
    columns: tuple[DescribedFeature, ...]
    predicted_part: str
    """The part of the data that was predicted: `validation`, or `train` without such data."""
    predicted_rows: int
    outputs: tuple[DescribedFeature, ...]


def are_categories(texts: Iterable[str | None]) -> bool:
    """Whether most of the texts occur several times."""
    counts = Counter(text for text in texts if text is not None)
    return len(counts) * MIN_REPETITIONS <= counts.total()
