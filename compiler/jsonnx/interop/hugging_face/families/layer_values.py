"""Values that differ from layer to layer, as one value of a repeated entry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..config import Config

FULL, SLIDING = "full_attention", "sliding_attention"


def value_by_layer(values: Sequence[Any]) -> Any:
    """The value of all layers, or an expression of `index` that chooses it: `${null if index < 28 else 512}` or
    `${[512, 512, null][index % 3]}`."""
    count, first, last = len(values), values[0], values[-1]
    run = next((index for index, value in enumerate(values) if value != first), count)
    if run == count:
        return first
    if all(value == last for value in values[run:]):
        return f"${{{json.dumps(first)} if index < {run} else {json.dumps(last)}}}"
    period = next(size for size in range(1, count + 1) if all(values[i] == values[i % size] for i in range(count)))
    listed = ", ".join(json.dumps(value) for value in values[:period])
    return f"${{[{listed}][index{f' % {period}' if period < count else ''}]}}"


def layer_types(config: Config, default: Sequence[str]) -> list[str]:
    """The kind of attention of each layer, `full_attention` or `sliding_attention`."""
    types: list[str] = config.list_of("layer_types", str, [*default])
    if len(types) != len(default) or not {*types} <= {FULL, SLIDING}:
        message = f"'layer_types' has to be {FULL!r} or {SLIDING!r} for each of the {len(default)} layers"
        config.fail("layer_types", "invalid-value", message)
    return types
