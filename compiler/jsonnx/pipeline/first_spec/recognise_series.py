"""Recognises series in a table: rows whose dates increase, for the whole table or for each name of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.date_formats import DATE_FORMATS, FormatName
from .recognise_dates import is_date_column, recognise_dates

MIN_ROWS_PER_SERIES = 10
"""Minimum mean number of rows of a series."""


class SeriesColumns(NamedTuple):
    """The columns with the time, and with the name of the series if there are several."""

    time: str
    by: str | None


def series_columns(columns: Mapping[str, np.ndarray]) -> SeriesColumns | None:
    """The columns that make rows those of series; None if no column has dates that increase."""
    values = {name: column.tolist() for name, column in columns.items() if column.ndim == 1}
    for time, texts in values.items():
        if (dates := _dates(texts)) is None:
            continue
        if _increase(dates, [None] * len(dates)):
            return SeriesColumns(time, None)
        for by, names in values.items():
            if by != time and len({*names}) * MIN_ROWS_PER_SERIES <= len(names) and _increase(dates, names):
                return SeriesColumns(time, by)
    return None


def _dates(texts: Sequence[Any]) -> list[tuple[Any, ...]] | None:
    """The dates of a column as values in their order; None if there are other values."""
    distinct = {*texts}
    if not all(isinstance(text, str) for text in distinct) or not is_date_column(distinct):
        return None
    formats = recognise_dates(distinct).formats
    return [_ordered(text, formats[0]) for text in texts] if len(formats) == 1 else None


def _ordered(text: str, name: FormatName) -> tuple[Any, ...]:
    """Year, month and day as numbers, and the time as text."""
    format = DATE_FORMATS[name]
    date, _, time = text.strip().replace("T", " ").partition(" ")
    numbers = dict(zip(format.fields, map(int, date.split(format.separator)), strict=True))
    return numbers["Y"], numbers["m"], numbers["d"], time


def _increase(dates: Sequence[tuple[Any, ...]], names: Sequence[Any]) -> bool:
    """Whether the dates of each name increase from row to row."""
    last: dict[Any, tuple[Any, ...]] = {}
    for date, name in zip(dates, names, strict=True):
        if name in last and date <= last[name]:
            return False
        last[name] = date
    return True
