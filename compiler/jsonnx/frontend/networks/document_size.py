"""Counts the parts of a document before it is checked, since a check costs much more than counting."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.components import Json
from ...core.diagnostics import JsonPath, Report
from ...core.limits import MAX_EXPANDED_ENTRIES, MAX_INPUTS, MAX_LAYER_PATTERNS, MAX_LAYERS, MAX_OUTPUTS


def is_too_large(document: Json, report: Report) -> bool:
    """Reports lists of a document that have too many items; returns whether there are any."""
    if not isinstance(document, dict):
        return False
    layers_by_block = [block.get("layers") for block in _values(document.get("blocks")) if isinstance(block, dict)]
    counts: list[tuple[JsonPath, int, int, str]] = [
        (("layers",), _length(document.get("layers")), MAX_LAYERS, "layers"),
        (("blocks",), sum(map(_length, layers_by_block)), MAX_EXPANDED_ENTRIES, "entries in all blocks"),
        (("inputs",), _length(document.get("inputs")), MAX_INPUTS, "inputs"),
        (("outputs",), _length(document.get("outputs")), MAX_OUTPUTS, "outputs"),
        *((path, _length(patterns), MAX_LAYER_PATTERNS, "patterns") for path, patterns in _layer_patterns(document)),
        (("labels",), len(_values(document.get("labels"))), MAX_OUTPUTS, "outputs with labels"),
    ]
    exceeded = [(path, count, limit, noun) for path, count, limit, noun in counts if count > limit]
    for path, count, limit, noun in exceeded:
        report.add("too-large", path, f"there are {count:,} {noun}, the limit is {limit:,}", at_key=True)
    return bool(exceeded)


def _layer_patterns(document: dict[str, Json]) -> Iterator[tuple[JsonPath, Json]]:
    """Yields the lists of patterns for the names of layers. Each pattern is compared with all names."""
    training = document.get("training")
    if not isinstance(training, dict):
        return
    for key in ("freeze", "learning_rates"):
        yield ("training", key), training.get(key)
    weights = training.get("weights")
    if isinstance(weights, dict):
        yield ("training", "weights", "layers"), weights.get("layers")


def _length(value: Json) -> int:
    return len(value) if isinstance(value, (list, dict)) else 0


def _values(value: Json) -> list[Json]:
    return list(value.values()) if isinstance(value, dict) else []
