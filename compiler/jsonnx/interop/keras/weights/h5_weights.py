"""Finds weights in legacy `.h5` files, the format before `.keras`.

The file has one list of arrays for each layer of the outermost model, trainable weights first; a nested model has a
single list. Keras reads the lists by order only, and so does this module for the list of a single layer. The list of a
nested model is split by names, because its order depends on which layers were frozen when the file was written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ....core.types import Dim
from ...hdf5 import Hdf5Weights
from ..translation.entries import WeightOwner
from .weight_layouts import AmbiguousLayout, Producer, upgrade_weights
from .weight_sources import WeightSources

MODEL_WEIGHTS_GROUP = "model_weights"


class NamedArray(NamedTuple):
    """An array of a layer's list: its name in the list, and its path in the file."""

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
    """Finds the array of each weight; `weights_by_layer` has the names of each layer's weights, in graph order."""
    root = MODEL_WEIGHTS_GROUP if stored.text_list_attribute(MODEL_WEIGHTS_GROUP, "layer_names") is not None else ""
    producer = Producer(stored.text_attribute(root, "keras_version") or "1", stored.text_attribute(root, "backend"))
    sources = WeightSources()
    lists = _arrays_by_layer(stored, root, sources)
    layers: dict[str, list[WeightOwner]] = {}
    for owner in owners:
        if weights_by_layer[owner.name] or not owner.is_used:
            layers.setdefault(owner.name_path[0], []).append(owner)
    if layers.keys().isdisjoint(lists) and len(layers) == len(lists):  # the same structure with other names
        lists = dict(zip(layers, lists.values(), strict=True))
    for layer, inner_owners in layers.items():
        for names, arrays in _assign_arrays(lists.pop(layer, []), inner_owners, weights_by_layer, trainable):
            if not names:
                sources.unused_paths += [array.path for array in arrays]
                continue
            kind = next(owner.class_name for owner in inner_owners if names[0] in weights_by_layer[owner.name])
            _add_layer_arrays(arrays, names, [shapes[name] for name in names], kind, producer, sources)
    sources.unexpected_paths += [array.path for arrays in lists.values() for array in arrays]
    sources.notices += producer.notices()
    return sources


def _arrays_by_layer(stored: Hdf5Weights, root: str, sources: WeightSources) -> dict[str, list[NamedArray]]:
    """The arrays of each layer that has any, in the file's order."""
    lists, listed_paths = {}, set()
    for layer in stored.text_list_attribute(root, "layer_names") or []:
        group = f"{root}/{layer}".lstrip("/")
        paths = {name: f"{group}/{name}" for name in stored.text_list_attribute(group, "weight_names") or []}
        arrays = [NamedArray(name, path, stored.arrays[path]) for name, path in paths.items() if path in stored.arrays]
        if arrays:
            lists[layer] = arrays
            listed_paths |= {array.path for array in arrays}
    sources.ignored_paths += [path for path in stored.arrays if path not in listed_paths]
    return lists


LayerArrays = tuple[Sequence[str], list[NamedArray]]
"""The names of a layer's weights, and its arrays."""


def _assign_arrays(
    arrays: list[NamedArray],
    owners: Sequence[WeightOwner],
    weights_by_layer: Mapping[str, Sequence[str]],
    trainable: Collection[str],
) -> list[LayerArrays]:
    """Splits a list of the outermost model by inner layer: by names, or by order if the names are ambiguous."""
    if len(owners) == 1:
        return [(weights_by_layer[owners[0].name], arrays)]
    by_owner: dict[str, list[NamedArray]] = {owner.name: [] for owner in owners}
    for array in arrays:
        owner = _owner_of(array, owners)
        if owner is None:
            break
        by_owner[owner.name].append(array)
    else:
        return [(weights_by_layer[name], owned) for name, owned in by_owner.items()]
    names = [name for owner in owners for name in weights_by_layer[owner.name]]
    names.sort(key=lambda name: name not in trainable)  # stable: otherwise in layer order
    if len(names) != len(arrays):
        return [(names, [])]
    by_name = dict(zip(names, arrays, strict=True))
    lists = [weights_by_layer[owner.name] for owner in owners]
    return [(layer_names, [by_name[name] for name in layer_names]) for layer_names in lists]


def _owner_of(array: NamedArray, owners: Sequence[WeightOwner]) -> WeightOwner | None:
    """The layer in an array's name, such as `encoder/dense_1/kernel:0`, or `dense_1_W` in Keras 1."""
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
    producer: Producer,
    sources: WeightSources,
) -> None:
    """Assigns a layer's arrays to its weights, converted to the layouts of Keras 3."""
    try:
        arrays = upgrade_weights([item.array for item in named_arrays], names, shapes, kind, producer)
    except AmbiguousLayout as error:
        sources.mismatches.update({name: (named_arrays[0].path, str(error)) for name in names})
        return
    is_one_to_one = len(arrays) == len(named_arrays)
    paths = [item.path for item in named_arrays] if is_one_to_one else [named_arrays[0].path] * len(arrays)
    sources.arrays.update(zip(names, zip(paths, arrays, strict=True), strict=False))
    sources.unexpected_paths += paths[len(names) :]
