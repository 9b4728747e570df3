"""Statistics of the columns of data: element types, missing and distinct values, ranges, most frequent values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

MAX_FREQUENT_VALUES = 5


@dataclass(frozen=True)
class ColumnStatistics:
    """A column in numbers. For rows of several values, they count and range over all of them."""

    name: str
    type: str
    """`boolean`, `integer`, `number`, `text`, `image`, `recording`, or `list` for lists of texts or integers of
    different lengths."""
    shape: tuple[int, ...]
    """The shape of the values of one row; empty for a single value."""
    count: int
    """Values that are not missing."""
    missing: int
    distinct: int
    min: float | int | None = None
    mean: float | None = None
    std: float | None = None
    max: float | int | None = None
    infinite: int = 0
    """Numbers that are infinite; the range and the moments leave them out."""
    most_frequent: tuple[tuple[Any, int], ...] = ()
    """Values and how often they occur, of images their sizes; empty if all values differ."""


def column_statistics(name: str, column: np.ndarray) -> ColumnStatistics:
    """The statistics of a column, as `read_raw_columns` returns it: [rows, ...]."""
    values, shape = column.reshape(-1), column.shape[1:]
    if column.dtype == object or column.dtype.kind == "U":
        return _of_texts(name, [value for value in values.tolist() if value is not None], values.size, shape)
    type = {"b": "boolean", "f": "number"}.get(column.dtype.kind, "integer")
    present = values[~np.isnan(values)] if type == "number" else values
    finite = present[np.isfinite(present)] if type == "number" else present
    if type == "number" and len(present) < values.size and (finite == np.floor(finite)).all():
        type = "integer"  # a missing integer made the column one of floating-point numbers
    distinct, counts = np.unique(present, return_counts=True)
    metrics: dict[str, Any] = {}
    if finite.size:
        low, high = finite.min().item(), finite.max().item()
        numbers = finite.astype(np.float64)
        metrics = {
            "min": int(low) if type == "integer" else low,
            "mean": float(numbers.mean()),
            "std": float(numbers.std()),
            "max": int(high) if type == "integer" else high,
        }
        metrics = {key: value if isfinite(value) else None for key, value in metrics.items()}
    convert = int if type == "integer" else lambda value: value
    order = np.argsort(-counts, kind="stable")[:MAX_FREQUENT_VALUES]
    frequent = [(distinct[index].item(), int(counts[index])) for index in order]
    return ColumnStatistics(
        name,
        type,
        shape,
        int(present.size),
        int(values.size - present.size),
        len(distinct),
        infinite=int(present.size - finite.size),
        most_frequent=_repeated([(convert(value) if isfinite(value) else value, n) for value, n in frequent]),
        **metrics,
    )


def list_statistics(name: str, lists: Sequence[Any]) -> ColumnStatistics:
    """The statistics of a column of lists, as `read_raw_columns` returns it; frequent ones as JSON."""
    texts = [json.dumps(value, ensure_ascii=False) for value in lists if value is not None]
    return replace(_of_texts(name, texts, len(lists), ()), type="list")


def _of_texts(name: str, texts: Sequence[Any], size: int, shape: tuple[int, ...]) -> ColumnStatistics:
    counts = Counter(map(str, texts))
    frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_FREQUENT_VALUES]
    return ColumnStatistics(
        name, "text", shape, len(texts), size - len(texts), len(counts), most_frequent=_repeated(frequent)
    )


def _repeated(frequent: Sequence[tuple[Any, int]]) -> tuple[tuple[Any, int], ...]:
    """The most frequent values; none if the first one occurs once only."""
    return tuple(frequent) if frequent and frequent[0][1] > 1 else ()
