"""The space of a search: the values of each parameter, and which parameters a set of values has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import exp, floor, log, prod
from typing import NamedTuple

from ..core.components import Json
from ..core.diagnostics import JsonPath
from ..sections.sweep_section import MAX_TRIALS, ParameterSection, SweepSection

SIGNIFICANT_DIGITS = 6
"""Digits of a drawn number: enough to search, and short enough to be written in a spec."""
MAX_GRID_VALUES = 10_000
"""Maximum number of values of a range in a grid without `points`."""
INNER_POSITIONS = (0.25, 0.5, 0.75)
"""Where a range is checked besides at its ends."""

Values = dict[str, Json]
"""The value of each parameter of a trial, in the order of the spec."""


class Candidate(NamedTuple):
    """A value that a parameter may get, and the path within its declaration that says so."""

    value: Json
    path: JsonPath


class ChoiceDomain(NamedTuple):
    """A list of values."""

    values: tuple[Json, ...]

    def at(self, position: float) -> Json:
        """The value at a position from 0 to below 1."""
        return self.values[int(position * len(self.values))]

    def grid(self) -> list[Json]:
        return list(self.values)

    def candidates(self) -> list[Candidate]:
        return [Candidate(value, ("choice", index)) for index, value in enumerate(self.values)]


class RangeDomain(NamedTuple):
    """The numbers from `low` to `high`: integers if both are, otherwise rounded to SIGNIFICANT_DIGITS."""

    low: float
    high: float
    is_log: bool = False
    step: float | None = None
    points: int | None = None

    @property
    def is_integer(self) -> bool:
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 0))

    @property
    def _step_count(self) -> int:
        """The number of steps of a range with a step, or of integers."""
        return floor((self.high - self.low) / (self.step or 1) + 1e-9)

    def at(self, position: float) -> float:
        """The value at a position from 0 to below 1: each position is equally likely in a random search."""
        if self.is_log:
            margin = 0.5 if self.is_integer else 0.0  # so that the ends are as likely as other integers
            start, end = log(self.low - margin), log(self.high + margin)
            return self.rounded(exp(start + position * (end - start)))
        if self.step is not None or self.is_integer:
            return self._after_steps(int(position * (self._step_count + 1)))
        return self.rounded(self.low + position * (self.high - self.low))

    def _after_steps(self, count: int) -> float:
        return self.rounded(self.low + count * (self.step or 1))

    def rounded(self, number: float) -> float:
        """The value of the range that a number stands for."""
        if self.is_integer:
            return min(max(round(number), int(self.low)), int(self.high))
        rounded = float(f"{number:.{SIGNIFICANT_DIGITS}g}")
        return min(max(rounded, float(self.low)), float(self.high))

    def grid(self) -> list[Json] | None:
        """The values in order; None if the range has too many, and neither `points` nor `step` selects some."""
        if self.points is not None:
            return list(dict.fromkeys(self._between(index / (self.points - 1)) for index in range(self.points)))
        if (self.step is None and not self.is_integer) or self._step_count >= MAX_GRID_VALUES:
            return None
        return [self._after_steps(count) for count in range(self._step_count + 1)]

    def _between(self, position: float) -> float:
        """The value at a position from 0, the low end, to 1, the high end."""
        if self.is_log:
            return self.rounded(exp(log(self.low) + position * (log(self.high) - log(self.low))))
        if self.step is not None:
            return self._after_steps(round(position * self._step_count))
        return self.rounded(self.low + position * (self.high - self.low))

    def candidates(self) -> list[Candidate]:
        """Both ends, and some values between them."""
        key = "log_range" if self.is_log else "range"
        ends = [Candidate(self._between(0.0), (key, 0)), Candidate(self._between(1.0), (key, 1))]
        inner = [Candidate(self._between(position), (key,)) for position in INNER_POSITIONS]
        known = {candidate.value for candidate in ends}
        return [*ends, *(candidate for candidate in inner if candidate.value not in known)]


Domain = ChoiceDomain | RangeDomain


@dataclass(frozen=True)
class Dimension:
    """A parameter of a search."""

    name: str
    domain: Domain
    when: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    """The values of other parameters with which this one is set."""

    def is_set_with(self, values: Mapping[str, Json]) -> bool:
        return all(
            name in values and any(equal_values(values[name], allowed) for allowed in choices)
            for name, choices in self.when.items()
        )


def equal_values(one: Json, other: Json) -> bool:
    """Whether two JSON values are equal. (In Python, True equals 1.)"""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@dataclass(frozen=True)
class Space:
    """The parameters of a search, so ordered that a condition comes after the parameters that it names."""

    dimensions: tuple[Dimension, ...]
    names: tuple[str, ...]
    """The names in the order of the spec."""

    @staticmethod
    def of(section: SweepSection) -> Space:
        """The space of a section without errors (see `space_errors`)."""
        dimensions = {name: _dimension(name, entry) for name, entry in section.parameters.items()}
        ordered: dict[str, Dimension] = {}
        while len(ordered) < len(dimensions):
            free = [name for name, item in dimensions.items() if name not in ordered and item.when.keys() <= {*ordered}]
            if not free:
                raise ValueError("the conditions form a cycle")
            ordered |= {name: dimensions[name] for name in free}
        return Space(tuple(ordered.values()), tuple(dimensions))

    def assign(self, choose: Callable[[Dimension], Json]) -> Values:
        """The values that `choose` returns for the parameters whose conditions hold."""
        values: Values = {}
        for dimension in self.dimensions:
            if dimension.is_set_with(values):
                values[dimension.name] = choose(dimension)
        return {name: values[name] for name in self.names if name in values}

    def grid(self, limit: int) -> list[Values]:
        """The first combinations, `limit` at most; the first parameter varies slowest."""
        return [
            {name: values[name] for name in self.names if name in values}
            for values in islice(self._combinations(0, {}), limit)
        ]

    def _combinations(self, index: int, values: Values) -> Iterator[Values]:
        if index == len(self.dimensions):
            yield values
            return
        dimension = self.dimensions[index]
        if not dimension.is_set_with(values):
            yield from self._combinations(index + 1, values)
            return
        for value in dimension.domain.grid() or ():
            yield from self._combinations(index + 1, values | {dimension.name: value})

    def with_conditions(self, dimension: Dimension, value: Json) -> Values:
        """The value of one parameter, and values of others with which its conditions hold."""
        by_name = {item.name: item for item in self.dimensions}
        values: Values = {}
        for name, choices in dimension.when.items():
            values |= self.with_conditions(by_name[name], choices[0])
        return values | {dimension.name: value}


def _dimension(name: str, entry: ParameterSection) -> Dimension:
    interval = entry.range or entry.log_range
    domain: Domain
    if entry.choice is not None or interval is None:
        domain = ChoiceDomain(entry.choice or ())
    else:
        low, high = map(_plain_number, interval)
        step = None if entry.step is None else _plain_number(entry.step)
        domain = RangeDomain(low, high, entry.log_range is not None, step, entry.points)
    conditions = {
        other: tuple(choices) if isinstance(choices, (list, tuple)) else (choices,)
        for other, choices in (entry.when or {}).items()
    }
    return Dimension(name, domain, conditions)


def _plain_number(number: float) -> float:
    return int(number) if isinstance(number, int) else float(number)


# -- errors ------------------------------------------------------------------------------------------------------------


class SpaceError(NamedTuple):
    """An error of the section that its schema cannot express; `path` leads to it within the section."""

    code: str
    path: JsonPath
    message: str
    help: str | None = None
    at_key: bool = False
    is_warning: bool = False


def space_errors(section: SweepSection) -> list[SpaceError]:
    """The errors of the parameters and of their conditions, and of a missing number of trials."""
    errors = [error for name, entry in section.parameters.items() for error in _parameter_errors(section, name, entry)]
    if section.trials is None and section.sampler != "grid":
        help = 'give their number, such as "trials": 50, or search a "grid"'
        errors.append(SpaceError("missing-key", (), f"the sampler {section.sampler!r} needs the key 'trials'", help))
    if not any(not error.is_warning for error in errors):
        errors += _cycle_errors(section) or _grid_errors(section)
    return errors


def _parameter_errors(section: SweepSection, name: str, entry: ParameterSection) -> Iterator[SpaceError]:
    path: JsonPath = ("parameters", name)
    kinds = [key for key in ("choice", "range", "log_range") if getattr(entry, key) is not None]
    if len(kinds) != 1:
        message = f"{name!r} has {' and '.join(map(repr, kinds)) or 'no values'}"
        help = "give one of 'choice', 'range' and 'log_range'"
        yield SpaceError("missing-key" if not kinds else "invalid-value", path, message, help)
        return
    (kind,) = kinds
    for key, allowed in (("step", ("range",)), ("points", ("range", "log_range"))):
        if getattr(entry, key) is not None and kind not in allowed:
            yield SpaceError("unknown-key", (*path, key), f"a {kind!r} has no {key!r}", "remove it", at_key=True)
    if kind != "choice":
        yield from _interval_errors(section, name, entry, (*path, kind))
    yield from _condition_errors(section, name, entry)


def _interval_errors(section: SweepSection, name: str, entry: ParameterSection, path: JsonPath) -> Iterator[SpaceError]:
    low, high = entry.range or entry.log_range or (0.0, 0.0)
    if low >= high:
        yield SpaceError("out-of-range", path, f"the range from {low} to {high} is empty", "give the least value first")
        return
    if entry.log_range is not None and low <= 0:
        yield SpaceError("out-of-range", (*path, 0), f"{low} has no logarithm", "give a number greater than 0")
        return
    domain = _dimension(name, entry).domain
    if isinstance(domain, RangeDomain) and domain.is_integer and high - low == 1 and entry.log_range is None:
        help = f"write [{low}.0, {high}.0] if the numbers between them are meant"
        message = f"the values of {name!r} are the integers {low} and {high} only"
        yield SpaceError("integer-range", path, message, help, is_warning=True)
    if section.sampler == "grid" and domain.grid() is None:
        help = "select some with 'points'" + ("" if entry.log_range else " or 'step'")
        yield SpaceError("missing-key", path[:-1], f"a grid cannot have all values of {name!r}", help)


def _condition_errors(section: SweepSection, name: str, entry: ParameterSection) -> Iterator[SpaceError]:
    for other, choices in (entry.when or {}).items():
        path: JsonPath = ("parameters", name, "when", other)
        target = section.parameters.get(other)
        if target is None or other == name:
            message = f"{other!r} is not {'another' if other == name else 'a'} parameter of the search"
            yield SpaceError("unknown-name", path, message, at_key=True)
            continue
        for choice in choices if isinstance(choices, (list, tuple)) else (choices,):
            if target.choice is not None and not any(equal_values(choice, value) for value in target.choice):
                message = f"{json.dumps(choice)} is not one of the values of {other!r}"
                yield SpaceError("invalid-value", path, message, f"choose from {json.dumps(list(target.choice))}")
        if isinstance(choices, (list, tuple)) and not choices:
            yield SpaceError("out-of-range", path, "the condition has no values")


def _cycle_errors(section: SweepSection) -> list[SpaceError]:
    try:
        Space.of(section)
    except ValueError:
        names = [name for name, entry in section.parameters.items() if entry.when]
        message = f"the conditions of {', '.join(map(repr, names))} refer to each other in a cycle"
        return [SpaceError("cycle", ("parameters",), message, "remove a condition")]
    return []


def _grid_errors(section: SweepSection) -> list[SpaceError]:
    """The error of a grid with more combinations than a search may have trials, if all of them are meant."""
    if section.sampler != "grid" or section.trials is not None:
        return []
    space = Space.of(section)
    most = prod(len(dimension.domain.grid() or ()) for dimension in space.dimensions)  # conditions make them fewer
    if most <= MAX_TRIALS or len(space.grid(MAX_TRIALS + 1)) <= MAX_TRIALS:
        return []
    message = f"the grid has more than {MAX_TRIALS:,} combinations"
    return [SpaceError("too-large", ("parameters",), message, "give 'trials', or take fewer values of each parameter")]
