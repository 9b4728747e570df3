"""Renames inputs and layers of a spec, and shuffles the order of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random as Dice
from typing import Any


def rename(spec: dict[str, Any], new_names: Mapping[str, str]) -> dict[str, Any]:
    """Returns the spec for inference with other names of inputs and layers."""

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(item) for item in value]
        layer, dot, rest = value.partition(".")
        return new_names[layer] + dot + rest

    layers = [
        {k: renamed(v) if k in ("name", "from", "use") else v for k, v in entry.items()} for entry in spec["layers"]
    ]
    renamed_spec = spec | {"inputs": {new_names[n]: v for n, v in spec["inputs"].items()}, "layers": layers}
    renamed_spec["outputs"] = renamed(spec["outputs"])
    renamed_spec.pop("training", None)
    return renamed_spec


def shuffled(value: Any, dice: Dice) -> Any:
    if isinstance(value, dict):
        keys = dice.sample(list(value), len(value))
        return {key: shuffled(value[key], dice) for key in keys}
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value
