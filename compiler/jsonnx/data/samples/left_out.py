"""Rows and windows of files that are not among the samples, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ...core.quantities import count_text
from ...core.time_step import TimeStep


class LackedValue(NamedTuple):
    """What a row lacks, such as a number in a column."""

    kind: str
    column: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.column!r}"


@dataclass(frozen=True)
class MissingCounts:
    """The rows with missing values."""

    row_count: int = 0
    all_row_count: int = 0
    """The number of all rows, with the complete ones."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Numbers of rows by what they lack, such as `a number in 'age'`; a row may lack several values."""

    @staticmethod
    def total(parts: Iterable[MissingCounts]) -> MissingCounts:
        """The counts of all parts together."""
        parts = [*parts]
        reasons: Counter[str] = Counter()
        for part in parts:
            reasons.update(part.reasons)
        return MissingCounts(sum(part.row_count for part in parts), sum(part.all_row_count for part in parts), reasons)


MAX_DAMAGED_FILES = 1000
"""Maximum number of damaged files whose names are kept."""


@dataclass(frozen=True)
class DamagedFiles:
    """The images and recordings that cannot be decoded, whose samples are left out."""

    count: int = 0
    all_count: int = 0
    """The number of all samples, with the others."""
    names: tuple[str, ...] = ()
    """The first of these files, each with the reason, at most `MAX_DAMAGED_FILES`."""

    @staticmethod
    def total(parts: Iterable[DamagedFiles]) -> DamagedFiles:
        """The files of all parts together."""
        parts = [*parts]
        names = tuple(name for part in parts for name in part.names)[:MAX_DAMAGED_FILES]
        return DamagedFiles(sum(part.count for part in parts), sum(part.all_count for part in parts), names)


MAX_LACKING_SERIES = 1000
"""Maximum number of series without a window whose names are kept."""
NO_MISSING, NO_DAMAGED = MissingCounts(), DamagedFiles()


@dataclass(frozen=True)
class SeriesWithoutWindow:
    """A series of which no window is a sample."""

    name: str
    row_count: int
    cause: str = ""
    """What its windows have that leaves them out, and where; empty if none fits in its rows."""

    @property
    def rows_text(self) -> str:
        """The number of its rows, and the cause."""
        rows = count_text(self.row_count, "row")
        return f"{rows}, with {self.cause}" if self.cause else rows


@dataclass(frozen=True)
class WindowCounts:
    """The windows that series could have, and those of them that are left out."""

    series_count: int
    length: int
    """The rows of a window."""
    horizon: int
    """The rows behind it up to its target."""
    step: TimeStep | None
    """The time between rows; None if the series have no times, or if rows are steps whatever their times."""
    gap_count: int = 0
    missing_steps: int = 0
    """The rows that the gaps lack."""
    across_gaps: int = 0
    """Windows that are left out, since they cross a gap."""
    with_missing_values: int = 0
    """Windows that are left out, since one of their rows has a missing value."""
    with_filled_target: int = 0
    """Windows that are left out, since a row that fills a gap would be their target or their last row."""
    lacking_series_count: int = 0
    """Series of which no window is a sample."""
    lacking_series: tuple[SeriesWithoutWindow, ...] = ()
    """The longest of these series, at most `MAX_LACKING_SERIES`."""
    without_future_count: int = 0
    """Series without a forecast, since they have fewer rows of the future than the horizon."""
    without_future: tuple[SeriesWithoutWindow, ...] = ()
    """The first of these series with their numbers of such rows, at most `MAX_LACKING_SERIES`."""

    unknown_time_count: int = 0
    """Forecasts of which a time is not known."""

    @property
    def left_out(self) -> int:
        return self.across_gaps + self.with_missing_values + self.with_filled_target
