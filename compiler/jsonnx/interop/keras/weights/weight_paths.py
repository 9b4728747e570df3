"""The paths of weights in a Keras 3 weights file, for import and export.

A weights file has a group for each object with variables, named by the attribute of its owner, and the variables by
number in the subgroup `vars`: `layers/lstm/cell/vars/0`. The names of our weights follow Keras' variable names instead:
`lstm/lstm_cell/kernel`. Both describe the same tree with different names inside a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ....core.components import snake_case

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
"""By layer type in snake case: maps a part in our weight names to the attribute of the layer that holds it in Keras."""

SPECTRAL_NORMALIZATION = "spectral_normalization"
"""Stores the inner layer's first weight among its own variables as well, before `vector_u`."""


class VariablePath(NamedTuple):
    """A variable of a layer: the path of the object that owns it, relative to the layer's group, and its number."""

    object_path: str
    number: int

    def path_in(self, group: str) -> str:
        """The full path of the array, given the layer's group."""
        return "/".join(part for part in (group, self.object_path, "vars", str(self.number)) if part)


def variable_paths(type_name: str, names: Iterable[str]) -> dict[str, VariablePath]:
    """The path of each weight of a layer.

    `names` omit the layer's name and are in the graph's order: parameters, then states.
    `variable_paths("LSTM", ["lstm_cell/kernel"])` is `{"lstm_cell/kernel": VariablePath("cell", 0)}`.
    """
    layer_type = snake_case(type_name)
    counts: dict[str, int] = {"": 1} if layer_type == SPECTRAL_NORMALIZATION else {}
    paths = {}
    for name in names:
        object_path = _object_path(layer_type, name.split("/")[:-1])
        number = counts.get(object_path, 0)
        paths[name] = VariablePath(object_path, number)
        counts[object_path] = number + 1
    return paths


def duplicate_variable_paths(type_name: str, names: Iterable[str]) -> dict[str, VariablePath]:
    """The second paths of weights that a file contains twice. An import need not read them."""
    inner_names = [name for name in names if "/" in name]
    has_duplicate = snake_case(type_name) == SPECTRAL_NORMALIZATION and inner_names
    return {inner_names[0]: VariablePath("", 0)} if has_duplicate else {}


def _object_path(layer_type: str, parts: list[str]) -> str:
    steps = []
    for part in parts:
        steps.append(PART_ATTRIBUTES[layer_type](part) if layer_type in PART_ATTRIBUTES else part)
        layer_type = _part_type(layer_type, part)
    return "/".join(steps)


def _part_type(outer_type: str, part: str) -> str:
    """The type of a part from its name, without the direction in Bidirectional and without its number."""
    if outer_type == "bidirectional":
        part = part.partition("_")[2]
    return part if part in PART_ATTRIBUTES else part.rstrip("0123456789").rstrip("_")


def group_names(classes: Iterable[str]) -> list[str]:
    """The names that Keras derives from classes, numbered by class: `dense`, `dense_1`, `conv2d`."""
    counts: dict[str, int] = {}
    names = []
    for stem in map(snake_case, classes):
        number = counts.get(stem, 0)
        names.append(f"{stem}_{number}" if number else stem)
        counts[stem] = number + 1
    return names
