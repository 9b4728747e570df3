"""Takes the masks out of a spec that has a layer which cannot take them."""

from __future__ import annotations

import json
from typing import Any

from jsonnx.validation import check


def misses_masks(document: dict[str, Any]) -> bool:
    """Whether a layer cannot take the mask that comes to it, which the shapes of its inputs alone do not tell."""
    text = json.dumps(document)
    if not any(word in text for word in ("Masking", "mask_zero", "query_mask")):
        return False
    return any(d.severity == "error" and "mask" in d.message for d in check(document).diagnostics)


def unmasked(value: Any) -> Any:
    """A spec in which nothing makes masks. Of attention with a mask of its query the result has one: no Softmax."""
    if isinstance(value, list):
        return [unmasked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "Masking":
        return {key: item for key, item in value.items() if key != "mask_value"} | {"type": "Identity"}
    if value.get("type") == "Softmax":
        return {key: item for key, item in value.items() if key != "axis"} | {"type": "Identity"}
    return {key: unmasked(item) for key, item in value.items() if key != "mask_zero"}
