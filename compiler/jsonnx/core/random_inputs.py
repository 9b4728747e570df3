"""Inputs of a model that hold random numbers: their distributions, and how the model's metadata record them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

RANDOM_INPUTS = "jsonnx.random"
"""The key of the distributions of random inputs: a JSON object, by the name of the input."""

_PARAMETERS = {"normal": ("mean", "stddev"), "uniform": ("minval", "maxval")}
"""The names of the parameters of each distribution, as in keras.random."""


@dataclass(frozen=True)
class Distribution:
    """A distribution of random numbers: `offset + scale * x`, where x is standard normal, or uniform from 0 to 1."""

    kind: str
    offset: float = 0.0
    scale: float = 1.0
    seed: int | None = None
    """The layer's seed, if the spec has one."""


def random_inputs_json(distributions: Mapping[str, Distribution]) -> str:
    """The distributions as a JSON object, with the names of keras.random."""
    return json.dumps({name: _to_json(distribution) for name, distribution in distributions.items()})


def _to_json(distribution: Distribution) -> dict[str, Any]:
    first, second = _PARAMETERS[distribution.kind]
    end = distribution.scale if distribution.kind == "normal" else distribution.offset + distribution.scale
    seed = {} if distribution.seed is None else {"seed": distribution.seed}
    return {"distribution": distribution.kind, first: distribution.offset, second: end, **seed}


def random_inputs_from(metadata: Mapping[str, str]) -> dict[str, Distribution]:
    """The distributions of random inputs in a model's metadata; none if it has no valid ones."""
    try:
        value: Any = json.loads(metadata.get(RANDOM_INPUTS, "{}"))
    except (ValueError, RecursionError):
        return {}
    items = value.items() if isinstance(value, dict) else ()
    parsed = {name: _from_json(entry) for name, entry in items if isinstance(entry, dict)}
    return {name: distribution for name, distribution in parsed.items() if distribution is not None}


def _from_json(entry: Mapping[str, Any]) -> Distribution | None:
    """The distribution of an entry; None if it is not valid."""
    kind, seed = entry.get("distribution"), entry.get("seed")
    if not isinstance(kind, str) or kind not in _PARAMETERS:
        return None
    first, second = (entry.get(parameter) for parameter in _PARAMETERS[kind])
    is_valid = _is_finite(first) and _is_finite(second) and (seed is None or type(seed) is int)
    if not is_valid or first is None or second is None:
        return None
    return Distribution(kind, first, second if kind == "normal" else second - first, seed)


def _is_finite(number: Any) -> bool:
    return type(number) in (int, float) and isfinite(number)
