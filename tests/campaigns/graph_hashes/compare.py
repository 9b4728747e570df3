"""Compares two files of hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Returns one line for each platform fact that differs and each id that differs, is missing or is new."""
    facts = [f"header {line}" for line in _header_differences(before["header"], after["header"])]
    return facts + list(_id_differences(before["hashes"], after["hashes"]))


def _id_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for id in sorted(before.keys() | after.keys()):
        if id not in after:
            yield f"missing: {id}"
        elif id not in before:
            yield f"new: {id}"
        elif before[id] != after[id]:
            artefacts = sorted(before[id].keys() | after[id].keys())
            names = [name for name in artefacts if before[id].get(name) != after[id].get(name)]
            yield f"differs: {id}: {', '.join(names)}"


def _header_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key)} before, {after.get(key)} after"
