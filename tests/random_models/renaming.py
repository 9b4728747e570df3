"""The same network under other names and with its keys in another order."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random as Dice
from typing import Any


def rename(spec: dict[str, Any], new: Mapping[str, str]) -> dict[str, Any]:
    """The spec with other names of inputs and layers. Initial weights depend on names; these here are given."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        layer, dot, rest = value.partition(".")
        return new[layer] + dot + rest

    layers = [
        {k: named(v) if k in ("name", "from", "use") else v for k, v in entry.items()} for entry in spec["layers"]
    ]
    made = spec | {"inputs": {new[n]: v for n, v in spec["inputs"].items()}, "layers": layers}
    made["outputs"] = named(spec["outputs"])
    made.pop("training", None)
    return made


def shuffled(value: Any, dice: Dice) -> Any:
    if isinstance(value, dict):
        keys = dice.sample(list(value), len(value))
        return {key: shuffled(value[key], dice) for key in keys}
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value
