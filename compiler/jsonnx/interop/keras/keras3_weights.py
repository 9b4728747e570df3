"""Weights in a file of Keras 3, or of 2.12 and later: by the object that owns them, numbered."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ...core.types import Dim
from ..hdf5 import Hdf5Weights
from .entries import WeightOwner
from .layer_names import valid_name
from .weight_paths import duplicate_variable_paths, variable_paths
from .weight_sources import WeightSources

LAYERS_GROUP = "layers"
KERAS_2_12_LAYERS_GROUP = "_layer_checkpoint_dependencies"
"""What Keras 2.12 and 2.13 call the group of a model's layers."""

_RANDOM_STATE_PATH = re.compile(r"(^|/)_?(seed_generator|random_generator)(/|$)")


def find_weights(
    stored: Hdf5Weights,
    owners: Sequence[WeightOwner],
    weights_by_layer: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
    trainable: Collection[str],
) -> WeightSources:
    """The arrays of a numbered file by our names; `weights_by_layer` has those of each layer."""
    found, taken = WeightSources(), set()
    top = layers_group(stored)
    groups = LayerGroups(stored, top, owners)
    for owner in owners:
        names = {name.partition("/")[2]: name for name in weights_by_layer[owner.name]}
        group = groups.group_of(owner)
        for inner, place in variable_paths(owner.class_name, names).items():
            path = next(
                (path for path in candidate_paths(place.object_path, place.number, group) if path in stored.arrays),
                None,
            )
            if path is not None:
                found.arrays[names[inner]] = path, stored.arrays[path]
                taken.add(path)
        taken |= {place.path_in(group) for place in duplicate_variable_paths(owner.class_name, names).values()}
        if not owner.is_used:
            found.unused_paths += (rest := [path for path in array_paths_in(stored, group) if path not in taken])
            taken |= set(rest)
    for path in stored.arrays:
        if path in taken:
            continue
        strange = path.startswith(f"{top}/") and not _RANDOM_STATE_PATH.search(path)
        (found.unexpected_paths if strange else found.ignored_paths).append(path)
    return found


def layers_group(stored: Hdf5Weights) -> str:
    """What the group of a model's layers is called."""
    return (
        LAYERS_GROUP if any(path.startswith(f"{LAYERS_GROUP}/") for path in stored.arrays) else KERAS_2_12_LAYERS_GROUP
    )


def array_paths_in(stored: Hdf5Weights, group: str) -> list[str]:
    """The paths of a group's arrays, but for the states of random generators."""
    return [path for path in stored.arrays if path.startswith(f"{group}/") and not _RANDOM_STATE_PATH.search(path)]


def candidate_paths(object_path: str, index: int, group: str) -> list[str]:
    """Paths by which versions of Keras call a variable: what is public in one is private in another."""
    public = "/".join(part.lstrip("_") for part in object_path.split("/"))
    private = "/".join(f"_{part}" for part in public.split("/"))
    return ["/".join(filter(None, (group, part, "vars", str(index)))) for part in (object_path, public, private)]


class LayerGroups:
    """Finds the group of a layer: by the layer's name where the file has it, else by the order of its class."""

    def __init__(self, stored: Hdf5Weights, root: str, owners: Sequence[WeightOwner]) -> None:
        self.root = root
        self._known_names = {name for owner in owners for name in owner.name_path}
        self._groups_by_name: dict[str, dict[str, str]] = {}
        self._groups_at_any_depth: dict[str, list[str]] = {}
        self._group_names: dict[str, str] = {}
        self._numbered_groups = groups_by_class(stored, root) if root == KERAS_2_12_LAYERS_GROUP else {}
        for path in stored.attributes:
            name, (group, _, last) = stored.text_attribute(path, "name"), path.rpartition("/")
            if last == "vars" and name is not None:
                self._group_names[group] = name
                if group.rpartition("/")[0].rpartition("/")[2] == root:
                    self._groups_at_any_depth.setdefault(name, []).append(group)
                self._groups_by_name.setdefault(group.rpartition("/")[0], {}).setdefault(name, group)
        self._groups_by_qualified_name = {self._qualified_name(group): group for group in self._group_names}

    def _qualified_name(self, group: str) -> str:
        """A layer's name behind those of the models around it, as it is called here where its own is taken."""
        steps = group.split("/")
        around = ("/".join(steps[: end + 2]) for end in range(0, len(steps), 2))
        return "_".join(valid_name(self._group_names.get(each, "")) for each in around)

    def group_of(self, owner: WeightOwner) -> str:
        """The path of an owner's group, also where there is none."""
        at = ""
        for name, stem in zip(owner.name_path, owner.group.split("/")[1::2], strict=True):
            folder = f"{at}{self.root}"
            at = f"{self._find_group(folder, name, stem, len(owner.name_path) == 1)}/"
        return at.removesuffix("/")

    def _find_group(self, folder: str, name: str, stem: str, is_top_level: bool) -> str:
        """A layer's group by name; by count where no layer is called like one of ours, or the group has no name."""
        if self.root == KERAS_2_12_LAYERS_GROUP:
            return self._find_keras_2_12_group(folder, stem)
        named, counted = self._groups_by_name.get(folder, {}), f"{folder}/{stem}"
        if name in named:
            return named[name]
        if is_top_level and name in self._groups_by_qualified_name:
            return self._groups_by_qualified_name[name]
        inside = [
            group
            for group in self._groups_at_any_depth.get(name, [])
            if self._qualified_name(group) not in self._known_names
        ]
        if len(inside) == 1 and is_top_level:  # it is in a model within the file's model
            return inside[0]
        free = counted not in self._group_names or self._known_names.isdisjoint(named)
        return counted if free else f"{folder}/{name}"

    def _find_keras_2_12_group(self, folder: str, stem: str) -> str:
        """The group of a class's so-manieth layer: Keras 2.12 counts a layer that has weights twice."""
        base, number = _split_number(stem)
        there = self._numbered_groups.get(folder, {}).get(base, [])
        return f"{folder}/{there[number]}" if number < len(there) else f"{folder}/{stem}"


def groups_by_class(stored: Hdf5Weights, root: str) -> dict[str, dict[str, list[str]]]:
    """By folder and class, the groups in it that have weights, in the order of their numbers."""
    groups: dict[str, set[str]] = {}
    for path in stored.arrays:
        steps = path.split("/")
        for at in [index for index, step in enumerate(steps) if step == root]:
            groups.setdefault("/".join(steps[: at + 1]), set()).add(steps[at + 1])
    found: dict[str, dict[str, list[str]]] = {}
    for folder, names in groups.items():
        for name in sorted(names, key=_split_number):
            found.setdefault(folder, {}).setdefault(_split_number(name)[0], []).append(name)
    return found


def group_class(group: str) -> str:
    """The class in a group's name."""
    return _split_number(group)[0]


def _split_number(stem: str) -> tuple[str, int]:
    """A group's name as its class and its number."""
    base, _, number = stem.rpartition("_")
    return (base, int(number)) if base and number.isdecimal() and len(number) < 9 else (stem, 0)
