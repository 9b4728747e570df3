"""The differences between two files of hashes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A line for each fact of the platform and each id that differs, is missing or is new."""
    facts = [f"header {line}" for line in _changes(before["header"], after["header"])]
    return facts + list(_of_ids(before["hashes"], after["hashes"]))


def _of_ids(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for id in sorted(before.keys() | after.keys()):
        if id not in after:
            yield f"missing: {id}"
        elif id not in before:
            yield f"new: {id}"
        elif before[id] != after[id]:
            names = [name for name in sorted(before[id].keys() | after[id].keys()) if _differs(name, before, after, id)]
            yield f"differs: {id}: {', '.join(names)}"


def _differs(name: str, before: Mapping[str, Any], after: Mapping[str, Any], id: str) -> bool:
    return bool(before[id].get(name) != after[id].get(name))


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key)} before, {after.get(key)} after"
