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
from ..hdf5 import Hdf5Weights
from .entries import WeightOwner
from .weight_layouts import AmbiguousLayout, Producer, upgrade_weights
from .weight_sources import WeightSources

MODEL_WEIGHTS_GROUP = "model_weights"


class NamedArray(NamedTuple):
    """One array of a layer's list: its name there, its path in the file."""

    name: str
    path: str
    array: np.ndarray


def is_legacy_format(stored: Hdf5Weights) -> bool:
    return any(stored.text_list_attribute(group, "layer_names") is not None for group in ("", MODEL_WEIGHTS_GROUP))


def find_weights(
    stored: Hdf5Weights,
    owners: Sequence[WeightOwner],
    weights_by_layer: Mapping[str, Sequence[str]],
    shapes: Mapping[str, Sequence[Dim]],
    trainable: Collection[str],
) -> WeightSources:
    """The arrays of a legacy file by our names; `weights_by_layer` has those of each layer, in a graph's order."""
    root = MODEL_WEIGHTS_GROUP if stored.text_list_attribute(MODEL_WEIGHTS_GROUP, "layer_names") is not None else ""
    writer = Producer(stored.text_attribute(root, "keras_version") or "1", stored.text_attribute(root, "backend"))
    found = WeightSources()
    lists = _arrays_by_layer(stored, root, found)
    layers: dict[str, list[WeightOwner]] = {}
    for owner in owners:
        if weights_by_layer[owner.name] or not owner.is_used:
            layers.setdefault(owner.name_path[0], []).append(owner)
    if layers.keys().isdisjoint(lists) and len(layers) == len(lists):  # the same structure under other names
        lists = dict(zip(layers, lists.values(), strict=True))
    for name, inside in layers.items():
        for names, items in _assign_arrays(lists.pop(name, []), inside, weights_by_layer, trainable):
            if not names:
                found.unused_paths += [item.path for item in items]
                continue
            kind = next(owner.class_name for owner in inside if names[0] in weights_by_layer[owner.name])
            _add_layer_arrays(items, names, [shapes[name] for name in names], kind, writer, found)
    found.unexpected_paths += [item.path for items in lists.values() for item in items]
    found.notices += writer.notices()
    return found


def _arrays_by_layer(stored: Hdf5Weights, root: str, sources: WeightSources) -> dict[str, list[NamedArray]]:
    """The arrays of every layer that has some, in the file's order."""
    lists, listed = {}, set()
    for layer in stored.text_list_attribute(root, "layer_names") or []:
        group = f"{root}/{layer}".lstrip("/")
        paths = {name: f"{group}/{name}" for name in stored.text_list_attribute(group, "weight_names") or []}
        items = [NamedArray(name, path, stored.arrays[path]) for name, path in paths.items() if path in stored.arrays]
        if items:
            lists[layer] = items
            listed |= {item.path for item in items}
    sources.ignored_paths += [path for path in stored.arrays if path not in listed]
    return lists


LayerArrays = tuple[Sequence[str], list[NamedArray]]


def _assign_arrays(
    arrays: list[NamedArray],
    owners: Sequence[WeightOwner],
    weights_by_layer: Mapping[str, Sequence[str]],
    trainable: Collection[str],
) -> list[LayerArrays]:
    """The list of one layer of the outermost model as lists of single layers; by order only where names do not tell."""
    if len(owners) == 1:
        return [(weights_by_layer[owners[0].name], arrays)]
    parts: dict[str, list[NamedArray]] = {owner.name: [] for owner in owners}
    for item in arrays:
        owner = _owner_of(item, owners)
        if owner is None:
            break
        parts[owner.name].append(item)
    else:
        return [(weights_by_layer[name], part) for name, part in parts.items()]
    names = [name for owner in owners for name in weights_by_layer[owner.name]]
    names.sort(key=lambda name: name not in trainable)  # stable: else in the order of layers
    if len(names) != len(arrays):
        return [(names, [])]
    one_each = dict(zip(names, arrays, strict=True))
    return [
        (weights_by_layer[owner.name], [one_each[name] for name in weights_by_layer[owner.name]]) for owner in owners
    ]


def _owner_of(array: NamedArray, owners: Sequence[WeightOwner]) -> WeightOwner | None:
    """The layer that an array's name speaks of: `encoder/dense_1/kernel:0`, or `dense_1_W` as Keras 1 writes it."""
    steps = array.name.partition(":")[0].split("/")
    if len(steps) > 1:
        ranked = [(steps.index(own), owner) for owner in owners if (own := owner.name_path[-1]) in steps[:-1]]
    else:
        ranked = [(len(own), owner) for owner in owners if array.name.startswith((own := owner.name_path[-1]) + "_")]
    best = max((rank for rank, _ in ranked), default=0)
    first = [owner for rank, owner in ranked if rank == best]
    return first[0] if len(first) == 1 else None


def _add_layer_arrays(
    named_arrays: list[NamedArray],
    names: Sequence[str],
    shapes: Sequence[Sequence[Dim]],
    kind: str,
    writer: Producer,
    sources: WeightSources,
) -> None:
    """Give one layer its arrays, in the form that Keras 3 has them."""
    try:
        arrays = upgrade_weights([item.array for item in named_arrays], names, shapes, kind, writer)
    except AmbiguousLayout as error:
        sources.mismatches.update({name: (named_arrays[0].path, str(error)) for name in names})
        return
    as_written = len(arrays) == len(named_arrays)
    paths = [item.path for item in named_arrays] if as_written else [named_arrays[0].path] * len(arrays)
    sources.arrays.update(zip(names, zip(paths, arrays, strict=True), strict=False))
    sources.unexpected_paths += paths[len(names) :]
