"""Recognises in which formats the dates of a column are written."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ...core.date_formats import DATE_FORMATS, FormatName
from ...data.samples.data_spec import DATE

MIN_DATE_SHARE = 0.5
"""The least share of dates among the different texts of a column of dates."""
MONTH_FIRST: dict[FormatName, FormatName] = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
"""For each format with the day first that many dates with the month first fit, too: that other format."""


class RecognisedDates(NamedTuple):
    """How the dates of a column are written."""

    formats: tuple[FormatName, ...]
    note: str = ""
    """What the dates leave open."""
    error: str = ""
    """Why the dates cannot be read, as the end of a sentence about the column."""


def is_date_column(texts: Collection[str]) -> bool:
    """Whether most different texts begin like dates, in any format."""
    return sum(map(bool, map(DATE.match, texts))) > MIN_DATE_SHARE * len(texts)


def recognise_dates(texts: Collection[str]) -> RecognisedDates:
    """The formats that different texts, all dates that are not missing, are written in."""
    formats: list[FormatName] = []
    notes = []
    rest = set(texts)
    for name in DATE_FORMATS:
        if name in MONTH_FIRST.values():
            continue
        other = MONTH_FIRST.get(name)
        chosen, note = (name, "") if other is None else _order_of_day_and_month(rest, name, other)
        own = _texts_in(rest, chosen)
        if own:
            formats.append(chosen)
            notes += [note] if note else []
            rest -= own
    if rest:
        known = " or ".join(formats or DATE_FORMATS)
        return RecognisedDates(
            (), error=f"{len(rest):,} of its dates, such as {min(rest)!r}, are not written as {known}"
        )
    return RecognisedDates(tuple(formats), "; ".join(notes))


def _order_of_day_and_month(
    texts: Collection[str], day_first: FormatName, month_first: FormatName
) -> tuple[FormatName, str]:
    """The one of two formats that fits more texts, and a note if all fit both."""
    counts = {name: len(_texts_in(texts, name)) for name in (day_first, month_first)}
    if counts[month_first] > counts[day_first]:
        return month_first, ""
    if counts[month_first] < counts[day_first] or not counts[day_first]:
        return day_first, ""
    example = min(_texts_in(texts, day_first)).strip()
    return day_first, f"dates such as {example!r} are read as {day_first}; if the month is first, write {month_first}"


def _texts_in(texts: Collection[str], name: FormatName) -> set[str]:
    return {text for text in texts if DATE_FORMATS[name].reads(text)}
