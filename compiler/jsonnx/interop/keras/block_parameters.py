"""What equal runs of layers differ in, as parameters of the block that they become."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps
from math import inf
from typing import Any

from ...core.components import REQUIRED, Json
from ...layers import LAYERS

MOST = 6
"""Parameters of a block; beyond, runs are alike by chance."""

RESERVED = {"type", "name", "from", "repeat", "use", "index", "min", "max", "n"}


@dataclass
class Parameters:
    """The entries of a block, its parameters with their defaults, and what each use gives."""

    specs: list[dict[str, Json]]
    defaults: dict[str, Json] = field(default_factory=dict)
    values: dict[str, list[Json]] = field(default_factory=dict)
    """By parameter, its value in every run."""
    given: dict[str, Json] = field(default_factory=dict)
    """Of one use: what is not the default."""

    def of(self, run: int) -> Parameters:
        """What one of the runs gives."""
        given = {name: values[run] for name, values in self.values.items() if values[run] != self.defaults[name]}
        return Parameters(self.specs, self.defaults, self.values, given)


def with_numbers(made: Parameters | None, numbers: Mapping[str, list[int]]) -> Parameters | None:
    """The same with further parameters before them, for numbers in names; None where they are too many."""
    if made is None or len(made.values) + len(numbers) > MOST:
        return None
    values: dict[str, list[Json]] = {name: [*column] for name, column in numbers.items()}
    defaults = {name: column[0] for name, column in values.items()}
    return Parameters(made.specs, defaults | made.defaults, values | made.values)


def parameters_of(runs: Sequence[Sequence[Mapping[str, Json]]], names: Sequence[str]) -> Parameters | None:
    """The parameters of runs of entries; None where they differ in too much."""
    made = Parameters([])
    varying: list[tuple[int, str, list[Json]]] = []
    for place in range(len(runs[0])):
        specs = [run[place] for run in runs]
        spec: dict[str, Json] = {}
        for key in dict.fromkeys(key for one in specs for key in one):
            values = [one.get(key, default_of(specs[0], key)) for one in specs]
            if any(value is REQUIRED for value in values):
                return None
            if all(dumps(value) == dumps(values[0]) for value in values):
                spec[key] = values[0]
            else:
                spec[key] = None
                varying.append((place, key, values))
        made.specs.append(spec)
    varying.sort(key=lambda item: _size(item[2]))
    for place, key, values in varying:
        made.specs[place][key] = argument(made, key, names[place], values)
    return made if len(made.values) <= MOST else None


def default_of(spec: Mapping[str, Json], key: str) -> Any:
    """What an argument is that is not written; REQUIRED where there is no such thing."""
    brick = LAYERS.names[str(spec["type"])]
    attribute = brick.attributes.get(key)
    if attribute is None or attribute.default is REQUIRED:
        return REQUIRED
    form = brick.forms()[key]
    return form.write(form.read(attribute.default))


def _size(values: Sequence[Json]) -> float:
    """In which order values become parameters: small numbers first, of which others are multiples, lists last."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if len(numbers) == len(values) else inf if isinstance(values[0], list) else 0


def argument(made: Parameters, key: str, name: str, values: list[Json]) -> Json:
    """What stands for an argument that differs: an expression, or a list with expressions where lists differ."""
    if not all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return expression(made, key, name, values)
    columns = [list(column) for column in zip(*values, strict=True)]
    if any(isinstance(item, list) for column in columns for item in column):
        return expression(made, key, name, values)
    return [
        column[0] if all(dumps(item) == dumps(column[0]) for item in column) else expression(made, key, name, column)
        for column in columns
    ]


def expression(made: Parameters, key: str, name: str, values: list[Json]) -> str:
    """The expression for an argument: a parameter that is there, a multiple of one, or a new one."""
    for known, others in made.values.items():
        if dumps(others) == dumps(values):
            return f"${{{known}}}"
        factor = multiple(values, others)
        if factor is not None:
            return f"${{{factor} * {known}}}"
    free = key if key not in made.values and key not in RESERVED else f"{key}_{re.sub('[^A-Za-z0-9_]', '_', name)}"
    made.values[free] = values
    made.defaults[free] = max(Counter(map(dumps, values)).items(), key=lambda item: item[1])[0]
    made.defaults[free] = next(value for value in values if dumps(value) == made.defaults[free])
    return f"${{{free}}}"


def multiple(values: Sequence[Json], others: Sequence[Json]) -> int | None:
    """The integer that the others are multiplied by to give the values."""
    if not all(
        type(value) is int and type(other) is int and other > 0 for value, other in zip(values, others, strict=True)
    ):
        return None
    factor, rest = divmod(int(values[0]), int(others[0]))
    fits = all(value == factor * other for value, other in zip(values, others, strict=True))
    return factor if rest == 0 and factor > 1 and fits else None
