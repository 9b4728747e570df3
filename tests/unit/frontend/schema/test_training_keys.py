"""A value of any JSON type under any key of `training` gives diagnostics, and no other error."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonnx
import pytest
from jsonnx.core.components import Json
from jsonnx.frontend.schema.schema import spec_schema

Keys = tuple[str, ...]

VALUES: list[Json] = [[], {}, "", 0, True, None, [[]], [None], {"a": []}, {"y": []}, {"y": {"b": []}}, {"type": []}]
SPEC: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "layers": [
        {"type": "Dense", "name": "y", "from": "x", "units": 3, "activation": "softmax"},
        {"type": "Dense", "name": "z", "from": "x", "units": 1, "activation": "sigmoid"},
    ],
    "outputs": ["y", "z"],
    "training": {
        "loss": {"y": "sparse_categorical_crossentropy", "z": "binary_crossentropy"},
        "data": {"train": "train.csv", "windows": {"length": 2}},
        "threshold": {"maximize": "f1"},
        "weights": {"file": "weights.npz"},
    },
}


def keys_of(schema: Json, root: Json, prefix: Keys = ()) -> Iterator[Keys]:
    """The keys of an object, and those of the objects in it, except components with a type."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    for branch in schema.get("anyOf", []):
        yield from keys_of(branch, root, prefix)
    properties = schema.get("properties", {})
    for key in () if "type" in properties else properties:
        yield (*prefix, key)
        yield from keys_of(properties[key], root, (*prefix, key))


ROOT = spec_schema()
ALL_KEYS = sorted({*keys_of(ROOT["properties"]["training"], ROOT)})


def test_all_keys_are_found() -> None:
    assert {("class_weight",), ("loss_scale", "initial_scale"), ("data", "images", "resize")} <= {*ALL_KEYS}


@pytest.mark.costly(6)
@pytest.mark.parametrize("keys", ALL_KEYS, ids=".".join)
def test_values_of_other_types_give_diagnostics(keys: Keys) -> None:
    for value in VALUES:
        spec = deepcopy(SPEC)
        section = spec["training"]
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        section[keys[-1]] = value
        diagnostics = jsonnx.validate(spec)
        if isinstance(value, list) and value and not isinstance(value[0], str):
            assert any(diagnostic.severity == "error" for diagnostic in diagnostics), value
