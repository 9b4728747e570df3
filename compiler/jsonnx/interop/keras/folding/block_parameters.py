"""Finds the parameters of a block that replaces several runs of layers with different arguments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps
from math import inf
from typing import Any

from ....core.components import REQUIRED, Json
from ....frontend.expansion.expressions import RESERVED_NAMES as RESERVED_IN_EXPRESSIONS
from ....frontend.schema.schema import ENTRY_KEYS
from ....layers import LAYERS

MAX_PARAMETERS = 6
"""Parameters of a block; runs that differ in more arguments are similar only by chance."""

RESERVED_NAMES = {*ENTRY_KEYS, *RESERVED_IN_EXPRESSIONS, "n"}
"""Keys of entries and names in expressions, which no parameter may have."""


@dataclass
class BlockParameters:
    """The entries of a block, its parameters with their defaults, and the arguments of its uses."""

    specs: list[dict[str, Json]]
    defaults: dict[str, Json] = field(default_factory=dict)
    values: dict[str, list[Json]] = field(default_factory=dict)
    """By parameter: its value in each run."""
    arguments: dict[str, Json] = field(default_factory=dict)
    """The arguments of one use that differ from the defaults."""

    def for_run(self, run_index: int) -> BlockParameters:
        """The parameters with the arguments of one run."""
        values = {name: column[run_index] for name, column in self.values.items()}
        arguments = {name: value for name, value in values.items() if value != self.defaults[name]}
        return BlockParameters(self.specs, self.defaults, self.values, arguments)


def with_name_numbers(parameters: BlockParameters | None, numbers: Mapping[str, list[int]]) -> BlockParameters | None:
    """Prepends parameters for the numbers in layer names; None if there are too many parameters."""
    if parameters is None or len(parameters.values) + len(numbers) > MAX_PARAMETERS:
        return None
    values: dict[str, list[Json]] = {name: [*column] for name, column in numbers.items()}
    defaults = {name: column[0] for name, column in values.items()}
    return BlockParameters(parameters.specs, defaults | parameters.defaults, values | parameters.values)


def find_parameters(runs: Sequence[Sequence[Mapping[str, Json]]], names: Sequence[str]) -> BlockParameters | None:
    """The parameters of runs of entries; None if the runs differ in too many arguments."""
    parameters = BlockParameters([])
    varying: list[tuple[int, str, list[Json]]] = []
    for index in range(len(runs[0])):
        run_specs = [run[index] for run in runs]
        block_spec: dict[str, Json] = {}
        for key in dict.fromkeys(key for spec in run_specs for key in spec):
            values = [spec.get(key, default_value(run_specs[0], key)) for spec in run_specs]
            if any(value is REQUIRED for value in values):
                return None
            is_constant = all(dumps(value) == dumps(values[0]) for value in values)
            block_spec[key] = values[0] if is_constant else None
            if not is_constant:
                varying.append((index, key, values))
        parameters.specs.append(block_spec)
    varying.sort(key=lambda item: _sort_key(item[2]))
    for index, key, values in varying:
        parameters.specs[index][key] = argument_value(parameters, key, names[index], values)
    return parameters if len(parameters.values) <= MAX_PARAMETERS else None


def default_value(spec: Mapping[str, Json], key: str) -> Any:
    """The JSON of an argument's default; REQUIRED if it has none."""
    layer_class = LAYERS.by_name[str(spec["type"])]
    attribute = layer_class.attributes.get(key)
    if attribute is None or attribute.default is REQUIRED:
        return REQUIRED
    codec = layer_class.codecs()[key]
    return codec.write(codec.read(attribute.default))


def _sort_key(values: Sequence[Json]) -> float:
    """The sort key by which values become parameters: small numbers, then their multiples, and lists last."""
    numbers = [value for value in values if isinstance(value, (int, float))]
    return sum(numbers) if len(numbers) == len(values) else inf if isinstance(values[0], list) else 0


def argument_value(parameters: BlockParameters, key: str, name: str, values: list[Json]) -> Json:
    """An expression for a varying argument, or a list with expressions for the varying items of lists."""
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
    """The expression for an argument: an existing parameter, a multiple of one, or a new parameter."""
    for parameter, others in parameters.values.items():
        if dumps(others) == dumps(values):
            return f"${{{parameter}}}"
        factor = common_factor(values, others)
        if factor is not None:
            return f"${{{factor} * {parameter}}}"
    is_free = key not in parameters.values and key not in RESERVED_NAMES
    parameter = key if is_free else f"{key}_{re.sub('[^A-Za-z0-9_]', '_', name)}"
    most_frequent = max(Counter(map(dumps, values)).items(), key=lambda item: item[1])[0]
    parameters.values[parameter] = values
    parameters.defaults[parameter] = next(value for value in values if dumps(value) == most_frequent)
    return f"${{{parameter}}}"


def common_factor(values: Sequence[Json], others: Sequence[Json]) -> int | None:
    """The integer f > 1 with `values[i] == f * others[i]`; None if there is none."""
    pairs = list(zip(values, others, strict=True))
    if not all(type(value) is int and type(other) is int and other > 0 for value, other in pairs):
        return None
    factor = int(values[0]) // int(others[0])
    return factor if factor > 1 and all(value == factor * other for value, other in pairs) else None
