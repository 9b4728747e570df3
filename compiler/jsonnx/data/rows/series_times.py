"""The times of series: their order, their step, and errors for times that are missing, uneven or equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ...core.diagnostics import JsonPath, quoted_or_list
from ...core.time_step import TimeStep
from ...sections.split_section import WindowsSection
from ..samples.data_errors import MAX_LISTED_LOCATIONS, DataLocation, ErrorCollector
from .time_spacing import UNEVEN, infer_step, step_counts, time_text

WINDOWS_PATH: JsonPath = ("training", "data", "windows")
SERIES_PATH: JsonPath = (*WINDOWS_PATH, "by")
TIME_PATH: JsonPath = (*WINDOWS_PATH, "time")

DAYS_FROM_MONDAY_TO_1970, FRIDAY, DAYS_FROM_FRIDAY_TO_MONDAY = 3, 4, 3

GAPS_HELP = (
    'add the missing rows; or say in `windows` what becomes of gaps: "gaps": "skip" leaves out the windows that cross '
    'one, "fill" adds rows with the values before, and "ignore" takes rows as steps, as for business days'
)
WRITTEN_DATES_HELP = "20261127 counts as a number: write dates like 2026-11-27; "
UNEVEN_HELP = (
    '"step" in `windows` gives another step, "gaps": "skip" leaves out the windows in which times are uneven, and '
    '"ignore" takes rows as steps whatever their times; only even times can be filled ("fill")'
)
EQUAL_HELP = (
    "leave one row for each time; or remove `time` from `windows`, so that the rows have the order of the file "
    "whatever their times"
)


class RowLocator(Protocol):
    """Finds rows in the files that they were read from."""

    def locate(self, rows: Sequence[int], column: str) -> list[tuple[str, DataLocation]]:
        """The file of each row, and the location of a column in it."""

    def separating_columns(self, column: str) -> list[str]:
        """The columns by which rows with equal values of a column are told apart."""


def series_order(
    count: int, names: Sequence[Any] | None, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The indices of the rows, one series after the other and by time in each; the number of each row's series; and
    the names of the series.

    Series are in the order of their first rows, and rows of equal times in the order of the file.
    """
    numbers: dict[Any, int] = {}
    series = np.zeros(count, np.int64)
    if names is not None:
        series[:] = [numbers.setdefault(name, len(numbers)) for name in names]
    keys = (series,) if times is None else (times, series)
    return np.lexsort(keys), series, [*numbers] or [""]


