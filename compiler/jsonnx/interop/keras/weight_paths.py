"""Where a weight stands in a Keras 3 file: the one table, read by the import and by the export.

A Keras 3 weights file has a group for each object that owns variables, named by the attribute of its owner that holds
it, and in its group `vars` the variables by number: `layers/lstm/cell/vars/0`. Our weights bear Keras' paths instead:
`lstm/lstm_cell/kernel`. The two tell the same tree; only the words for what is inside a layer differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ...core.components import snake_case

AttributeOfPart = Callable[[str], str]


def _fixed_attribute(attribute: str) -> AttributeOfPart:
    return lambda part: attribute


_CELL = _fixed_attribute("cell")
_LAYER = _fixed_attribute("layer")

PART_ATTRIBUTES: Mapping[str, AttributeOfPart] = {
    **dict.fromkeys(("rnn", "simple_rnn", "lstm", "gru", "conv_lstm1d", "conv_lstm2d", "conv_lstm3d"), _CELL),
    "stacked_rnn_cells": lambda part: f"cells/{part}",
    "bidirectional": lambda part: f"{part.partition('_')[0]}_layer",
    "time_distributed": _LAYER,
    "spectral_normalization": _LAYER,
    "multi_head_attention": lambda part: "_gate_dense" if part == "gate" else f"{part.split('_')[-1]}_dense",
    **dict.fromkeys(("group_query_attention", "grouped_query_attention"), lambda part: f"_{part.split('_')[-1]}_dense"),
    "pipeline": lambda part: f"layers/{part}",
}
"""By the type of a layer, in snake case: under which attribute Keras keeps the part that our names call so."""

SPECTRAL_NORMALIZATION = "spectral_normalization"
"""Keeps its inner layer's first weight among its own variables as well, before `vector_u`."""


class VariablePath(NamedTuple):
    """A variable of a layer: the path of the object that owns it, from the layer's group on, and its number there."""

    object_path: str
    number: int

    def path_in(self, group: str) -> str:
        """The full path of the data set, given the layer's group."""
        return "/".join(part for part in (group, self.object_path, "vars", str(self.number)) if part)


def variable_paths(type_name: str, names: Iterable[str]) -> dict[str, VariablePath]:
    """The place of each weight of a layer, which are given by name without the layer's, in the graph's order:
    parameters, then states.

    `variable_paths("LSTM", ["lstm_cell/kernel"])` is `{"lstm_cell/kernel": Place("cell", 0)}`.
    """
    first = snake_case(type_name)
    count: dict[str, int] = {"": 1} if first == SPECTRAL_NORMALIZATION else {}
    found = {}
    for name in names:
        owner = _object_path(first, name.split("/")[:-1])
        count[owner] = count.get(owner, 0) + 1
        found[name] = VariablePath(owner, count[owner] - 1)
    return found


def duplicate_variable_paths(type_name: str, names: Iterable[str]) -> dict[str, VariablePath]:
    """What a file holds a second time: the same weights under a second place. An import need not read them."""
    inner = [name for name in names if "/" in name]
    return {inner[0]: VariablePath("", 0)} if snake_case(type_name) == SPECTRAL_NORMALIZATION and inner else {}


def _object_path(layer_type: str, parts: list[str]) -> str:
    steps = []
    for part in parts:
        steps.append(PART_ATTRIBUTES[layer_type](part) if layer_type in PART_ATTRIBUTES else part)
        layer_type = _part_type(layer_type, part)
    return "/".join(steps)


def _part_type(outer_type: str, part: str) -> str:
    """The type of a part by its name: that of the two ways of a Bidirectional layer, or of the second of two cells."""
    if outer_type == "bidirectional":
        part = part.partition("_")[2]
    return part if part in PART_ATTRIBUTES else part.rstrip("0123456789").rstrip("_")


def group_names(classes: Iterable[str]) -> list[str]:
    """The groups of a list of objects, by their classes: `dense`, `dense_1`, `conv2d`."""
    seen: dict[str, int] = {}
    names = []
    for name in map(snake_case, classes):
        seen[name] = seen.get(name, -1) + 1
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
    return names
