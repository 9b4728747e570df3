"""Weights in a file of Keras 3, or of 2.12 and later: by the object that owns them, numbered."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ...core.types import Dim
from ..hdf5 import Stored
from .entries import Owner
from .layer_names import valid
from .weight_paths import doubles, places
from .weight_sources import Found

LAYERS = "layers"
OLD_LAYERS = "_layer_checkpoint_dependencies"
"""What Keras 2.12 and 2.13 call the group of a model's layers."""

_RANDOM = re.compile(r"(^|/)_?(seed_generator|random_generator)(/|$)")


def find(
    stored: Stored,
    owners: Sequence[Owner],
    own: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
    trainable: Collection[str],
) -> Found:
    """The arrays of a numbered file by our names; `own` has those of each layer."""
    found, taken = Found(), set()
    top = top_of(stored)
    groups = Groups(stored, top, owners)
    for owner in owners:
        names = {name.partition("/")[2]: name for name in own[owner.name]}
        group = groups.of(owner)
        for inner, place in places(owner.kind, names).items():
            path = next((path for path in spellings(place.owner, place.number, group) if path in stored.arrays), None)
            if path is not None:
                found.arrays[names[inner]] = path, stored.arrays[path]
                taken.add(path)
        taken |= {place.under(group) for place in doubles(owner.kind, names).values()}
        if not owner.used:
            found.unused += (rest := [path for path in arrays_below(stored, group) if path not in taken])
            taken |= set(rest)
    for path in stored.arrays:
        if path in taken:
            continue
        strange = path.startswith(f"{top}/") and not _RANDOM.search(path)
        (found.extra if strange else found.dropped).append(path)
    return found


def top_of(stored: Stored) -> str:
    """What the group of a model's layers is called."""
    return LAYERS if any(path.startswith(f"{LAYERS}/") for path in stored.arrays) else OLD_LAYERS


def arrays_below(stored: Stored, group: str) -> list[str]:
    """The paths of a group's arrays, but for the states of random generators."""
    return [path for path in stored.arrays if path.startswith(f"{group}/") and not _RANDOM.search(path)]


def spellings(owner: str, number: int, group: str) -> list[str]:
    """Paths by which versions of Keras call a variable: what is public in one is private in another."""
    public = "/".join(part.lstrip("_") for part in owner.split("/"))
    private = "/".join(f"_{part}" for part in public.split("/"))
    return ["/".join(filter(None, (group, part, "vars", str(number)))) for part in (owner, public, private)]


class Groups:
    """Finds the group of a layer: by the layer's name where the file has it, else by the order of its class."""

    def __init__(self, stored: Stored, top: str, owners: Sequence[Owner]) -> None:
        self.top = top
        self._ours = {name for owner in owners for name in owner.names}
        self._by_name: dict[str, dict[str, str]] = {}
        self._anywhere: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        self._present = present(stored, top) if top == OLD_LAYERS else {}
        for path in stored.attributes:
            name, (group, _, last) = stored.text(path, "name"), path.rpartition("/")
            if last == "vars" and name is not None:
                self._names[group] = name
                if group.rpartition("/")[0].rpartition("/")[2] == top:
                    self._anywhere.setdefault(name, []).append(group)
                self._by_name.setdefault(group.rpartition("/")[0], {}).setdefault(name, group)
        self._joined = {self._whole_name(group): group for group in self._names}

    def _whole_name(self, group: str) -> str:
        """A layer's name behind those of the models around it, as it is called here where its own is taken."""
        steps = group.split("/")
        around = ("/".join(steps[: end + 2]) for end in range(0, len(steps), 2))
        return "_".join(valid(self._names.get(each, "")) for each in around)

    def of(self, owner: Owner) -> str:
        """The path of an owner's group, also where there is none."""
        at = ""
        for name, stem in zip(owner.names, owner.group.split("/")[1::2], strict=True):
            folder = f"{at}{self.top}"
            at = f"{self._group(folder, name, stem, len(owner.names) == 1)}/"
        return at.removesuffix("/")

    def _group(self, folder: str, name: str, stem: str, alone: bool) -> str:
        """A layer's group by name; by count where no layer is called like one of ours, or the group has no name."""
        if self.top == OLD_LAYERS:
            return self._in_old(folder, stem)
        named, counted = self._by_name.get(folder, {}), f"{folder}/{stem}"
        if name in named:
            return named[name]
        if alone and name in self._joined:
            return self._joined[name]
        inside = [group for group in self._anywhere.get(name, []) if self._whole_name(group) not in self._ours]
        if len(inside) == 1 and alone:  # it is in a model within the file's model
            return inside[0]
        free = counted not in self._names or self._ours.isdisjoint(named)
        return counted if free else f"{folder}/{name}"

    def _in_old(self, folder: str, stem: str) -> str:
        """The group of a class's so-manieth layer: Keras 2.12 counts a layer that has weights twice."""
        base, number = _parted(stem)
        there = self._present.get(folder, {}).get(base, [])
        return f"{folder}/{there[number]}" if number < len(there) else f"{folder}/{stem}"


def present(stored: Stored, top: str) -> dict[str, dict[str, list[str]]]:
    """By folder and class, the groups in it that have weights, in the order of their numbers."""
    groups: dict[str, set[str]] = {}
    for path in stored.arrays:
        steps = path.split("/")
        for at in [index for index, step in enumerate(steps) if step == top]:
            groups.setdefault("/".join(steps[: at + 1]), set()).add(steps[at + 1])
    found: dict[str, dict[str, list[str]]] = {}
    for folder, names in groups.items():
        for name in sorted(names, key=_parted):
            found.setdefault(folder, {}).setdefault(_parted(name)[0], []).append(name)
    return found


def class_of(group: str) -> str:
    """The class in a group's name."""
    return _parted(group)[0]


def _parted(stem: str) -> tuple[str, int]:
    """A group's name as its class and its number."""
    base, _, number = stem.rpartition("_")
    return (base, int(number)) if base and number.isdecimal() and len(number) < 9 else (stem, 0)
