"""Writes `.weights.h5` and `.keras` files, reproducibly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ....core.components import Json
from ....layers import Layer
from ..weights.weight_paths import VariablePath, duplicate_variable_paths, group_names, variable_paths

KERAS_VERSION = "3.15.1"
"""The version of Keras whose format is written."""

ZIP_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The timestamp of all members, so that equal models have equal bytes."""

CLASS_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Keras classes whose names differ from our layers'."""


class NamedLayer(NamedTuple):
    """A layer and its weights in the graph's order, by name without the layer's name."""

    name: str
    layer: Layer
    weights: Mapping[str, np.ndarray]


def layer_groups(layers: Iterable[Layer]) -> list[str]:
    """The groups of a model's layers, which must be in Keras' order."""
    classes = (CLASS_NAMES.get(layer.type_name, layer.type_name) for layer in layers)
    return [f"layers/{name}" for name in group_names(classes)]


def weights_h5_bytes(model: str, layers: Iterable[NamedLayer]) -> bytes:
    """The bytes of a `.weights.h5` file; the layers must be in Keras' order."""
    import h5py

    layers = list(layers)
    groups = layer_groups([layer.layer for layer in layers])
    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        _create_group(store, "vars", model)
        for group, (name, layer, weights) in zip(groups, layers, strict=True):
            _create_group(store, f"{group}/vars", name)
            paths = [*variable_paths(layer.type_name, weights).items()]
            paths += duplicate_variable_paths(layer.type_name, list(weights)).items()
            for weight, path in paths:
                _write_variable(store, group, weight, path, weights[weight])
    return file.getvalue()


def _write_variable(store: Any, group: str, weight: str, variable_path: VariablePath, array: np.ndarray) -> None:
    path = variable_path.path_in(group)
    owner, _, number = path.rpartition("/")
    if owner not in store:
        _create_group(store, owner, weight.split("/")[-2])
    store[owner].create_dataset(number, data=np.ascontiguousarray(array).reshape(array.shape), track_times=False)


def _create_group(store: Any, path: str, name: str) -> None:
    store.create_group(path).attrs["name"] = name


def archive_bytes(config: Json, weights: bytes) -> bytes:
    """The bytes of a `.keras` archive."""
    metadata = {"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"}
    members = {
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": weights,
    }
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            info = ZipInfo(name, ZIP_TIMESTAMP)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return file.getvalue()
