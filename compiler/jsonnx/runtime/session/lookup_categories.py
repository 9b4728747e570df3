"""The categories of a model's inputs: the keys of the tables that look their values up."""

from __future__ import annotations

import os
from typing import Any

from .load_model import model_file

_ARRANGING_OPERATORS = {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
"""Operators whose output has the values of their first input."""


def lookup_categories(path: str | os.PathLike[str]) -> dict[str, tuple[Any, ...]]:
    """For each input of an ONNX file that a LabelEncoder reads: the texts or integers that it knows, in its order.

    They include what training has learned, which a spec lacks. A file in another format has none.
    """
    import onnx

    file = model_file(path)
    if not file.endswith(".onnx"):
        return {}
    graph = onnx.load(file, load_external_data=False).graph
    origins = {value.name: value.name for value in graph.input}
    categories: dict[str, tuple[Any, ...]] = {}
    for node in graph.node:
        origin = origins.get(node.input[0]) if node.input else None
        if origin is None:
            continue
        if node.op_type in _ARRANGING_OPERATORS:
            origins[node.output[0]] = origin
        elif node.op_type == "LabelEncoder" and (keys := _keys(node)):
            categories.setdefault(origin, keys)
    return categories


def _keys(node: Any) -> tuple[Any, ...]:
    for attribute in node.attribute:
        if attribute.name == "keys_strings":
            return tuple(key.decode("utf-8", "replace") for key in attribute.strings)
        if attribute.name == "keys_int64s":
            return tuple(attribute.ints)
    return ()
