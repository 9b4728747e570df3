"""Formats of dates that a network reads, in regular expressions common to RE2 and Python."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from functools import cached_property
from typing import Literal, get_args

TIME_PATTERN = r"([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)? *"
"""The syntax of the time of day after a date, which may be missing."""

FormatName = Literal["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y", "%m/%d/%Y", "%m-%d-%Y"]
"""Formats of dates as `strftime` writes them: year, month and day between separators."""
ISO_FORMAT: FormatName = "%Y-%m-%d"


class DateFormat:
    """The syntax of dates in one format. ISO 8601 has two digits for month and day; other formats have one or two."""

    def __init__(self, name: FormatName) -> None:
        self.name = name
        self.separator = name[2]
        self.fields = name.replace("%", "").split(self.separator)
        """`Y`, `m` and `d` in their order."""
        zero = "0" if name == ISO_FORMAT else "0?"
        fields = {"Y": r"\d{4}", "m": f"({zero}[1-9]|1[0-2])", "d": f"({zero}[1-9]|[12]\\d|3[01])"}
        separator = "[.]" if self.separator == "." else self.separator
        self.pattern = " *" + separator.join(fields[field] for field in self.fields) + TIME_PATTERN
        """The syntax of a date with or without a time."""

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.ASCII)

    def reads(self, text: str) -> bool:
        """Whether a text is a date in this format, and its day exists in its month."""
        if self._regex.fullmatch(text) is None:
            return False
        date = re.split("[T ]", text.strip())[0]
        numbers = dict(zip(self.fields, map(int, date.split(self.separator)), strict=True))
        return numbers["Y"] > 0 and numbers["d"] <= monthrange(numbers["Y"], numbers["m"])[1]


DATE_FORMATS: dict[FormatName, DateFormat] = {name: DateFormat(name) for name in get_args(FormatName)}


def is_date(text: str, formats: Iterable[FormatName]) -> bool:
    """Whether a text is a date in one of these formats."""
    return any(DATE_FORMATS[name].reads(text) for name in formats)
