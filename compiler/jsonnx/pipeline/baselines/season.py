"""The season of series: the number of steps after which they are expected to repeat."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import NamedTuple

import numpy as np

from ...core.time_step import SECONDS, TimeStep
from ...data.rows.windows import WindowedDataset

MIN_SEASONS = 2
"""Seasons that the longest series of the training data must have."""
COMMON_SEASONS = (4, 5, 7, 12, 24, 48, 52, 96, 144, 168, 288, 365)
"""Seasons that are tried if the step of the series is unknown."""
MAX_ERROR_RATIO = 0.9
"""A season is recognised if repeating it has at most this share of the error of repeating the last value."""


class Season(NamedTuple):
    """A number of steps, and how it was found."""

    length: int
    origin: str

    @property
    def text(self) -> str:
        steps = f"{self.length:,} steps" if self.length > 1 else "none: each value is compared with the one before"
        return f"{steps} ({self.origin})"


def season_of(train: WindowedDataset, output: str, length: int | None) -> Season:
    """The season of the series of an output: as the user gives it, or else of the spacing of times, or else the common
    one with the least error in the training data."""
    if length is not None:
        return Season(length, "as given")
    in_sample = InSample.of(train, output)
    step = train.counts.step
    if step is not None and step.is_of_dates:
        fitting = [season for season in _seasons_of(step) if in_sample.longest_series >= MIN_SEASONS * season]
        return Season(next(iter(fitting), 1), f"rows are {step} apart; --season changes it")
    errors = {
        season: error
        for season in COMMON_SEASONS
        if in_sample.longest_series >= MIN_SEASONS * season and not isnan(error := in_sample.error(season))
    }
    best = min(errors, key=errors.__getitem__, default=1)
    if best == 1 or not errors[best] <= MAX_ERROR_RATIO * in_sample.error(1):
        return Season(1, "no common season fits the training data; --season gives one")
    return Season(best, "the common season that fits the training data best; --season changes it")


def _seasons_of(step: TimeStep) -> Iterator[int]:
    """The seasons of rows at this distance, the usual ones first: a year of months or weeks, a week of days, a day, an
    hour or a minute of shorter steps."""
    if step.unit == "month":
        yield from [round(12 / step.size)] if step.size < 12 and 12 % step.size == 0 else []
        return
    units = [52 * SECONDS["w"]] if step.size >= SECONDS["w"] else [SECONDS["w"]]
    if step.size < SECONDS["d"]:
        units = [SECONDS["d"], SECONDS["h"], SECONDS["min"]]
    yield from (round(unit / step.size) for unit in units if unit > step.size and unit % step.size == 0)


class InSample(NamedTuple):
    """The rows of the series that the training windows cover, of which those with targets are included."""

    values: np.ndarray
    """The targets [rows, units] of all rows."""
    is_included: np.ndarray
    run: np.ndarray
    """A number for each row that changes where another series begins, or after a gap."""
    series: np.ndarray

    @staticmethod
    def of(train: WindowedDataset, output: str) -> InSample:
        array = np.asarray(train.targets[output])
        changes = np.zeros(len(array) + 1, np.int64)
        np.add.at(changes, train.starts, 1)
        np.add.at(changes, train.starts + (train.windows.length + train.windows.horizon), -1)
        values = array.reshape(len(array), -1).astype(np.float64)
        is_covered = np.cumsum(changes[:-1]) > 0
        return InSample(values, is_covered & ~train.lacks_target, runs_of(train), train.series)

    @property
    def longest_series(self) -> int:
        return int(np.bincount(self.run[self.is_included]).max(initial=0))

    def differences(self, season: int) -> tuple[np.ndarray, np.ndarray]:
        """The absolute differences [rows, units] to the values a season before, and the series of each row."""
        if season >= len(self.run):
            return self.values[:0], self.series[:0]
        is_pair = self.is_included[season:] & self.is_included[:-season] & (self.run[season:] == self.run[:-season])
        differences = np.abs(self.values[season:] - self.values[:-season])
        return differences[is_pair], self.series[season:][is_pair]

    def error(self, season: int) -> float:
        """The mean absolute error of repeating the value a season before; NaN if there is none."""
        differences, _ = self.differences(season)
        return float(differences.mean()) if len(differences) else float("nan")


def runs_of(samples: WindowedDataset) -> np.ndarray:
    """A number for each row that changes where another series begins, or after a gap."""
    begins = np.r_[False, np.diff(samples.series) != 0] | samples.follows_gap
    return np.cumsum(begins)
