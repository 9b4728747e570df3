"""Weights in an `.h5` file of the format before `.keras`: by layer, in Keras' order, names being free to change.

Of each layer of the outermost model the file has a list, trainable weights first, those of a nested model all in one.
Keras itself reads by order alone. So do we where a list is one layer's; that of a nested model is dealt out by names,
for its order depends on what was frozen when the file was written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...core.types import Dim
from ..hdf5 import Stored
from .entries import Owner
from .weight_layouts import Unsure, Writer, brought_forward
from .weight_sources import Found

ROOT = "model_weights"


class Item(NamedTuple):
    """One array of a layer's list: its name there, its path in the file."""

    name: str
    path: str
    array: np.ndarray


def is_legacy(stored: Stored) -> bool:
    return any(stored.texts(group, "layer_names") is not None for group in ("", ROOT))


def find(
    stored: Stored,
    owners: Sequence[Owner],
    own: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
    trainable: Collection[str],
) -> Found:
    """The arrays of a legacy file by our names; `own` has those of each layer, in a graph's order."""
    root = ROOT if stored.texts(ROOT, "layer_names") is not None else ""
    writer = Writer(stored.text(root, "keras_version") or "1", stored.text(root, "backend"))
    found = Found()
    lists = _lists(stored, root, found)
    layers: dict[str, list[Owner]] = {}
    for owner in owners:
        if own[owner.name] or not owner.used:
            layers.setdefault(owner.names[0], []).append(owner)
    if layers.keys().isdisjoint(lists) and len(layers) == len(lists):  # the same structure under other names
        lists = dict(zip(layers, lists.values(), strict=True))
    for name, inside in layers.items():
        for names, items in _dealt(lists.pop(name, []), inside, own, trainable):
            if not names:
                found.unused += [item.path for item in items]
                continue
            kind = next(owner.kind for owner in inside if names[0] in own[owner.name])
            _take(items, names, [shapes[name] for name in names], kind, writer, found)
    found.extra += [item.path for items in lists.values() for item in items]
    found.notices += writer.notices()
    return found


def _lists(stored: Stored, root: str, found: Found) -> dict[str, list[Item]]:
    """The arrays of every layer that has some, in the file's order."""
    lists, listed = {}, set()
    for layer in stored.texts(root, "layer_names") or []:
        group = f"{root}/{layer}".lstrip("/")
        paths = {name: f"{group}/{name}" for name in stored.texts(group, "weight_names") or []}
        items = [Item(name, path, stored.arrays[path]) for name, path in paths.items() if path in stored.arrays]
        if items:
            lists[layer] = items
            listed |= {item.path for item in items}
    found.dropped += [path for path in stored.arrays if path not in listed]
    return lists


Deal = tuple[Sequence[str], list[Item]]


def _dealt(
    items: list[Item], owners: Sequence[Owner], own: Mapping[str, Sequence[str]], trainable: Collection[str]
) -> list[Deal]:
    """The list of one layer of the outermost model as lists of single layers; by order only where names do not tell."""
    if len(owners) == 1:
        return [(own[owners[0].name], items)]
    parts: dict[str, list[Item]] = {owner.name: [] for owner in owners}
    for item in items:
        owner = _owner_of(item, owners)
        if owner is None:
            break
        parts[owner.name].append(item)
    else:
        return [(own[name], part) for name, part in parts.items()]
    names = [name for owner in owners for name in own[owner.name]]
    names.sort(key=lambda name: name not in trainable)  # stable: else in the order of layers
    if len(names) != len(items):
        return [(names, [])]
    one_each = dict(zip(names, items, strict=True))
    return [(own[owner.name], [one_each[name] for name in own[owner.name]]) for owner in owners]


def _owner_of(item: Item, owners: Sequence[Owner]) -> Owner | None:
    """The layer that an array's name speaks of: `encoder/dense_1/kernel:0`, or `dense_1_W` as Keras 1 writes it."""
    steps = item.name.partition(":")[0].split("/")
    if len(steps) > 1:
        ranked = [(steps.index(own), owner) for owner in owners if (own := owner.names[-1]) in steps[:-1]]
    else:
        ranked = [(len(own), owner) for owner in owners if item.name.startswith((own := owner.names[-1]) + "_")]
    best = max((rank for rank, _ in ranked), default=0)
    first = [owner for rank, owner in ranked if rank == best]
    return first[0] if len(first) == 1 else None


def _take(
    items: list[Item],
    names: Sequence[str],
    shapes: Sequence[Sequence[Dim]],
    kind: str,
    writer: Writer,
    found: Found,
) -> None:
    """Give one layer its arrays, in the form that Keras 3 has them."""
    try:
        arrays = brought_forward([item.array for item in items], names, shapes, kind, writer)
    except Unsure as error:
        found.wrong.update({name: (items[0].path, str(error)) for name in names})
        return
    as_written = len(arrays) == len(items)
    paths = [item.path for item in items] if as_written else [items[0].path] * len(arrays)
    found.arrays.update(zip(names, zip(paths, arrays, strict=True), strict=False))
    found.extra += paths[len(names) :]
