"""Encodes columns as numbers for linear models and for trees, as learned from training samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from ...core.date_formats import DATE_FORMATS, FormatName
from ...core.system.optional_packages import require_package
from .raw_columns import ColumnKind, RawColumn

EXTRA, PURPOSE = "baseline", "fitting a baseline"
MAX_CATEGORIES = 50
"""The most frequent categories of a column have a number each, all others share one."""
MIN_CATEGORY_ROWS = 5
MAX_WORDS = 20_000
TEXT_COMPONENTS = 50
"""Numbers that a text is reduced to for trees."""
MAX_LINEAR_VALUES = 4096
"""Numbers of an array for a linear model; larger arrays are averaged over neighbours."""
MAX_TREE_VALUES = 256


class Encoder(Protocol):
    """Numbers [samples, n] of a column: arrays, or sparse matrices of texts."""

    def linear(self, values: np.ndarray) -> Any: ...
    def trees(self, values: np.ndarray) -> np.ndarray: ...


class NumberEncoder:
    """Standardized numbers; missing ones are the median, and marked. Trees get the numbers as they are."""

    def __init__(self, values: np.ndarray, reduce: Callable[[np.ndarray, int], np.ndarray]) -> None:
        self._reduce = reduce
        numbers = reduce(values, MAX_LINEAR_VALUES)
        is_missing = ~np.isfinite(numbers)
        self._marked = np.flatnonzero(is_missing.any(0))
        known = np.where(is_missing, np.nan, numbers)
        has_some = ~is_missing.all(0)
        self._median = np.zeros(numbers.shape[1])
        self._median[has_some] = np.nanmedian(known[:, has_some], 0)
        filled = np.where(is_missing, self._median, numbers)
        self._mean, deviation = filled.mean(0), filled.std(0)
        self._deviation = np.where(deviation > 0, deviation, 1.0)

    def linear(self, values: np.ndarray) -> np.ndarray:
        numbers = self._reduce(values, MAX_LINEAR_VALUES)
        is_missing = ~np.isfinite(numbers)
        scaled = (np.where(is_missing, self._median, numbers) - self._mean) / self._deviation
        return np.concatenate([scaled, is_missing[:, self._marked]], 1)

    def trees(self, values: np.ndarray) -> np.ndarray:
        numbers = self._reduce(values, MAX_TREE_VALUES)
        return np.where(np.isfinite(numbers), numbers, np.nan)


class CategoryEncoder:
    """Categories as one-hot vectors, and for trees as numbers in the order of their frequencies."""

    def __init__(self, values: np.ndarray) -> None:
        counts = Counter(values.tolist()).most_common(MAX_CATEGORIES)
        frequent = [text for text, count in counts if count >= MIN_CATEGORY_ROWS]
        self._number = {text: number for number, text in enumerate(frequent)}

    def _numbers(self, values: np.ndarray) -> np.ndarray:
        rare = len(self._number)
        return np.array([self._number.get(text, rare) for text in values.tolist()], np.int64)

    def linear(self, values: np.ndarray) -> np.ndarray:
        return (self._numbers(values)[:, None] == np.arange(len(self._number) + 1)).astype(np.float64)

    def trees(self, values: np.ndarray) -> np.ndarray:
        return self._numbers(values)[:, None].astype(np.float64)


class TextEncoder:
    """The tf-idf of words; for trees, its main components."""

    def __init__(self, values: np.ndarray) -> None:
        text = require_package("sklearn.feature_extraction.text", EXTRA, PURPOSE)
        decomposition = require_package("sklearn.decomposition", EXTRA, PURPOSE)
        self._tfidf = text.TfidfVectorizer(max_features=MAX_WORDS, sublinear_tf=True, token_pattern=r"(?u)\w+")
        words = self._tfidf.fit_transform(["no words", *values.tolist()])[1:]
        count = min(TEXT_COMPONENTS, words.shape[1] - 1, words.shape[0] - 1)
        self._components = decomposition.TruncatedSVD(max(1, count), random_state=0).fit(words)

    def linear(self, values: np.ndarray) -> Any:
        return self._tfidf.transform(values.tolist())

    def trees(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._components.transform(self.linear(values)))


def encoder_of(column: RawColumn, values: np.ndarray, formats: Sequence[FormatName]) -> Encoder:
    """The encoder of a column, learned from its values in training samples."""
    if column.kind is ColumnKind.CATEGORIES:
        return CategoryEncoder(values)
    if column.kind is ColumnKind.TEXTS:
        return TextEncoder(values)
    if column.kind is ColumnKind.DATES:
        return NumberEncoder(values, lambda texts, _: date_parts(texts, formats, column.is_last_step))
    if column.kind is ColumnKind.SEQUENCES:
        return NumberEncoder(values, lambda steps, _: sequence_summary(steps, column.pad_value))
    return NumberEncoder(values, reduced)


def date_parts(texts: np.ndarray, formats: Sequence[FormatName], is_last_step: bool) -> np.ndarray:
    """Weekday, hour, year, month, day, and the days since 1970, of each date; NaN for a missing one.

    Of the last step of a window only weekday and hour: forecasts are for later dates than those of the training.
    """
    parts = np.array([_parts_of(text.strip(), formats) for text in texts.tolist()], np.float64)
    return parts[:, :2] if is_last_step else parts


def _parts_of(text: str, formats: Sequence[FormatName]) -> list[float]:
    format = next((DATE_FORMATS[name] for name in formats if DATE_FORMATS[name].reads(text)), None)
    if format is None:
        return [np.nan] * 6
    day, time = text[:10].replace("T", " ").partition(" ")[0], ""
    if len(text) > len(day):
        time = text[len(day) + 1 :]
    fields = dict(zip(format.fields, day.split(format.separator), strict=True))
    hour = int(time[:2]) if time else 0
    date = datetime(int(fields["Y"]), int(fields["m"]), int(fields["d"]))
    return [date.weekday(), hour, date.year, date.month, date.day, date.toordinal() - 719_163 + hour / 24]


def sequence_summary(steps: np.ndarray, pad_value: float) -> np.ndarray:
    """The length of each sequence and, of each number of its steps, mean, deviation, minimum, maximum, first and last
    value."""
    rows = steps.reshape(*steps.shape[:2], -1).astype(np.float64)
    is_step = (rows != pad_value).any(2)
    lengths = np.where(is_step.any(1), is_step.shape[1] - is_step[:, ::-1].argmax(1), 1)
    is_step = np.arange(rows.shape[1]) < lengths[:, None]
    mask, count = is_step[:, :, None], lengths[:, None]
    mean = np.where(mask, rows, 0).sum(1) / count
    deviation = np.sqrt((np.where(mask, rows - mean[:, None], 0) ** 2).sum(1) / count)
    least, most = np.where(mask, rows, np.inf).min(1), np.where(mask, rows, -np.inf).max(1)
    last = rows[np.arange(len(rows)), lengths - 1]
    return np.concatenate([count, mean, deviation, least, most, rows[:, 0], last], 1)


def reduced(arrays: np.ndarray, max_values: int) -> np.ndarray:
    """Numbers [samples, n] of arrays; of large arrays, means over neighbours along the first axes but the last, until
    there are at most `max_values`."""
    arrays = arrays.astype(np.float64)
    while arrays.ndim > 2 and np.prod(arrays.shape[1:]) > max_values:
        axis = 1 + int(np.argmax(arrays.shape[1 : max(2, arrays.ndim - 1)]))
        if arrays.shape[axis] < 2:
            break
        pairs = arrays.shape[axis] // 2
        arrays = np.moveaxis(arrays, axis, 1)[:, : 2 * pairs]
        arrays = np.moveaxis(arrays.reshape(len(arrays), pairs, 2, *arrays.shape[2:]).mean(2), 1, axis)
    return arrays.reshape(len(arrays), -1)
