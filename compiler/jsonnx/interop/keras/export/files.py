"""The bytes of `.weights.h5` and `.keras`: the same for the same network and weights."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from ....core.components import Json
from ....layers import Layer
from ..weight_paths import VariablePath, duplicate_variable_paths, group_names, variable_paths

KERAS_VERSION = "3.15.1"
"""The version whose form is written."""

ZIP_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""When everything was written: a date would make other bytes of the same model."""

CLASS_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Classes with another name than the layer."""


class NamedLayer(NamedTuple):
    """A layer with its weights, by their names less the layer's, in the graph's order."""

    name: str
    layer: Layer
    weights: Mapping[str, np.ndarray]


def layer_groups(layers: Iterable[Layer]) -> list[str]:
    """The groups of a model's layers, which come in Keras' order."""
    return [f"layers/{name}" for name in group_names(CLASS_NAMES.get(one.type_name, one.type_name) for one in layers)]


def weights_h5_bytes(model: str, layers: Iterable[NamedLayer]) -> bytes:
    """A `.weights.h5` file of layers in Keras' order."""
    import h5py

    layers = list(layers)
    groups = layer_groups([layer.layer for layer in layers])
    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        _create_group(store, "vars", model)
        for group, (name, layer, weights) in zip(groups, layers, strict=True):
            _create_group(store, f"{group}/vars", name)
            found = variable_paths(layer.type_name, weights)
            for weight, place in [*found.items(), *duplicate_variable_paths(layer.type_name, list(weights)).items()]:
                _write_variable(store, group, weight, place, weights[weight])
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
    """A `.keras` archive."""
    about = {"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"}
    members = {
        "metadata.json": json.dumps(about).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": weights,
    }
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as archive:
        for name, content in members.items():
            about_member = ZipInfo(name, ZIP_TIMESTAMP)
            about_member.external_attr = 0o644 << 16
            archive.writestr(about_member, content)
    return file.getvalue()
