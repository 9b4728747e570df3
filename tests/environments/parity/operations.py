"""Calls functions of keras.ops as described by an entry of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import keras
import numpy as np

PREFIX = "ops."

CALL_KEYS = {"type", "name", "from"}

OUTPUT_NAMES = {"top_k": ["indices"], "moments": ["variance"]}
"""Names of the outputs after the first, for functions whose outputs are not numbered."""

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
"""Names of the tensor arguments, for functions that do not name them x1 and x2."""

LISTS = ("concatenate", "stack")


def as_list(value: Any) -> list[Any]:
    """Returns a list as it is, and another value as a list of one."""
    return list(value) if isinstance(value, list) else [value]


def stem(kind: str) -> str:
    return kind.rpartition(".")[2]


def results(name: str, entry: Mapping[str, Any], tensors: list[Any]) -> dict[str, Any]:
    """Returns the outputs of a function by their names in a spec."""
    kind = entry["type"].removeprefix(PREFIX)
    arguments = {key: argument(kind, key, value) for key, value in entry.items() if key not in CALL_KEYS}
    function = reduce(getattr, kind.split("."), keras.ops)
    outputs = keras.tree.flatten(call(kind, function, tensors, arguments))
    names = OUTPUT_NAMES.get(stem(kind), list(map(str, range(1, len(outputs)))))
    return dict(zip([name, *(f"{name}.{one}" for one in names)], outputs, strict=True))


def call(kind: str, function: Any, tensors: list[Any], arguments: dict[str, Any]) -> Any:
    if kind in LISTS:
        return function(tensors, **arguments)
    if kind == "einsum":
        return function(arguments["subscripts"], *tensors)
    if kind == "get_item":
        return tensors[0][arguments["key"]]
    if kind == "clip":
        return function(tensors[0], arguments.get("x_min"), arguments.get("x_max"))
    names = TENSORS.get(kind, ("x1", "x2"))
    if len(tensors) == 1 and not set(names) & set(arguments):
        return function(tensors[0], **arguments)
    if kind == "dot_product_attention" and len(tensors) == len(names):
        tensors = [*tensors[:-1], keras.ops.cast(tensors[-1], "bool")]
    free_names = [name for name in names if name not in arguments]
    return function(**arguments, **dict(zip(free_names, tensors, strict=False)))


def argument(kind: str, key: str, value: Any) -> Any:
    """Converts an argument from JSON to Python."""
    if key == "key":
        return tuple(map(place, value))
    if key == "ord" and isinstance(value, str) and value.endswith("inf"):
        return float(value)
    if (
        kind == "norm" and key == "axis" and isinstance(value, int)
    ):  # Keras passes an integer axis on to JAX incorrectly
        value = [value]
    if kind == "tensordot" and key == "axes" and isinstance(value, list):
        return [as_list(axes) for axes in value]
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
    """Converts an item of an index from JSON: an integer, an ellipsis or a slice."""
    if not isinstance(item, str):
        return item
    return ... if item == "..." else slice(*(int(part) if part else None for part in item.split(":")))
