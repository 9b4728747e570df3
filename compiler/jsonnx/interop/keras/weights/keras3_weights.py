"""Finds weights in files of Keras 3 and of 2.12 and later, where each object has a group of numbered variables."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ....core.types import Dim
from ...hdf5 import Hdf5Weights
from ..translation.entries import WeightOwner
from ..translation.layer_names import valid_name
from .weight_paths import duplicate_variable_paths, variable_paths
from .weight_sources import WeightSources

LAYERS_GROUP = "layers"
KERAS_2_12_LAYERS_GROUP = "_layer_checkpoint_dependencies"
"""The group of a model's layers in files of Keras 2.12 and 2.13."""

_RANDOM_STATE_PATH = re.compile(r"(^|/)_?(seed_generator|random_generator)(/|$)")


def find_weights(
    stored: Hdf5Weights,
    owners: Sequence[WeightOwner],
    weights_by_layer: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
    trainable: Collection[str],
) -> WeightSources:
    """Finds the array of each weight; `weights_by_layer` has the names of each layer's weights."""
    sources, used_paths = WeightSources(), set()
    root = layers_group(stored)
    groups = LayerGroups(stored, root, owners)
    for owner in owners:
        names = {name.partition("/")[2]: name for name in weights_by_layer[owner.name]}
        group = groups.group_of(owner)
        for inner_name, variable in variable_paths(owner.class_name, names).items():
            candidates = candidate_paths(variable.object_path, variable.number, group)
            path = next((path for path in candidates if path in stored.arrays), None)
            if path is not None:
                sources.arrays[names[inner_name]] = path, stored.arrays[path]
                used_paths.add(path)
        duplicates = duplicate_variable_paths(owner.class_name, names)
        used_paths |= {variable.path_in(group) for variable in duplicates.values()}
        if not owner.is_used:
            remaining = [path for path in array_paths_in(stored, group) if path not in used_paths]
            sources.unused_paths += remaining
            used_paths |= set(remaining)
    for path in stored.arrays:
        if path not in used_paths:
            is_unexpected = path.startswith(f"{root}/") and not _RANDOM_STATE_PATH.search(path)
            (sources.unexpected_paths if is_unexpected else sources.ignored_paths).append(path)
    return sources


def layers_group(stored: Hdf5Weights) -> str:
    """The name of the group of a model's layers."""
    is_keras3 = any(path.startswith(f"{LAYERS_GROUP}/") for path in stored.arrays)
    return LAYERS_GROUP if is_keras3 else KERAS_2_12_LAYERS_GROUP


def array_paths_in(stored: Hdf5Weights, group: str) -> list[str]:
    """The paths of a group's arrays, without the states of random generators."""
    return [path for path in stored.arrays if path.startswith(f"{group}/") and not _RANDOM_STATE_PATH.search(path)]


def candidate_paths(object_path: str, index: int, group: str) -> list[str]:
    """The possible paths of a variable: versions of Keras differ in which attributes begin with `_`."""
    public = "/".join(part.lstrip("_") for part in object_path.split("/"))
    private = "/".join(f"_{part}" for part in public.split("/"))
    return ["/".join(filter(None, (group, part, "vars", str(index)))) for part in (object_path, public, private)]


class LayerGroups:
    """Finds the group of a layer: by the layer's name if the file has it, or else by class and number."""

    def __init__(self, stored: Hdf5Weights, root: str, owners: Sequence[WeightOwner]) -> None:
        self.root = root
        self._known_names = {name for owner in owners for name in owner.name_path}
        self._groups_by_name: dict[str, dict[str, str]] = {}
        self._groups_at_any_depth: dict[str, list[str]] = {}
        self._group_names: dict[str, str] = {}
        self._numbered_groups = groups_by_class(stored, root) if root == KERAS_2_12_LAYERS_GROUP else {}
        for path in stored.attributes:
            name, (group, _, last_step) = stored.text_attribute(path, "name"), path.rpartition("/")
            if last_step == "vars" and name is not None:
                self._group_names[group] = name
                if group.rpartition("/")[0].rpartition("/")[2] == root:
                    self._groups_at_any_depth.setdefault(name, []).append(group)
                self._groups_by_name.setdefault(group.rpartition("/")[0], {}).setdefault(name, group)
        self._groups_by_qualified_name = {self._qualified_name(group): group for group in self._group_names}

    def _qualified_name(self, group: str) -> str:
        """A layer's name prefixed by the names of the enclosing models, as the import names ambiguous
        layers."""
        steps = group.split("/")
        enclosing = ("/".join(steps[: end + 2]) for end in range(0, len(steps), 2))
        return "_".join(valid_name(self._group_names.get(path, "")) for path in enclosing)

    def group_of(self, owner: WeightOwner) -> str:
        """The path of an owner's group, which may not exist."""
        prefix = ""
        for name, stem in zip(owner.name_path, owner.group.split("/")[1::2], strict=True):
            folder = f"{prefix}{self.root}"
            prefix = f"{self._find_group(folder, name, stem, len(owner.name_path) == 1)}/"
        return prefix.removesuffix("/")

    def _find_group(self, folder: str, name: str, stem: str, is_top_level: bool) -> str:
        """Finds a layer's group by name; by number if the group has no name, or no group has the name of an owner."""
        if self.root == KERAS_2_12_LAYERS_GROUP:
            return self._find_keras_2_12_group(folder, stem)
        by_name, numbered = self._groups_by_name.get(folder, {}), f"{folder}/{stem}"
        if name in by_name:
            return by_name[name]
        if is_top_level and name in self._groups_by_qualified_name:
            return self._groups_by_qualified_name[name]
        groups = self._groups_at_any_depth.get(name, [])
        nested = [group for group in groups if self._qualified_name(group) not in self._known_names]
        if len(nested) == 1 and is_top_level:  # the layer is in a nested model of the file
            return nested[0]
        is_numbered = numbered not in self._group_names or self._known_names.isdisjoint(by_name)
        return numbered if is_numbered else f"{folder}/{name}"

    def _find_keras_2_12_group(self, folder: str, stem: str) -> str:
        """Finds the group by rank among the groups of the class: Keras 2.12 counts each layer with weights twice."""
        base, number = _split_number(stem)
        groups = self._numbered_groups.get(folder, {}).get(base, [])
        return f"{folder}/{groups[number]}" if number < len(groups) else f"{folder}/{stem}"


def groups_by_class(stored: Hdf5Weights, root: str) -> dict[str, dict[str, list[str]]]:
    """By folder and class the groups that contain weights, ordered by number."""
    groups: dict[str, set[str]] = {}
    for path in stored.arrays:
        steps = path.split("/")
        for index in [index for index, step in enumerate(steps) if step == root]:
            groups.setdefault("/".join(steps[: index + 1]), set()).add(steps[index + 1])
    by_class: dict[str, dict[str, list[str]]] = {}
    for folder, names in groups.items():
        for name in sorted(names, key=_split_number):
            by_class.setdefault(folder, {}).setdefault(group_class(name), []).append(name)
    return by_class


def group_class(group: str) -> str:
    """The class part of a group's name: `dense` for `dense_1`."""
    return _split_number(group)[0]


def _split_number(stem: str) -> tuple[str, int]:
    """Splits a group's name into class and number."""
    base, _, number = stem.rpartition("_")
    return (base, int(number)) if base and number.isdecimal() and len(number) < 9 else (stem, 0)