@dataclass(frozen=True, eq=False)
class SeriesTimes:
    """The times of rows that are ordered by series and time, and the steps between them."""

    section: WindowsSection
    times: np.ndarray
    order: np.ndarray
    """The index of each row in the files."""
    series: np.ndarray
    """The number of each row's series, never decreasing."""
    names: Sequence[str]

    @cached_property
    def pairs(self) -> np.ndarray:
        """The rows that are followed by another one of their series."""
        return np.flatnonzero(np.diff(self.series) == 0)

    @cached_property
    def step(self) -> TimeStep | None:
        """The step of the spec, or else the most frequent one; None if no series has two rows."""
        given = self.section.time_step
        return infer_step(self.times[self.pairs], self.times[self.pairs + 1]) if given is None else given

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of steps from each row of `pairs` to the next."""
        before, after = self.times[self.pairs], self.times[self.pairs + 1]
        return np.ones(len(before), np.int64) if self.step is None else step_counts(before, after, self.step)

    def check(self, locator: RowLocator, errors: ErrorCollector) -> None:
        """Adds errors for equal times; for a step of another kind than the times; and, as far as the spec does not
        accept them, for gaps and uneven times."""
        section, step = self.section, self.step
        equal = self.pairs[self.times[self.pairs] == self.times[self.pairs + 1]]
        if equal.size:
            self._report("equal-times", equal + 1, self._describe_equal, self._equal_help(locator), locator, errors)
            return
        if section.gaps == "ignore" or step is None:
            return
        if step.is_of_dates != (self.times.dtype.kind == "M"):
            kind, wanted = ("numbers", "dates") if step.is_of_dates else ("dates", "numbers")
            message = f"{section.time!r} has {kind}, and the step {step} is one of {wanted}"
            errors.add_in_spec("bad-split", message, (*WINDOWS_PATH, "step"), "write the step in the unit of the times")
            return
        if section.gaps in ("error", "fill"):
            uneven = self.pairs[self.counts == UNEVEN]
            self._report("uneven-times", uneven + 1, self._describe_uneven, UNEVEN_HELP, locator, errors)
        if section.gaps == "error":
            gaps = self.pairs[self.counts > 1]
            self._report("time-gap", gaps + 1, self._describe_gap, self._gaps_help(gaps), locator, errors)

    def _report(
        self, code: str, rows: np.ndarray, describe: Any, help: str, locator: RowLocator, errors: ErrorCollector
    ) -> None:
        """Adds one error for all rows, which are numbers in the order of the series."""
        if not rows.size:
            return
        rows = rows[np.argsort(self.order[rows], kind="stable")]
        first = rows[:MAX_LISTED_LOCATIONS].tolist()
        places = locator.locate(self.order[first].tolist(), str(self.section.time))
        collector = ErrorCollector(places[0][0], errors.source)
        items = [(row, place) for row, (file, place) in zip(first, places, strict=True) if file == collector.file]
        summary = self._summary(rows, code != "equal-times")
        collector.add_each(
            code,
            items,
            lambda item: (describe(item[0]), item[1]),
            count=len(rows),
            help=f"{summary}{help}",
        )
        errors.diagnostics += collector.diagnostics

    def _summary(self, rows: np.ndarray, is_about_step: bool) -> str:
        """The step, if the spec does not give it, and the number of series that rows are in, if there are several."""
        count, is_inferred = len(np.unique(self.series[rows])), is_about_step and self.section.step is None
        step = f"{self.step} is the most frequent difference; " if is_inferred else ""
        return step + (f"{count:,} of {len(self.names):,} series have such rows; " if len(self.names) > 1 else "")

    def _in_series(self, row: int) -> str:
        return f" in the series {self.names[self.series[row]]!r} of {self.section.by!r}" if self.section.by else ""

    def _describe_equal(self, row: int) -> str:
        return f"{self.section.time!r} is {time_text(self.times[row])}, as in another row{self._in_series(row)}"

    def _describe_gap(self, row: int) -> str:
        count = int(self.counts[np.searchsorted(self.pairs, row - 1)]) - 1
        missing = f"{count:,} steps of {self.step} are" if count > 1 else f"1 step of {self.step} is"
        before, after = time_text(self.times[row - 1]), time_text(self.times[row])
        return f"{missing} missing between {before} and {after}{self._in_series(row)}"

    def _describe_uneven(self, row: int) -> str:
        before, after = time_text(self.times[row - 1]), time_text(self.times[row])
        return f"{self.section.time!r} goes from {before} to {after}, which is no multiple of {self.step}" + (
            self._in_series(row)
        )

    def _gaps_help(self, gaps: np.ndarray) -> str:
        """Help for the rows before gaps."""
        if self.times.dtype.kind != "M":
            return (WRITTEN_DATES_HELP if _are_written_dates(self.times) else "") + GAPS_HELP
        days = self.times.astype("datetime64[D]").astype(np.int64)
        is_friday = (days[gaps] + DAYS_FROM_MONDAY_TO_1970) % 7 == FRIDAY
        weekends = int((is_friday & (days[gaps + 1] - days[gaps] == DAYS_FROM_FRIDAY_TO_MONDAY)).sum())
        return (f"{weekends:,} of these gaps are weekends; " if weekends else "") + GAPS_HELP

    def _equal_help(self, locator: RowLocator) -> str:
        columns = locator.separating_columns(str(self.section.time)) if self.section.by is None else []
        if len(columns) == 1:
            return f'"by": "{columns[0]}" in `windows` tells the series apart; or {EQUAL_HELP}'
        candidates = f" ({quoted_or_list(columns)})" if columns else ""
        several = f'"by" in `windows` names the column that tells several series apart{candidates}; or '
        return (several if self.section.by is None else "") + EQUAL_HELP


def _are_written_dates(numbers: np.ndarray) -> bool:
    """Whether numbers are the digits of dates, such as 20261127."""
    years, months, days = numbers // 10_000, numbers // 100 % 100, numbers % 100
    return bool(((years >= 1900) & (years < 2100) & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())
