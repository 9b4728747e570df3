"""The layer that turns dates and times into numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce
from math import nan, pi
from typing import TYPE_CHECKING, Any, Literal

from ...core.components import attr
from ...core.date_formats import DATE_FORMATS, ISO_FORMAT, DateFormat, FormatName
from ...core.types import TensorType, product, require
from ..base import Layer, layer

if TYPE_CHECKING:
    from ...ir import Builder, Value

EPOCH = date(1970, 1, 1)
DAYS_BEFORE_EPOCH = 719_468
"""Days from March 1 of the year 0 to 1970-01-01."""
DAYS_OF_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""

Feature = Literal["year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "days"]

CYCLES: dict[str, tuple[int, int]] = {
    "month": (12, 1),
    "day": (31, 1),
    "weekday": (7, 0),
    "day_of_year": (366, 1),
    "hour": (24, 0),
    "minute": (60, 0),
    "second": (60, 0),
}
"""The number of values of each periodic feature, and the first one."""


@layer
class DateFeatures(Layer):
    """Turns dates and times, texts such as `2026-11-27` or `2026-11-27T18:30:00`, into numbers along a new last axis.

    Dates are those of the Gregorian calendar. Between date and time is a `T` or a space; seconds and time may be
    missing and then count as 0. A time zone (`Z` or `+01:00`) is ignored: numbers are taken from the text. Other texts
    give NaN, which an Imputation may replace; in data files they are errors, except for missing dates before an
    Imputation: the empty text, `NA`, `null`, `-` and the like.
    """

    keras_name = ""
    features: tuple[Feature, ...] = attr(
        ("year", "month", "day", "weekday"),
        doc="The numbers, in order. `weekday` is 0 on Monday, `day_of_year` is 1 on January 1, `days` are those since "
        "1970-01-01.",
    )
    cyclic: bool = attr(
        False,
        doc="Whether each periodic number becomes a point on a circle, sine and cosine, so that December is next to "
        "January. `year` and `days` stay numbers.",
    )
    formats: tuple[FormatName, ...] = attr(
        (ISO_FORMAT,),
        doc="How dates are written: year (`%Y`, four digits), month (`%m`) and day (`%d`). If a text fits several "
        "formats, the first one counts.",
    )

    @property
    def feature_count(self) -> int:
        """The size of the last axis."""
        return sum(2 if self.cyclic and name in CYCLES else 1 for name in self.features)

    def max_operators(self) -> int:
        return 150

    def infer(self, x: TensorType) -> TensorType:
        help = 'give the input "dtype": "string"'
        require(x.dtype == "string", f"needs texts, got {x}", help)
        require(len(self.features) > 0, "has no features", "name at least one")
        twice = next((name for name in self.features if self.features.count(name) > 1), None)
        require(twice is None, f"has the feature {twice!r} twice", "keep one of them")
        require(len(self.formats) > 0, "has no formats", "name at least one")
        return x.with_dtype("float32").with_shape((*x.shape, self.feature_count))

    def lower(self, g: Builder, x: Value) -> Any:
        output = self.infer(x.type)
        flat = x if x.rank == 1 else g.refine(g.Reshape(x, [-1]), (product(x.shape),))
        formats = [DATE_FORMATS[name] for name in dict.fromkeys(self.formats)]
        fits = [g.RegexFullMatch(flat, pattern=format.pattern) for format in formats]
        is_date = reduce(g.Or, fits)
        epoch = g.const(EPOCH.strftime(formats[-1].name), "string")
        numbers, is_valid = self._numbers(g, g.Where(is_date, flat, epoch), formats, fits)
        is_valid = g.And(is_date, is_valid)
        columns = []
        for name in self.features:
            value = g.cast(numbers[name], g.float_dtype)
            if self.cyclic and name in CYCLES:
                size, first = CYCLES[name]
                angle = g.Mul(g.Sub(value, float(first)), 2 * pi / size)
                columns += [g.Sin(angle), g.Cos(angle)]
            else:
                columns.append(value)
        features = g.Concat(*(g.Unsqueeze(column, [1]) for column in columns), axis=1)
        features = g.Where(g.Unsqueeze(is_valid, [1]), features, g.const(nan))
        if x.rank > 1:
            sizes = g.Concat(g.Shape(x), g.const([self.feature_count], "int64"), axis=0)
            features = g.Reshape(features, sizes)
        return g.refine(features, output.shape)

    def _numbers(
        self, g: Builder, x: Value, formats: Sequence[DateFormat], fits: Sequence[Value]
    ) -> tuple[dict[str, Value], Value]:
        """All numbers that the features need, as int64, and whether the day exists."""
        day_text, time = split_date_and_time(g, x)
        year, month, day = (g.cast(piece, "int64") for piece in split_by_format(g, day_text, formats, fits))
        numbers = {"year": year, "month": month, "day": day}
        if {"weekday", "day_of_year", "days"} & {*self.features}:
            days = days_since_epoch(g, year, month, day)
            numbers["days"] = days
            numbers["weekday"] = g.Mod(g.Add(days, 7 * DAYS_BEFORE_EPOCH + EPOCH_WEEKDAY), 7)
            first = g.const(1, "int64")
            numbers["day_of_year"] = g.Add(g.Sub(days, days_since_epoch(g, year, first, first)), 1)
        if {"hour", "minute", "second"} & {*self.features}:
            for mark in "Z+-":  # the beginning of a time zone
                (time,) = split_text(g, time, mark, 1)
            hour, minute, second = split_text(g, time, ":", 3)
            (second,) = split_text(g, second, ".", 1)
            for name, text in (("hour", hour), ("minute", minute), ("second", second)):
                is_empty = g.Equal(text, g.const("", "string"))
                numbers[name] = g.cast(g.Where(is_empty, g.const("0", "string"), text), "int64")
        return numbers, is_day_of_month(g, year, month, day)


def split_by_format(g: Builder, x: Value, formats: Sequence[DateFormat], fits: Sequence[Value]) -> list[Value]:
    """The year, month and day of each text: those of the first format that fits, or else of the last one."""
    pieces: list[Value] = []
    for format, is_fitting in zip(reversed(formats), reversed(fits), strict=True):
        by_field = dict(zip(format.fields, split_text(g, x, format.separator, 3), strict=True))
        own = [by_field[field] for field in "Ymd"]
        pieces = [g.Where(is_fitting, *pair) for pair in zip(own, pieces, strict=True)] if pieces else own
    return pieces


def split_text(g: Builder, x: Value, delimiter: str | None, count: int) -> list[Value]:
    """The first pieces of each text in a vector, between delimiters, or white space if it is None; empty if missing."""
    attributes = {} if delimiter is None else {"delimiter": delimiter}
    pieces = g.StringSplit(x, **attributes, outputs=2)[0]
    rows = g.Concat(g.Shape(x), g.const([count], "int64"), axis=0)
    padding = g.Expand(g.const("", "string"), rows)
    padded = g.Concat(pieces, padding, axis=1)
    return [g.refine(g.Gather(padded, g.const(index, "int64"), axis=1), x.shape) for index in range(count)]


def split_date_and_time(g: Builder, x: Value) -> list[Value]:
    """The parts of each text before and after a `T` or white space; the second one may be empty."""
    first, second = split_text(g, x, None, 2)
    joined = g.StringConcat(g.StringConcat(first, g.const("T", "string")), second)
    return split_text(g, joined, "T", 2)


def days_since_epoch(g: Builder, year: Value, month: Value, day: Value) -> Value:
    """The days from 1970-01-01, of years from 1. The year is counted from March, so that a leap day is its last."""
    is_before_march = g.Less(month, 3)
    year = g.Sub(year, g.cast(is_before_march, "int64"))
    months = g.Mod(g.Add(month, 9), 12)
    day_of_year = g.Add(g.Div(g.Add(g.Mul(months, 153), 2), 5), g.Sub(day, 1))
    leap_days = g.Add(g.Sub(g.Div(year, 4), g.Div(year, 100)), g.Div(year, 400))
    return g.Sub(g.Add(g.Add(g.Mul(year, 365), leap_days), day_of_year), DAYS_BEFORE_EPOCH)


def is_day_of_month(g: Builder, year: Value, month: Value, day: Value) -> Value:
    """Whether the day exists in its month, and the year is not 0."""

    def is_multiple(count: int) -> Value:
        return g.Equal(g.Mod(year, count), 0)

    is_leap_year = g.Or(g.And(is_multiple(4), g.Not(is_multiple(100))), is_multiple(400))
    leap_day = g.cast(g.And(is_leap_year, g.Equal(month, 2)), "int64")
    days = g.Add(g.Gather(g.const(DAYS_OF_MONTHS, "int64"), g.Sub(month, 1), axis=0), leap_day)
    return g.And(g.LessOrEqual(day, days), g.Greater(year, 0))
