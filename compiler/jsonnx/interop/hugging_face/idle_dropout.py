"""Leaves Dropout entries with rate 0 out of a translated model: many configurations have no dropout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .translation import Translation

Entry = dict[str, Any]


def without_idle_dropout(translation: Translation) -> Translation:
    """The translation without Dropout entries that drop nothing; entries that read one read what it reads."""
    sources: dict[str, str] = {}
    layers: list[Entry] = []
    for entry in translation.spec["layers"]:
        if _is_idle(entry) and layers:
            source = entry.get("from", layers[-1]["name"])
            sources[entry["name"]] = sources.get(source, source)
        else:
            layers.append(_with_sources(entry, sources))
    spec = {**translation.spec, "layers": layers}
    pooling = tuple(_with_sources(entry, sources) for entry in translation.pooling if not _is_idle(entry))
    return replace(translation, spec=spec, pooling=pooling)


def _is_idle(entry: Mapping[str, Any]) -> bool:
    return entry.get("type") == "Dropout" and not entry["rate"] and "repeat" not in entry


def _with_sources(entry: Entry, sources: Mapping[str, str]) -> Entry:
    """The entry, which reads the sources of entries that are left out."""
    names = entry.get("from")
    if isinstance(names, str):
        return {**entry, "from": sources.get(names, names)}
    if isinstance(names, Sequence):
        return {**entry, "from": [sources.get(name, name) for name in names]}
    return entry
