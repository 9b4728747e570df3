"""Which components a page names beside its own: those of the same name, of the same kind, of the same class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from jsonnx.render.reference.layer_groups import grouped_layers

from .records import Record, record_of, records, records_of

MIN_NEIGHBOURS, MAX_NEIGHBOURS = 3, 8
"""Components of the same module that a page names."""

MAX_KIND = 16
"""The largest number of components of a kind that are all neighbours."""


def kin(record: Record) -> list[Record]:
    """Other records in the order of nearness: of the same name, base classes, of the same module."""
    related = [*_namesakes(record), *_bases(record), *_family(record), *_neighbours(record)]
    return [other for other in dict.fromkeys(related) if other != record]


def plain_name(name: str) -> str:
    """A name without case, underscores and prefix: `relu` for `ReLU` and `ops.relu`."""
    return name.rpartition(".")[2].lower().replace("_", "")


@cache
def _by_plain_name() -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records():
        for name in dict.fromkeys(map(plain_name, record.names)):
            found.setdefault(name, []).append(record)
    return found


def _namesakes(record: Record) -> Iterator[Record]:
    for name in record.names:
        yield from _by_plain_name()[plain_name(name)]


def _bases(record: Record) -> Iterator[Record]:
    """The components that the class of a component extends, and those that extend it."""
    if record.component is None:
        return
    for other in records_of(record.kind):
        known = other.component
        if known is not None and (issubclass(record.component, known) or issubclass(known, record.component)):
            yield other


def _family(record: Record) -> Iterator[Record]:
    """The records whose names differ in a number of dimensions only: Conv1D, Conv2D, Conv3D."""
    stem = _stem(record.name)
    return (other for other in records() if other.kind == record.kind and stem and _stem(other.name) == stem)


def _stem(name: str) -> str:
    return re.sub(r"[123]D", "#D", name) if re.search(r"[123]D", name) else ""


def _neighbours(record: Record) -> list[Record]:
    """The nearest records in the order of the reference, of the same group or module."""
    siblings = _siblings(record)
    position = siblings.index(record)
    start = max(0, min(position - MAX_NEIGHBOURS // 2, len(siblings) - MAX_NEIGHBOURS - 1))
    return siblings[start : start + MAX_NEIGHBOURS + 1]


@cache
def _layer_groups() -> dict[Record, list[Record]]:
    """The group of each layer."""
    groups = ([record_of(layer) for layer in layers] for _, layers in grouped_layers())
    return {record: group for group in groups for record in group}


def _siblings(record: Record) -> list[Record]:
    """The records of a layer's group, or of a component's module; of its kind if the module and the kind are small."""
    if record in _layer_groups():
        return _layer_groups()[record]
    same_kind = records_of(record.kind)
    siblings = [other for other in same_kind if _module(other) == _module(record)]
    return same_kind if len(siblings) <= MIN_NEIGHBOURS and len(same_kind) <= MAX_KIND else siblings


def _module(record: Record) -> str:
    return record.component.__module__ if record.component else ""
