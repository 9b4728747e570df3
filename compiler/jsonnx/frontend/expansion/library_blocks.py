"""Finds the blocks of the standard library that a document uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ... import library
from ...core.components import Json


def uses_library(entries: Json) -> bool:
    """Whether one of the entries has a type of the library, be it known or not."""
    return any(True for _ in _library_types(entries))


def used_library_blocks(document: Mapping[str, Json]) -> dict[str, Json]:
    """The definitions of the library's blocks that a document and these blocks use, by type."""
    section = document.get("blocks")
    blocks = section.values() if isinstance(section, dict) else ()
    unread = [document.get("layers"), *(block.get("layers") for block in blocks if isinstance(block, dict))]
    definitions: dict[str, Json] = {}
    while unread:
        for type_ in _library_types(unread.pop()):
            if type_ not in definitions and type_ in library.block_types():
                own_definitions = library.block_definitions(type_)
                definitions |= own_definitions
                unread += [definition["layers"] for definition in own_definitions.values()]
    return definitions


def _library_types(entries: Json) -> Iterator[str]:
    for entry in entries if isinstance(entries, list) else ():
        type_ = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(type_, str) and type_.startswith(library.PREFIX):
            yield type_
