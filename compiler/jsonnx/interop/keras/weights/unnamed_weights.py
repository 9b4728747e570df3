"""Assigns the groups of a weights file without layer names to layers, where the assignment is unique.

tf.keras 2.12 to 2.15 and the first versions of Keras 3 store a layer's weights under its class and its number among the
layers of that class, in the order of `model.layers`. That order is topological; the order of parallel branches depends
on the code that built the model. So a group is assigned if only one layer can be next in the order, or if only one of
the layers that can be next has weights of the group's shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from ....core.components import snake_case
from ....core.types import Dim, Size
from ....frontend.network import Network
from ...hdf5 import Hdf5Weights
from .keras3_weights import (
    KERAS_2_12_LAYERS_GROUP,
    array_paths_in,
    candidate_paths,
    group_class,
    groups_by_class,
    layers_group,
)
from .weight_paths import VariablePath, duplicate_variable_paths, group_names, variable_paths


@dataclass
class GroupAssignment:
    """The assignment of groups to layers."""

    groups: dict[str, str] = field(default_factory=dict)
    """By layer: its group, as in `WeightOwner.group`."""
    unassigned_reasons: dict[str, str] = field(default_factory=dict)
    """By layer without a group: the reason, as the end of a sentence."""
    messages: list[str] = field(default_factory=list)
    """The reasons as whole clauses, one per class of layers."""


def has_unnamed_layers(stored: Hdf5Weights) -> bool:
    """Whether a file of numbered variables lacks the names of the layers."""
    prefix = f"{layers_group(stored)}/"
    paths = (path for path in stored.attributes if path.startswith(prefix))
    return all(stored.text_attribute(path, "name") is None for path in paths)


def assign_groups(
    stored: Hdf5Weights,
    network: Network,
    weights_by_layer: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
) -> GroupAssignment:
    """Assigns groups to a network's layers; `weights_by_layer` has the names of each layer's weights."""
    result, root, layer_bits = GroupAssignment(), layers_group(stored), ancestor_bits(network)
    groups_by_folder = groups_by_class(stored, root)
    kinds = {call.owner: call.layer.type_name for call in network.calls if call.layer is not None}
    by_stem: dict[str, dict[str, ShapesByPath]] = {}
    for name, kind in kinds.items():
        if weights_by_layer.get(name):
            by_stem.setdefault(snake_case(kind), {})[name] = _shapes_by_path(kind, weights_by_layer[name], shapes)
    for folder in groups_by_folder:
        model_group = folder.removesuffix(root).strip("/")
        if model_group and group_class(model_group.split("/")[1]) not in by_stem:
            result.messages.append(f"{model_group!r} in the file is a nested model, which a spec does not have")
    for stem, layers in by_stem.items():
        groups = groups_by_folder.get(root, {}).get(stem, [])
        if not groups:
            result.groups |= dict.fromkeys(layers, f"{root}/{stem}")
            continue
        assignment = _ClassAssignment(stored, root, layers, layer_bits)
        if len(groups) == len(layers):
            assignment.assign(groups)
        else:
            kind = kinds[next(iter(layers))]
            counts = f"{len(groups)} {kind} layers with weights, the network {len(layers)}"
            assignment.message = f"the file has {counts}"
        numbered = group_names([stem] * len(groups)) if root == KERAS_2_12_LAYERS_GROUP else groups
        target_names = dict(zip(groups, numbered, strict=True))
        result.groups |= {name: f"{root}/{target_names[group]}" for name, group in assignment.groups.items()}
        reason = f"cannot be identified: {assignment.message}"
        result.unassigned_reasons |= {name: reason for name in layers if name not in assignment.groups}
        result.messages += [assignment.message] if assignment.message else []
    return result


ShapesByPath = Mapping[VariablePath, Sequence[Dim]]
"""The shapes of a layer's weights, by path in its group."""


def _shapes_by_path(kind: str, weights: Sequence[str], shapes: Mapping[str, Sequence[Dim]]) -> ShapesByPath:
    inner_shapes = {name.partition("/")[2]: shapes[name] for name in weights}
    paths = [*variable_paths(kind, inner_shapes).items()]
    paths += duplicate_variable_paths(kind, list(inner_shapes)).items()
    return {path: inner_shapes[name] for name, path in paths}


class LayerBits(NamedTuple):
    """A layer and its ancestors as bits of an integer."""

    bit: int
    ancestors: int


@dataclass
class _ClassAssignment:
    """Assigns groups to the layers of one class."""

    stored: Hdf5Weights
    root: str
    layers: Mapping[str, ShapesByPath]
    layer_bits: Mapping[str, LayerBits]
    groups: dict[str, str] = field(default_factory=dict)
    message: str = ""
    """Why some layers have no group."""

    def assign(self, groups: Sequence[str]) -> None:
        """Assigns groups in the file's order, until two layers are possible.

        If a group does not fit its layer, the assignments from the first choice by shape on are withdrawn.
        """
        remaining, misfit, certain_count = list(self.layers), "", None
        for group in groups:
            remaining_bits = sum(self.layer_bits[name].bit for name in remaining)
            ready = [name for name in remaining if not self.layer_bits[name].ancestors & remaining_bits]
            fitting = [name for name in ready if self.group_has_shapes_of(name, group)]
            if len(fitting) > 1:
                first, second = fitting[:2]
                layers = f"{first!r} or to {second!r}, which have the same shapes"
                self.message = f"the weights in {group!r} may belong to {layers}"
                break
            if len(ready) > 1 and certain_count is None:
                certain_count = len(self.groups)
            chosen = fitting[0] if fitting else ready[0]
            misfit = misfit or ("" if fitting else group)
            remaining.remove(chosen)
            self.groups[chosen] = group
        if certain_count is not None and (misfit or self.message):
            self.message = self.message or f"the shapes of the weights in {misfit!r} fit no layer that can be next"
            self.groups = dict(list(self.groups.items())[:certain_count])

    def group_has_shapes_of(self, name: str, group: str) -> bool:
        """Whether the arrays of a group have the number and shapes of a layer's weights."""
        group_path, expected_shapes = f"{self.root}/{group}", self.layers[name]
        if len(array_paths_in(self.stored, group_path)) != len(expected_shapes):
            return False
        for variable, shape in expected_shapes.items():
            paths = (path for path in candidate_paths(*variable, group_path) if path in self.stored.arrays)
            path = next(paths, None)
            if path is None or not _shape_matches(self.stored.arrays[path].shape, shape):
                return False
        return True


def _shape_matches(shape: Sequence[int], expected: Sequence[Dim]) -> bool:
    return len(shape) == len(expected) and all(
        isinstance(size, Size) or size == actual for actual, size in zip(shape, expected, strict=True)
    )


def ancestor_bits(network: Network) -> dict[str, LayerBits]:
    """For each layer the common ancestors of its calls: these precede it in every order that Keras may use."""
    bits = {name: 1 << index for index, name in enumerate(dict.fromkeys(call.owner for call in network.calls))}
    bits_of_tensor = dict.fromkeys(network.inputs, 0)
    common: dict[str, int] = {}
    for call in network.calls:
        ancestors = reduce(or_, (bits_of_tensor[source] for source in call.sources))
        common[call.owner] = common.get(call.owner, ancestors) & ancestors
        bits_of_tensor |= dict.fromkeys(call.results, ancestors | bits[call.owner])
    return {name: LayerBits(bits[name], ancestors & ~bits[name]) for name, ancestors in common.items()}
