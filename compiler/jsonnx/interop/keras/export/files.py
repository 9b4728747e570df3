"""Writes `.weights.h5` and `.keras` files, reproducibly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from shutil import copyfileobj
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ....core.components import Json
from ....layers import Layer
from ..weights.weight_paths import VariablePath, duplicate_variable_paths, group_names, variable_paths

KERAS_VERSION = "3.15.1"
"""The version of Keras whose format is written."""

COPIED_BYTES = 1 << 20
"""Bytes that are copied at once into an archive."""
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


def write_weights_h5(file: IO[bytes], model: str, layers: Sequence[NamedLayer]) -> None:
    """Writes a `.weights.h5` file; the layers must be in Keras' order."""
    import h5py

    groups = layer_groups([layer.layer for layer in layers])
    with h5py.File(file, "w") as store:
        _create_group(store, "vars", model)
        for group, (name, layer, weights) in zip(groups, layers, strict=True):
            _create_group(store, f"{group}/vars", name)
            paths = [*variable_paths(layer.type_name, weights).items()]
            paths += duplicate_variable_paths(layer.type_name, list(weights)).items()
            for weight, path in paths:
                _write_variable(store, group, weight, path, weights[weight])


def _write_variable(store: Any, group: str, weight: str, variable_path: VariablePath, array: np.ndarray) -> None:
    path = variable_path.path_in(group)
    owner, _, number = path.rpartition("/")
    if owner not in store:
        _create_group(store, owner, weight.split("/")[-2])
    store[owner].create_dataset(number, data=np.ascontiguousarray(array).reshape(array.shape), track_times=False)


def _create_group(store: Any, path: str, name: str) -> None:
    store.create_group(path).attrs["name"] = name


def write_archive(file: IO[bytes], config: Json, weights: IO[bytes]) -> None:
    """Writes a `.keras` archive with the contents of a `.weights.h5` file."""
    metadata = {"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"}
    members: dict[str, IO[bytes]] = {
        "metadata.json": io.BytesIO(json.dumps(metadata).encode()),
        "config.json": io.BytesIO(json.dumps(config).encode()),
        "model.weights.h5": weights,
    }
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            info = ZipInfo(name, ZIP_TIMESTAMP)
            info.external_attr = 0o644 << 16
            info.file_size = content.seek(0, io.SEEK_END)
            content.seek(0)
            with archive.open(info, "w") as member:
                copyfileobj(content, member, COPIED_BYTES)
