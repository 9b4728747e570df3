"""Functions of keras.ops, called as an entry of a spec says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import keras
import numpy as np

PREFIX = "ops."

CALL_KEYS = {"type", "name", "from"}

FURTHER = {"top_k": ["indices"], "moments": ["variance"]}
"""The outputs after the first of functions that do not number them."""

TENSORS = {
    "where": ("condition", "x1", "x2"),
    "take": ("x", "indices"),
    "take_along_axis": ("x", "indices"),
    "average": ("x", "weights"),
    "layer_normalization": ("x", "gamma", "beta"),
    "rms_normalization": ("x", "scale"),
    "batch_normalization": ("x", "mean", "variance", "offset", "scale"),
    "dot_product_attention": ("query", "key", "value", "bias", "mask"),
}
"""The tensor arguments of functions that do not call them x1 and x2."""

LISTS = ("concatenate", "stack")


def listed(value: Any) -> list[Any]:
    """One, or several, as several."""
    return list(value) if isinstance(value, list) else [value]


def stem(kind: str) -> str:
    return kind.rpartition(".")[2]


def results(name: str, entry: Mapping[str, Any], tensors: list[Any]) -> dict[str, Any]:
    """The outputs of a function by their names in a spec."""
    kind = entry["type"].removeprefix(PREFIX)
    given = {key: argument(kind, key, value) for key, value in entry.items() if key not in CALL_KEYS}
    function = reduce(getattr, kind.split("."), keras.ops)
    found = keras.tree.flatten(call(kind, function, tensors, given))
    more = FURTHER.get(stem(kind), list(map(str, range(1, len(found)))))
    return dict(zip([name, *(f"{name}.{one}" for one in more)], found, strict=True))


def call(kind: str, function: Any, tensors: list[Any], given: dict[str, Any]) -> Any:
    if kind in LISTS:
        return function(tensors, **given)
    if kind == "einsum":
        return function(given["subscripts"], *tensors)
    if kind == "get_item":
        return tensors[0][given["key"]]
    if kind == "clip":
        return function(tensors[0], given.get("x_min"), given.get("x_max"))
    names = TENSORS.get(kind, ("x1", "x2"))
    if len(tensors) == 1 and not set(names) & set(given):
        return function(tensors[0], **given)
    if kind == "dot_product_attention" and len(tensors) == len(names):
        tensors = [*tensors[:-1], keras.ops.cast(tensors[-1], "bool")]
    open = [name for name in names if name not in given]
    return function(**given, **dict(zip(open, tensors, strict=False)))


def argument(kind: str, key: str, value: Any) -> Any:
    """An argument as Python writes it."""
    if key == "key":
        return tuple(map(place, value))
    if key == "ord" and isinstance(value, str) and value.endswith("inf"):
        return float(value)
    if kind == "norm" and key == "axis" and isinstance(value, int):  # which JAX has no use for as Keras hands it on
        value = [value]
    if kind == "tensordot" and key == "axes" and isinstance(value, list):
        return [listed(axes) for axes in value]
    if key in (
        "repeats",
        "gamma",
        "beta",
        "scale",
        "offset",
        "mean",
        "variance",
        "x",
        "x1",
        "x2",
        "x_min",
        "x_max",
        "weights",
        "indices",
    ) and isinstance(value, list):
        array = np.array(value)
        return array.astype("float32" if array.dtype.kind == "f" else "int32")
    return tuple(argument(kind, "", item) for item in value) if isinstance(value, list) else value


def place(item: Any) -> Any:
    """What stands between brackets."""
    if not isinstance(item, str):
        return item
    return ... if item == "..." else slice(*(int(part) if part else None for part in item.split(":")))
