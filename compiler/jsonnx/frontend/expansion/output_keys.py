"""The places of a document that name outputs of the network: keys of objects, and items of lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.components import Json
from ...core.diagnostics import JsonPath
from ...sections.class_weights import has_weights_by_output
from ...sections.data_section import DATA_PARTS

FILE_PATHS: tuple[JsonPath, ...] = tuple(("training", "data", part) for part in DATA_PARTS)
"""The paths of objects that have files by the names of inputs, outputs and columns."""

OUTPUT_KEYED_PATHS: tuple[JsonPath, ...] = (
    ("labels",),
    *(("training", key) for key in ("loss", "loss_weights", "class_weight", "metrics", "weighted_metrics")),
    ("training", "target", "transform"),
    ("training", "data", "y"),
    ("training", "data", "sample_weight"),
    *FILE_PATHS,
)
"""The paths of objects that may have outputs as keys."""

OUTPUT_LIST_PATH: JsonPath = ("training", "target", "normalize")
"""The path of a list of outputs."""


def objects_by_output(document: Json) -> Iterator[tuple[JsonPath, Mapping[str, Json]]]:
    """The objects of a document that have outputs as keys, with their paths."""
    for path in OUTPUT_KEYED_PATHS:
        value = value_below(document, path)
        if isinstance(value, dict) and _is_by_output(str(path[-1]), value):
            yield path, value


def value_below(document: Json, path: JsonPath) -> Json:
    """The value at a path of keys; None if there is none."""
    for key in path:
        document = document.get(str(key)) if isinstance(document, dict) else None
    return document


def with_output_names(document: Json, names: Mapping[str, str]) -> tuple[Json, dict[JsonPath, str]]:
    """A document with other names of its outputs, and the written keys by the paths of the new ones.

    A name that would be there twice remains as written.
    """
    written_keys: dict[JsonPath, str] = {}
    for path, value in objects_by_output(document):
        new_keys = {key: names[key] for key in value if key in names and names[key] not in value}
        if len({*new_keys.values()}) == len(new_keys) > 0:
            document = _replaced(document, path, {new_keys.get(key, key): item for key, item in value.items()})
            written_keys |= {(*path, new): key for key, new in new_keys.items()}
    items = value_below(document, OUTPUT_LIST_PATH)
    if isinstance(items, list):
        new_items = [names.get(item, item) if isinstance(item, str) else item for item in items]
        document = _replaced(document, OUTPUT_LIST_PATH, new_items)
    return document, written_keys


def _replaced(document: Json, path: JsonPath, value: Json) -> Json:
    """A document with another value at a path of keys that it has."""
    return {**document, path[0]: _replaced(document[path[0]], path[1:], value)} if path else value


def _is_by_output(key: str, value: Mapping[str, Any]) -> bool:
    """Whether an object has a value for each output, and is not one component, or has a value for each class."""
    if key == "loss":
        return not isinstance(value.get("type"), str)
    return key != "class_weight" or has_weights_by_output(value)
