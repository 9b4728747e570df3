"""The series and the times of forecasts, as columns beside the predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from ...core.time_step import TimeStep
from .forecasts import ForecastChoice
from .row_columns import RowValues, value_text
from .series import Series
from .series_times import TIME_PATH
from .time_spacing import later_time
from .windows import WindowedDataset

FORECAST_PREFIX = "forecast_"
"""Stands before the name of the column of times, where a row has the time of its first prediction."""


def forecast_columns(
    series: Series,
    windows: WindowedDataset,
    places: dict[str, Sequence[Any]],
    values: RowValues,
    choice: ForecastChoice,
) -> dict[str, Sequence[Any]]:
    """The series and the times of the predicted steps, by the name of the column.

    `places` are the columns of files that name the series and the times of rows, as they are in the files. The times of
    a prediction are a tuple if each step has a row of its own, else those of the first step. Unknown times are None.
    """
    section = series.section
    last_rows = windows.starts + (section.length - 1)
    columns: dict[str, Sequence[Any]] = {}
    if section.by is not None and section.by in places:
        columns[section.by] = [places[section.by][row] for row in series.order[last_rows].tolist()]
    if section.time is not None and section.time in places:
        times = _ForecastTimes(series, places[section.time], values[TIME_PATH])
        if choice.is_by_step:
            columns[section.time] = [tuple(times.at(row, step) for step in choice.steps) for row in last_rows.tolist()]
        elif choice.first_step:
            name = FORECAST_PREFIX + section.time
            columns[name] = [times.at(row, choice.first_step) for row in last_rows.tolist()]
    return columns


def count_unknown_times(columns: Iterable[Sequence[Any]]) -> int:
    """The number of rows with a time that is not known."""
    return sum(value is None or (isinstance(value, tuple) and None in value) for column in columns for value in column)


@dataclass
class _ForecastTimes:
    """The times of the steps after rows of series."""

    series: Series
    written: Sequence[Any]
    """The time of each row of the files, as it is there."""
    times: np.ndarray
    """The same times as numbers or as dates."""
    _known: dict[tuple[Any, int, int | None], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._step: TimeStep | None = self.series.step or self.series.section.time_step
        self._days = self._days_of_month()
        self._is_of_weekdays = self._step is None and self._has_weekdays_only()

    def at(self, row: int, step: int) -> Any:
        """The time of a step after a row, a position in the series, written as in the file; None if it is unknown."""
        series = self.series
        if not step:
            return self.written[series.order[row]]
        if series.section.gaps == "ignore":  # rows are steps whatever their times
            if row + step < len(series.order) and series.series[row + step] == series.series[row]:
                return self.written[series.order[row + step]]
            end = int(np.searchsorted(series.series, series.series[row], "right")) - 1
            row, step = end, step - (end - row)
        value = self.written[series.order[row]]
        day = None if self._days is None else int(self._days[series.series[row]])
        key = (value, step, day)
        if key not in self._known:
            self._known[key] = self._later(value, step, day)
        return self._known[key]

    def _later(self, value: Any, step: int, day: int | None) -> Any:
        if self._step is not None:
            return later_time(value, step, self._step, day)
        if not self._is_of_weekdays:
            return None
        date = datetime.fromisoformat(value_text(value)).date()
        days = np.busday_offset(date, step) - np.datetime64(date)
        return later_time(value, int(days / np.timedelta64(1, "D")), DAY, None)

    def _days_of_month(self) -> np.ndarray | None:
        """The latest day of the month in each series, if its rows are months apart: 31 for ends of months."""
        if self._step is None or self._step.unit != "month":
            return None
        ordered = self.times[self.series.order]
        months = ordered.astype("datetime64[M]").astype("datetime64[D]")
        days = (ordered.astype("datetime64[D]") - months).astype(np.int64) + 1
        latest = np.zeros(len(self.series.names), np.int64)
        np.maximum.at(latest, self.series.series, days)
        return latest

    def _has_weekdays_only(self) -> bool:
        """Whether all times are dates from Monday to Friday, most of which follow one another day by day."""
        if self.times.dtype.kind != "M" or not len(self.times):
            return False
        days = self.times[self.series.order].astype("datetime64[D]")
        steps = np.diff(days)[np.diff(self.series.series) == 0]
        return bool(np.is_busday(days).all() and len(steps) and np.mean(steps == np.timedelta64(1, "D")) > 0.5)


DAY = TimeStep(timedelta(days=1).total_seconds(), "second")
