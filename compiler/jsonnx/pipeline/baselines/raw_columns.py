"""The columns of samples that fitted baselines get: numbers, categories, texts, dates, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

from ...core.date_formats import ISO_FORMAT, is_date
from ...core.types import Size
from ...data.drift.statistics import are_categories
from ...data.rows.windows import WindowedDataset
from ...data.samples.data_spec import DataSpec
from ...data.samples.dataset import Dataset

MIN_WORDS = 3
"""Texts with at least this many words on average are texts, not categories."""
MAX_INDEX_COLUMNS = 8
"""Indices of a sample that are a category each; more are words of a text."""


class ColumnKind(Enum):
    """What a column contains, in the plural."""

    NUMBERS = "numbers"
    CATEGORIES = "categories"
    TEXTS = "texts"
    DATES = "dates"
    ARRAYS = "arrays"
    SEQUENCES = "sequences"


@dataclass(frozen=True)
class RawColumn:
    """An input, or one of its columns."""

    input: str
    kind: ColumnKind
    index: int | None = None
    """The column of the input; None for all of it."""
    pad_value: Any = None
    """What is at the ends of sequences."""
    is_last_step: bool = False
    """Whether the values are those of the last step of a window."""

    def values(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        """Numbers [samples, ...], or texts [samples]."""
        array = feeds[self.input]
        if self.kind is ColumnKind.TEXTS and array.ndim > 1 and self.index is None:
            return _joined(array, self.pad_value)
        if self.index is not None:
            array = array.reshape(len(array), -1)[:, self.index]
        elif self.kind is ColumnKind.NUMBERS:
            array = array.reshape(len(array), -1)
        return array if self.kind in _NUMERIC else _texts(array)


_NUMERIC = (ColumnKind.NUMBERS, ColumnKind.ARRAYS, ColumnKind.SEQUENCES)


def raw_columns(samples: Dataset, names: Iterable[str]) -> list[RawColumn]:
    """The columns of the inputs with these names, by the values of some training samples."""
    feeds = samples.take_inputs(slice(None))
    spec = samples.data_spec
    is_series = isinstance(samples, WindowedDataset)
    return [column for name in names for column in _columns_of(name, feeds[name], spec, is_series)]


def _columns_of(name: str, array: np.ndarray, spec: DataSpec, is_series: bool) -> Iterator[RawColumn]:
    is_ragged = any(isinstance(size, Size) for size in spec.inputs[name].shape[1:])
    is_index = name in spec.index_ranges or name in spec.vocabularies
    is_text = array.dtype.kind in "OUS"
    pad_value = ("" if is_text else 0) if is_ragged else None
    count = int(np.prod(array.shape[1:]))
    if not is_text and not is_index:
        kind = ColumnKind.SEQUENCES if is_ragged else ColumnKind.ARRAYS if array.ndim > 2 else ColumnKind.NUMBERS
        yield RawColumn(name, kind, pad_value=pad_value)
    elif is_series:  # of the last step: texts such as the name of a shop are the same in all steps
        last = range(count - int(np.prod(array.shape[2:])), count)
        columns = (_text_column(name, array, index, spec) for index in last)
        yield from (replace(column, is_last_step=True) for column in columns)
    elif is_ragged or count > MAX_INDEX_COLUMNS:
        yield RawColumn(name, ColumnKind.TEXTS, pad_value=pad_value)
    else:
        yield from (_text_column(name, array, index, spec) for index in range(count))


def _text_column(name: str, array: np.ndarray, index: int, spec: DataSpec) -> RawColumn:
    texts = [str(text) for text in array.reshape(len(array), -1)[:, index].tolist()]
    if name in spec.date_inputs or (any(texts) and all(is_date(text, (ISO_FORMAT,)) for text in texts if text)):
        return RawColumn(name, ColumnKind.DATES, index)
    words = np.mean([len(text.split()) for text in texts if text] or [0])
    is_text = array.dtype.kind in "OUS" and words >= MIN_WORDS and not are_categories(texts)
    return RawColumn(name, ColumnKind.TEXTS if is_text else ColumnKind.CATEGORIES, index)


def _texts(array: np.ndarray) -> np.ndarray:
    return np.array([_text(value) for value in array.reshape(len(array)).tolist()], object)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _joined(array: np.ndarray, pad_value: Any) -> np.ndarray:
    """The elements of each sample as the words of a text."""
    rows = array.reshape(len(array), -1).tolist()
    return np.array([" ".join(_text(value) for value in row if value != pad_value) for row in rows], object)
