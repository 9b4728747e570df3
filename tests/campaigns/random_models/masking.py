"""Removes the masks from a spec with a layer that does not support them."""

from __future__ import annotations

import json
from typing import Any

from jsonnx.pipeline.check.check import check_spec


def misses_masks(document: dict[str, Any]) -> bool:
    """Whether a layer does not support the mask of its input, which cannot be decided from shapes alone."""
    text = json.dumps(document)
    if not any(word in text for word in ("Masking", "SequenceMask", "mask_zero", "query_mask")):
        return False
    return any(d.severity == "error" and "mask" in d.message for d in check_spec(document).diagnostics)


def without_masks(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the spec without layers that create masks, and without inputs that were only masks of queries."""
    document = _without_mask_sources(document)
    removed = _remove_query_masks(document["layers"])
    read = {source for call in document["layers"] for source in call.get("from", ())}
    inputs = {name: type for name, type in document["inputs"].items() if name in read or name not in removed}
    return document | {"inputs": inputs}


def _remove_query_masks(calls: list[dict[str, Any]]) -> set[str]:
    """Removes the query masks from calls of attention layers, shared ones included; returns the masks' names."""
    places: dict[str, int] = {}
    removed: set[str] = set()
    for call in calls:
        arguments = call.get("arguments", [])
        if "query_mask" in arguments:
            places[call["name"]] = arguments.index("query_mask")
            arguments.remove("query_mask")
        place = places.get(call.get("use", call["name"]))
        if place is not None:
            removed.add(call["from"].pop(place))
    return removed


def _without_mask_sources(value: Any) -> Any:
    """Returns the value without layers that make masks, and Softmax, which reads the mask of an attention's result."""
    if isinstance(value, list):
        return [_without_mask_sources(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in ("Masking", "SequenceMask"):
        return {key: item for key, item in value.items() if not key.endswith("_value")} | {"type": "Identity"}
    if value.get("type") == "Softmax":
        return {key: item for key, item in value.items() if key != "axis"} | {"type": "Identity"}
    return {key: _without_mask_sources(item) for key, item in value.items() if key != "mask_zero"}
