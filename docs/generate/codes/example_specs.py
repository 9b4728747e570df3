"""Short examples of specs, completed to whole ones."""

from __future__ import annotations

import json
from typing import Any


def example_spec(example: str) -> dict[str, Any] | str:
    """Completes an example to a spec. The example may be a spec, some of its keys, its layers, one layer, or a part of
    `training`; text that is not JSON is returned unchanged."""
    try:
        value = json.loads(example, object_pairs_hook=unique_keys)
    except ValueError:
        return example
    return completed(value)


def completed(value: Any) -> dict[str, Any]:
    """Completes a JSON value, as `example_spec` does."""
    if isinstance(value, list):
        value = {"layers": value}
    elif "type" in value or "use" in value:
        value = {"layers": [value]}
    elif {"loss", "metrics", "optimizer", "data"} & set(value):
        value = {"training": {"loss": "mse", **value}}
    spec: dict[str, Any] = {"inputs": {}, "layers": [{"type": "Dense", "units": 3}], **value}
    names = {layer.get("name", "") for layer in spec["layers"]}
    first, *others = spec["layers"]
    sources = [*as_list(first.get("from", "x")), *(name for layer in others for name in as_list(layer.get("from", [])))]
    sizes = {"four_numbers": [4], "six_numbers": [6], "sequence": [5, 4], "image": [8, 8, 4]}
    inputs = {
        name: {"shape": sizes.get(name, [4])} for name in sources if name.partition(".")[0] not in (names | {"steam"})
    }
    return {**spec, "inputs": spec["inputs"] or inputs}


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len(dict(pairs)):
        raise ValueError("duplicate key")
    return dict(pairs)


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
