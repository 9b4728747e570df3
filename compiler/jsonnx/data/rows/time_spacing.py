"""The spacing of times: the step of series, and the number of steps between their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from ...core.time_step import SECONDS, TimeStep

SAME_STEP_RATIO = 1.01
"""Differences of times are the same step up to this ratio: times may be rounded."""
MAX_STEP_ERROR = 0.01
"""Maximum difference, in steps, between a time and a whole number of steps."""
MAX_CLOCK_CHANGE = 3600.0
"""Maximum difference in seconds where steps are days or longer: clocks change to daylight saving time."""
MONTH_SECONDS = 365.2425 / 12 * SECONDS["d"]
MAX_MONTH_DEVIATION = 2.5 * SECONDS["d"]
"""Maximum difference in seconds between months of the calendar and as many mean months."""
MAX_STEPS = 1 << 40
"""Maximum number of steps between two times that is told from a larger one."""
UNEVEN = -1
"""In place of a number of steps: the time is no whole number of steps later."""


@np.errstate(over="ignore")
def infer_step(before: np.ndarray, after: np.ndarray) -> TimeStep | None:
    """The most frequent difference of consecutive times, `after - before`; None without two different times.

    Dates have the type datetime64. Months of the calendar are recognised if more of the differences are equal in months
    than in days.
    """
    is_date = before.dtype.kind == "M"
    differences = _seconds(after - before) if is_date else after - before
    differences = np.sort(differences[differences > 0])
    if not differences.size:
        return None
    bounds = np.r_[0, np.flatnonzero(differences[1:] > differences[:-1] * SAME_STEP_RATIO) + 1, len(differences)]
    largest = int(np.argmax(np.diff(bounds)))
    size = float(np.median(differences[bounds[largest] : bounds[largest + 1]]))
    if not is_date:
        return TimeStep(size, "number")
    step = TimeStep(size, "second")
    months = round(size / MONTH_SECONDS)
    if months < 1 or abs(size - months * MONTH_SECONDS) > MAX_MONTH_DEVIATION:
        return step
    by_month = TimeStep(float(months), "month")
    matches = [int((step_counts(before, after, one) == 1).sum()) for one in (step, by_month)]
    return by_month if matches[1] > matches[0] else step


def step_counts(before: np.ndarray, after: np.ndarray, step: TimeStep) -> np.ndarray:
    """The numbers of steps from times to later ones: 0 for equal times, `UNEVEN` where the number is not whole."""
    if step.unit == "month":
        counts, is_even = _months_between(before, after)
        is_even &= counts % int(step.size) == 0
        counts = counts // int(step.size)
    else:
        differences = _seconds(after - before) if step.unit == "second" else after - before
        with np.errstate(over="ignore"):  # of a tiny step
            exact = np.minimum(differences / step.size, MAX_STEPS)
        counts = np.round(exact).astype(np.int64)
        tolerance = MAX_STEP_ERROR
        if step.unit == "second" and step.size >= SECONDS["d"]:
            tolerance = MAX_CLOCK_CHANGE / step.size
        is_even = np.abs(exact - counts) <= tolerance
    is_even &= (counts > 0) | (before == after)
    return np.where(is_even, counts, UNEVEN)


def _months_between(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The months from times to later ones, and whether their days are the same, or the last ones of shorter months."""
    first, last = _MonthDay.of(before), _MonthDay.of(after)
    is_even = np.abs(first.offset - last.offset) <= MAX_CLOCK_CHANGE
    is_even |= (first.is_last_day & (last.offset >= first.offset)) | (last.is_last_day & (first.offset >= last.offset))
    return last.month - first.month, is_even


class _MonthDay(NamedTuple):
    """Dates as months since 1970, and the seconds since the month began."""

    month: np.ndarray
    offset: np.ndarray
    is_last_day: np.ndarray

    @staticmethod
    def of(times: np.ndarray) -> _MonthDay:
        months, days = times.astype("datetime64[M]"), times.astype("datetime64[D]")
        is_last_day = (days + np.timedelta64(1, "D")).astype("datetime64[M]") != months
        return _MonthDay(months.astype(np.int64), _seconds(times - months.astype(times.dtype)), is_last_day)


def _seconds(differences: np.ndarray) -> np.ndarray:
    return np.asarray(differences / np.timedelta64(1, "s"), np.float64)


def later_time(value: Any, count: int, step: TimeStep, month_day: int | None = None) -> Any:
    """The time that is a number of steps later, written as the value is; None if it is after the year 9999.

    Of steps of months, `month_day` is the day of the month, if the month is long enough; None for that of the value.
    """
    if step.unit == "number":
        if not isinstance(value, str):
            return value + count * (int(step.size) if float(step.size).is_integer() else step.size)
        return f"{float(value) + count * step.size:.15g}"
    text = str(value).strip()
    try:
        date = step.later(datetime.fromisoformat(text), count, month_day)
    except (OverflowError, ValueError):
        return None
    if len(text) <= len("2026-11-27") and not (date.hour or date.minute or date.second or date.microsecond):
        return date.date().isoformat()
    separator = " " if " " in text else "T"
    return date.isoformat(separator, "minutes" if len(text) == len("2026-11-27T18:30") else "auto")


def time_text(time: np.datetime64 | float) -> str:
    """A time for a message: a number, or a date, with its time of day unless that is midnight."""
    if not isinstance(time, np.datetime64):
        return f"{float(time):.12g}"
    return str(time.astype("datetime64[us]")).removesuffix(".000000").removesuffix(":00").removesuffix("T00:00")
