"""Navigation: definitions, references and files at a position."""

from __future__ import annotations

import os
from pathlib import Path

from lsprotocol import types
from pygls.uris import from_fs_path

from ...core.diagnostics import JsonPath
from ...frontend.expansion.output_keys import FILE_PATHS
from ...frontend.json.syntax_tree import Node
from ...frontend.names.name_references import NameDefinition
from ..checks.name_lookup import definitions_of, refers_to
from ..documents.cursor import Cursor, cursor_at
from ..documents.documents import Document

FILE_KEYS = ("train", "validation", "test", "weights", "file", "vocabulary", "$schema")
"""Keys whose strings, or lists of strings, name files."""


def definitions(document: Document, position: types.Position) -> list[types.Location]:
    """Where the layer, input, block or file is that a position refers to."""
    cursor = cursor_at(document.tree, document.positions.offset(position))
    if cursor is None or cursor.node is None:
        return []
    found = [_location(document, item) for item in definitions_of(document, cursor.path, cursor.role == "key")]
    return [location for location in found if location is not None] or _file_locations(document, cursor)


def references(document: Document, position: types.Position, with_definition: bool) -> list[types.Location]:
    """All references to the names at a position."""
    cursor = cursor_at(document.tree, document.positions.offset(position))
    if cursor is None or cursor.node is None:
        return []
    items = definitions_of(document, cursor.path, cursor.role == "key")
    locations = [_location(document, item) for item in items] if with_definition else []
    for reference in document.references:
        if any(refers_to(document, reference, item) for item in items):
            node = node_at(document, reference.path, reference.is_key)
            locations.append(_node_location(document, node) if node is not None else None)
    return [location for location in locations if location is not None]


def node_at(document: Document, path: JsonPath, is_key: bool) -> Node | None:
    """The node of the value, or of the key, at a path."""
    root = document.tree
    if root is None:
        return None
    if not is_key:
        return root.at(path)
    container = root.at(path[:-1])
    return container.member(str(path[-1])) if container is not None else None


def _location(document: Document, item: NameDefinition) -> types.Location | None:
    """Where a name is defined: the name, or the type of an entry without one."""
    node = node_at(document, item.name_path, item.is_key) if item.name_path is not None else None
    if node is None:
        entry = node_at(document, item.path, is_key=False)
        node = (entry.get("type") or entry.get("use") or entry) if entry is not None else None
    return _node_location(document, node) if node is not None else None


def _node_location(document: Document, node: Node) -> types.Location:
    return types.Location(document.uri, document.positions.range(node.start, node.end))


def _file_locations(document: Document, cursor: Cursor) -> list[types.Location]:
    """The start of a file in the spec's folder that the string at the cursor names, if it exists."""
    keys = [step for step in cursor.path if isinstance(step, str)]
    name = cursor.node.scalar if cursor.node is not None and cursor.role == "value" else None
    names_file = bool(keys) and (keys[-1] in FILE_KEYS or tuple(keys[:-1]) in FILE_PATHS)
    if not isinstance(name, str) or not names_file or not document.is_file:
        return []
    try:
        path = Path(document.path).parent / name
        uri = from_fs_path(os.path.abspath(path)) if path.is_file() else None
    except (OSError, ValueError):  # no name of a file
        return []
    start = types.Position(0, 0)
    return [types.Location(uri, types.Range(start, start))] if uri is not None else []
