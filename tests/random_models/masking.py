"""Takes the masks out of a spec that has a layer which cannot take them."""

from __future__ import annotations

import json
from typing import Any

from jsonnx.pipeline.check import check_spec


def misses_masks(document: dict[str, Any]) -> bool:
    """Whether a layer cannot take the mask that comes to it, which the shapes of its inputs alone do not tell."""
    text = json.dumps(document)
    if not any(word in text for word in ("Masking", "mask_zero", "query_mask")):
        return False
    return any(d.severity == "error" and "mask" in d.message for d in check_spec(document).diagnostics)


def unmasked(document: dict[str, Any]) -> dict[str, Any]:
    """A spec in which nothing makes masks; an input that was but the mask of a query is taken out."""
    document = _nowhere_made(document)
    taken = _without_query_masks(document["layers"])
    read = {source for call in document["layers"] for source in call.get("from", ())}
    inputs = {name: type for name, type in document["inputs"].items() if name in read or name not in taken}
    return document | {"inputs": inputs}


def _without_query_masks(calls: list[dict[str, Any]]) -> set[str]:
    """Takes the masks of their queries from calls of attention, uses of a shared layer among them, and tells their
    names."""
    places: dict[str, int] = {}
    taken: set[str] = set()
    for call in calls:
        arguments = call.get("arguments", [])
        if "query_mask" in arguments:
            places[call["name"]] = arguments.index("query_mask")
            arguments.remove("query_mask")
        place = places.get(call.get("use", call["name"]))
        if place is not None:
            taken.add(call["from"].pop(place))
    return taken


def _nowhere_made(value: Any) -> Any:
    """Without Masking and `mask_zero`. Of attention with a mask of its query the result has one: no Softmax."""
    if isinstance(value, list):
        return [_nowhere_made(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "Masking":
        return {key: item for key, item in value.items() if key != "mask_value"} | {"type": "Identity"}
    if value.get("type") == "Softmax":
        return {key: item for key, item in value.items() if key != "axis"} | {"type": "Identity"}
    return {key: _nowhere_made(item) for key, item in value.items() if key != "mask_zero"}
