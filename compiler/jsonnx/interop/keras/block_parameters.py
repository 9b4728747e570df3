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

MAX_PARAMETERS = 6
"""Parameters of a block; beyond, runs are alike by chance."""

RESERVED_NAMES = {"type", "name", "from", "repeat", "use", "index", "min", "max", "n"}


@dataclass
class BlockParameters:
    """The entries of a block, its parameters with their defaults, and what each use gives."""

    specs: list[dict[str, Json]]
    defaults: dict[str, Json] = field(default_factory=dict)
    values: dict[str, list[Json]] = field(default_factory=dict)
    """By parameter, its value in every run."""
    arguments: dict[str, Json] = field(default_factory=dict)
    """Of one use: what is not the default."""

    def for_run(self, run_index: int) -> BlockParameters:
        """What one of the runs gives."""
        given = {
            name: values[run_index] for name, values in self.values.items() if values[run_index] != self.defaults[name]
        }
        return BlockParameters(self.specs, self.defaults, self.values, given)


def with_name_numbers(parameters: BlockParameters | None, numbers: Mapping[str, list[int]]) -> BlockParameters | None:
    """The same with further parameters before them, for numbers in names; None where they are too many."""
    if parameters is None or len(parameters.values) + len(numbers) > MAX_PARAMETERS:
        return None
    values: dict[str, list[Json]] = {name: [*column] for name, column in numbers.items()}
    defaults = {name: column[0] for name, column in values.items()}
    return BlockParameters(parameters.specs, defaults | parameters.defaults, values | parameters.values)


def find_parameters(runs: Sequence[Sequence[Mapping[str, Json]]], names: Sequence[str]) -> BlockParameters | None:
    """The parameters of runs of entries; None where they differ in too much."""
    made = BlockParameters([])
    varying: list[tuple[int, str, list[Json]]] = []
    for place in range(len(runs[0])):
        specs = [run[place] for run in runs]
        spec: dict[str, Json] = {}
        for key in dict.fromkeys(key for one in specs for key in one):
            values = [one.get(key, default_value(specs[0], key)) for one in specs]
            if any(value is REQUIRED for value in values):
                return None
            if all(dumps(value) == dumps(values[0]) for value in values):
                spec[key] = values[0]
            else:
                spec[key] = None
                varying.append((place, key, values))
        made.specs.append(spec)
    varying.sort(key=lambda item: _sort_key(item[2]))
    for place, key, values in varying:
        made.specs[place][key] = argument_value(made, key, names[place], values)
    return made if len(made.values) <= MAX_PARAMETERS else None


def default_value(spec: Mapping[str, Json], key: str) -> Any:
    """What an argument is that is not written; REQUIRED where there is no such thing."""
    brick = LAYERS.by_name[str(spec["type"])]
    attribute = brick.attributes.get(key)
    if attribute is None or attribute.default is REQUIRED:
        return REQUIRED
    form = brick.codecs()[key]
    return form.write(form.read(attribute.default))


def _sort_key(values: Sequence[Json]) -> float:
    """In which order values become parameters: small numbers first, of which others are multiples, lists last."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if len(numbers) == len(values) else inf if isinstance(values[0], list) else 0


def argument_value(parameters: BlockParameters, key: str, name: str, values: list[Json]) -> Json:
    """What stands for an argument that differs: an expression, or a list with expressions where lists differ."""
    if not all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        return parameter_expression(parameters, key, name, values)
    columns = [list(column) for column in zip(*values, strict=True)]
    if any(isinstance(item, list) for column in columns for item in column):
        return parameter_expression(parameters, key, name, values)
    return [
        column[0]
        if all(dumps(item) == dumps(column[0]) for item in column)
        else parameter_expression(parameters, key, name, column)
        for column in columns
    ]


def parameter_expression(parameters: BlockParameters, key: str, name: str, values: list[Json]) -> str:
    """The expression for an argument: a parameter that is there, a multiple of one, or a new one."""
    for known, others in parameters.values.items():
        if dumps(others) == dumps(values):
            return f"${{{known}}}"
        factor = common_factor(values, others)
        if factor is not None:
            return f"${{{factor} * {known}}}"
    free = (
        key
        if key not in parameters.values and key not in RESERVED_NAMES
        else f"{key}_{re.sub('[^A-Za-z0-9_]', '_', name)}"
    )
    parameters.values[free] = values
    parameters.defaults[free] = max(Counter(map(dumps, values)).items(), key=lambda item: item[1])[0]
    parameters.defaults[free] = next(value for value in values if dumps(value) == parameters.defaults[free])
    return f"${{{free}}}"


def common_factor(values: Sequence[Json], others: Sequence[Json]) -> int | None:
    """The integer that the others are multiplied by to give the values."""
    if not all(
        type(value) is int and type(other) is int and other > 0 for value, other in zip(values, others, strict=True)
    ):
        return None
    factor, rest = divmod(int(values[0]), int(others[0]))
    fits = all(value == factor * other for value, other in zip(values, others, strict=True))
    return factor if rest == 0 and factor > 1 and fits else None
