"""The time between the rows of a series: a number, a duration, or months of the calendar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
"""The seconds of each unit of a duration."""
MONTHS = {"mo": 1, "y": 12}
"""The months of each unit of the calendar."""
MAX_STEP_COUNT = 1_000_000
"""Maximum number of units in a step."""
STEP_TEXT = r"(\d+(?:\.\d+)?)?(s|min|h|d|w|mo|y)"
STEP_HELP = (
    'steps of dates are written like "15min", "1h", "1d", "1w", "1mo" or "1y" (units: s, min, h, d, w, mo, y), steps '
    "of numbers as a number"
)


@dataclass(frozen=True)
class TimeStep:
    """The time from one row of a series to the next: in units of a column of numbers, in seconds, or in months."""

    size: float
    unit: Literal["number", "second", "month"]

    @staticmethod
    def of(value: str | float) -> TimeStep | None:
        """The step that a spec writes; None if the text is no step, or the step is not positive or too long."""
        if not isinstance(value, str):
            return TimeStep(float(value), "number") if value > 0 else None
        match = re.fullmatch(STEP_TEXT, value, re.ASCII)
        if match is None:
            return None
        count, name = float(match[1] or 1), match[2]
        if not 0 < count <= MAX_STEP_COUNT or (name in MONTHS and not count.is_integer()):
            return None
        return TimeStep(count * MONTHS[name], "month") if name in MONTHS else TimeStep(count * SECONDS[name], "second")

    @property
    def is_of_dates(self) -> bool:
        return self.unit != "number"

    @property
    def written(self) -> str | float:
        """The step as a spec writes it."""
        if self.unit == "number":
            return self.size
        units = MONTHS if self.unit == "month" else SECONDS
        name = max((name for name in units if self.size % units[name] == 0), key=units.__getitem__, default="s")
        return f"{self.size / units[name]:.12g}{name}"

    def later(self, date: datetime, count: int, month_day: int | None = None) -> datetime:
        """The date that is a number of steps later, for a step of dates.

        Of steps of months, `month_day` is the day of the month, if the month is long enough; None for that of the date.
        """
        if self.unit == "second":
            return date + timedelta(seconds=count * self.size)
        from calendar import monthrange  # `validate` does without it

        year, month = divmod(date.year * 12 + date.month - 1 + count * int(self.size), 12)
        return date.replace(year=year, month=month + 1, day=min(month_day or date.day, monthrange(year, month + 1)[1]))

    def __str__(self) -> str:
        return f"{self.size:.6g}" if self.unit == "number" else str(self.written)
