"""The features of the inputs and outputs of a model whose distributions are compared: one value for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd, nan, prod
from typing import Any, Literal

import numpy as np

from .text_vocabulary import TextVocabulary

MAX_VALUES_PER_ROW = 1024
"""Numbers of a row, such as pixels, of which mean and standard deviation are taken; of more, every n-th one is."""

Measure = Literal["value", "mean", "deviation", "length", "words", "unknown words", "class", "label"]
"""What of a row is a feature's value: an element, the mean or the standard deviation of its numbers, the number of its
steps without padding, the number of words of its text, their share that a vocabulary lacks, its predicted class, or
whether one label of several holds."""

MISSING_TEXT = ""

FeatureValues = np.ndarray | list[str | None]
"""The value of each row: float64, with NaN for a missing number, or texts, with None for a missing one."""


@dataclass(frozen=True)
class Feature:
    """A feature of an input or an output."""

    name: str
    """The column of the data, or the output."""
    source: str
    """The input or output with its values."""
    measure: Measure = "value"
    index: int | None = None
    """The element of each row, or of the last axis of its numbers; None for all, or the only one."""
    pad_value: float | str | None = None
    """What is at the ends of sequences of different lengths; None if all have the same length."""
    labels: tuple[str, ...] = ()
    """The names of predicted classes."""
    cut: float | None = None
    """The number of an output above which a label holds; None if the greatest number has the class."""
    vocabulary: TextVocabulary | None = None
    """The words that are known."""

    @property
    def title(self) -> str:
        """The name, and what of it is measured."""
        return self.name if self.measure in ("value", "class", "label") else f"{self.name} ({self.measure})"

    def values(self, array: np.ndarray) -> FeatureValues:
        """The values of the rows of an input or an output."""
        rows = array.reshape(len(array), prod(array.shape[1:]))
        return _MEASURES[self.measure](self, array, rows)


def _element(feature: Feature, array: np.ndarray, rows: np.ndarray) -> FeatureValues:
    column = rows[:, feature.index or 0]
    return _texts(column) if column.dtype.kind in "OUS" else column.astype(np.float64)


def _mean(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if feature.pad_value is None:
        return np.asarray(_numbers(feature, array, rows).mean(1, dtype=np.float64))
    is_step = rows != feature.pad_value
    total = np.where(is_step, rows, 0).sum(1, dtype=np.float64)
    counts = is_step.sum(1)
    return np.divide(total, counts, out=np.full(len(rows), np.nan), where=counts > 0)


def _deviation(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(_numbers(feature, array, rows).std(1, dtype=np.float64))


def _numbers(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The numbers of each row, at most MAX_VALUES_PER_ROW."""
    if feature.index is not None:
        rows = array[..., feature.index].reshape(len(array), prod(array.shape[1:-1]))
    step = -(-rows.shape[1] // MAX_VALUES_PER_ROW)
    while feature.index is None and step > 1 and gcd(step, prod(array.shape[1:][-1:])) > 1:
        step += 1  # a step of all channels would take one of them alone
    return rows[:, ::step]


def _length(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    is_step = (array != feature.pad_value).reshape(*array.shape[:2], prod(array.shape[2:])).any(2)
    return np.where(is_step.any(1), is_step.shape[1] - is_step[:, ::-1].argmax(1), 0).astype(np.float64)


def _words(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return word_counts(_texts(rows[:, feature.index or 0]))


def word_counts(texts: Sequence[str | None]) -> np.ndarray:
    """The number of words of each text; NaN for a missing one."""
    return np.array([np.nan if text is None else len(text.split()) for text in texts], np.float64)


def _unknown_words(feature: Feature, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    vocabulary, texts = feature.vocabulary, _texts(rows[:, feature.index or 0])
    return np.array([nan if text is None or vocabulary is None else vocabulary.unknown_share(text) for text in texts])


def _class(feature: Feature, array: np.ndarray, rows: np.ndarray) -> list[str | None]:
    numbers = rows.argmax(1) if feature.cut is None else (rows[:, 0] > feature.cut).astype(np.int64)
    return _named(feature.labels, numbers, np.isnan(rows).any(1))


def _label(feature: Feature, array: np.ndarray, rows: np.ndarray) -> list[str | None]:
    column = rows[:, feature.index or 0]
    return _named(feature.labels, (column > (feature.cut or 0)).astype(np.int64), np.isnan(column))


def _named(labels: Sequence[str], numbers: np.ndarray, is_missing: np.ndarray) -> list[str | None]:
    pairs = zip(numbers.tolist(), is_missing.tolist(), strict=True)
    return [None if missing else labels[number] for number, missing in pairs]


def _texts(column: np.ndarray) -> list[str | None]:
    return [_text(value) for value in column.tolist()]


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return None if value is None or value == MISSING_TEXT else str(value)


_MEASURES: dict[Measure, Callable[[Feature, np.ndarray, np.ndarray], FeatureValues]] = {
    "value": _element,
    "mean": _mean,
    "deviation": _deviation,
    "length": _length,
    "words": _words,
    "unknown words": _unknown_words,
    "class": _class,
    "label": _label,
}
