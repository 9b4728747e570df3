"""A file of weights that does not name its layers: which group is whose, as far as that can be told.

tf.keras 2.12 to 2.15, and the first of Keras 3, write a layer's weights under its class and its number among those of
that class, in the order of `model.layers`. In it a layer stands before all that come of its results; of two side by
side it depends on how the model was written down. So a group is told where there is one layer whose turn it may be, or
one that has the group's shapes among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from ...core.components import snake_case
from ...core.types import Dim, Size
from ...frontend.network import Network
from ..hdf5 import Hdf5Weights
from .keras3_weights import (
    KERAS_2_12_LAYERS_GROUP,
    array_paths_in,
    candidate_paths,
    group_class,
    groups_by_class,
    layers_group,
)
from .weight_paths import VariablePath, duplicate_variable_paths, variable_paths


@dataclass
class GroupAssignment:
    """What became of the groups of a file."""

    groups: dict[str, str] = field(default_factory=dict)
    """By layer, its group as `Owner` has it."""
    unassigned_reasons: dict[str, str] = field(default_factory=dict)
    """By layer whose weights cannot be told, why: the end of a sentence."""
    messages: list[str] = field(default_factory=list)
    """The same in whole sentences, one a class of layers."""


def has_unnamed_layers(stored: Hdf5Weights) -> bool:
    """Whether the layers of a numbered file have no names."""
    top = f"{layers_group(stored)}/"
    return not any(
        path.startswith(top) and stored.text_attribute(path, "name") is not None for path in stored.attributes
    )


def assign_groups(
    stored: Hdf5Weights,
    network: Network,
    weights_by_layer: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
) -> GroupAssignment:
    """The groups of a network's layers; `weights_by_layer` has the weights of each."""
    result, top, before = GroupAssignment(), layers_group(stored), ancestor_bits(network)
    there = groups_by_class(stored, top)
    kinds = {call.owner: call.layer.type_name for call in network.calls if call.layer is not None}
    by_stem: dict[str, dict[str, ShapesByPath]] = {}
    for name, kind in kinds.items():
        if weights_by_layer.get(name):
            by_stem.setdefault(snake_case(kind), {})[name] = _shapes_by_path(kind, weights_by_layer[name], shapes)
    for folder in there:
        inside = folder.removesuffix(top).strip("/")
        if inside and group_class(inside.split("/")[1]) not in by_stem:
            result.messages.append(f"{inside!r} in the file is a model within the model, which a spec does not have")
    for stem, layers in by_stem.items():
        groups = there.get(top, {}).get(stem, [])
        numbered = [f"{stem}_{number}" if number else stem for number in range(len(groups))]
        targets = dict(zip(groups, numbered if top == KERAS_2_12_LAYERS_GROUP else groups, strict=True))
        kind = kinds[next(iter(layers))]
        if not groups:
            result.groups |= dict.fromkeys(layers, f"{top}/{stem}")
        elif len(groups) != len(layers):
            count = f"the file has {len(groups)} {kind} layers with weights, the network {len(layers)}"
            result.messages.append(count)
            result.unassigned_reasons |= dict.fromkeys(layers, f"cannot be told: {count}")
        else:
            found = _ClassAssignment(stored, top, layers, before)
            found.assign(groups)
            result.groups |= {name: f"{top}/{targets[group]}" for name, group in found.groups.items()}
            result.unassigned_reasons |= dict.fromkeys(
                layers.keys() - found.groups.keys(), f"cannot be told: {found.message}"
            )
            result.messages += [found.message] if found.message else []
    return result


ShapesByPath = Mapping[VariablePath, Sequence[Dim]]
"""Of a layer's weights, by where they are in its group."""


def _shapes_by_path(kind: str, weights: Sequence[str], shapes: Mapping[str, Sequence[Dim]]) -> ShapesByPath:
    inner = {name.partition("/")[2]: shapes[name] for name in weights}
    twice = {place: inner[name] for name, place in duplicate_variable_paths(kind, list(inner)).items()}
    return {place: inner[name] for name, place in variable_paths(kind, inner).items()} | twice


class LayerBits(NamedTuple):
    """A layer as a bit, and those before it as bits."""

    bit: int
    ancestors: int


@dataclass
class _ClassAssignment:
    """The layers of one class, and the groups that they are given."""

    stored: Hdf5Weights
    root: str
    layers: Mapping[str, ShapesByPath]
    layer_bits: Mapping[str, LayerBits]
    groups: dict[str, str] = field(default_factory=dict)
    message: str = ""

    def assign(self, groups: Sequence[str]) -> None:
        """Gives each layer its group, in the file's order, as long as that is sure.

        A choice by shape is one only if in the end every group has the shapes of its layer.
        """
        left, misfit, by_shape = list(self.layers), "", None
        for group in groups:
            waiting = sum(self.layer_bits[name].bit for name in left)
            ready = [name for name in left if not self.layer_bits[name].ancestors & waiting]
            fitting = [name for name in ready if self.group_has_shapes_of(name, group)]
            if len(fitting) > 1:
                one, other = fitting[:2]
                self.message = f"the weights in {group!r} may be those of {one!r} or of {other!r}, which are alike"
                break
            if len(ready) > 1:
                by_shape = len(self.groups) if by_shape is None else by_shape
            chosen = fitting[0] if fitting else ready[0]
            misfit = misfit or ("" if fitting else group)
            left.remove(chosen)
            self.groups[chosen] = group
        if by_shape is not None and (misfit or self.message):
            self.message = self.message or f"the weights in {misfit!r} have not the shapes of a layer whose turn it is"
            self.groups = dict(list(self.groups.items())[:by_shape])

    def group_has_shapes_of(self, name: str, group: str) -> bool:
        """Whether the arrays of a group are as many, and have the shapes, as the weights of a layer."""
        path, wanted = f"{self.root}/{group}", self.layers[name]
        paths = {
            place: next((one for one in candidate_paths(*place, path) if one in self.stored.arrays), None)
            for place in wanted
        }
        if None in paths.values() or len(array_paths_in(self.stored, path)) != len(wanted):
            return False
        return all(
            _shape_matches(self.stored.arrays[path].shape, wanted[place]) for place, path in paths.items() if path
        )


def _shape_matches(shape: Sequence[int], expected: Sequence[Dim]) -> bool:
    return len(shape) == len(expected) and all(
        isinstance(size, Size) or size == given for given, size in zip(shape, expected, strict=True)
    )


def ancestor_bits(network: Network) -> dict[str, LayerBits]:
    """By layer, those that are before each of its calls: that come before it in whichever order Keras had."""
    own = {name: 1 << place for place, name in enumerate(dict.fromkeys(call.owner for call in network.calls))}
    of_value = dict.fromkeys(network.inputs, 0)
    found: dict[str, int] = {}
    for call in network.calls:
        above = reduce(or_, (of_value[source] for source in call.sources))
        found[call.owner] = found.get(call.owner, above) & above
        of_value |= dict.fromkeys(call.results, above | own[call.owner])
    return {name: LayerBits(own[name], above & ~own[name]) for name, above in found.items()}
