"""The item at an offset of a document: a key, a value, or a place for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Member, Node

Role = Literal["key", "value"]


@dataclass(frozen=True, eq=False)
class Cursor:
    """A place in the tree: the path of the value, or of the value of the key, that stands there or may be written."""

    role: Role
    path: JsonPath
    container: Node | None
    """The object or list that the key or the value is in."""
    node: Node | None = None
    """The key or the value; None where there is none yet."""
    member: Member | None = None


def cursor_at(root: Node | None, offset: int) -> Cursor | None:
    """The innermost key or value at an offset, or where the offset is in a container; None outside the document.

    The end of a string or a word belongs to it.
    """
    if root is None or not root.start <= offset <= root.end:
        return None
    container = _innermost(root, offset)
    if container is None:
        return Cursor("value", (), None, root)
    if container.kind == "array":
        return _in_array(container, offset)
    return _in_object(container, offset)


def _innermost(root: Node, offset: int) -> Node | None:
    """The innermost container whose brackets an offset is between; None if there is none."""
    found, node = None, root if _is_inside(root, offset) else None
    while node is not None:
        found = node
        node = next((child for child in node.children() if _is_inside(child, offset)), None)
    return found


def _is_inside(node: Node, offset: int) -> bool:
    end = node.end - 1 if node.is_closed else node.end
    return node.kind in ("object", "array") and node.start < offset <= end


def _touches(node: Node, offset: int) -> bool:
    return node.start <= offset <= node.end


def _in_array(array: Node, offset: int) -> Cursor:
    for item in array.items:
        if _touches(item, offset):
            return Cursor("value", item.path, array, item)
    index = sum(item.end <= offset for item in array.items)
    return Cursor("value", (*array.path, index), array)


def _in_object(container: Node, offset: int) -> Cursor:
    previous: Member | None = None
    for member in container.members:
        path = (*container.path, member.name)
        if _touches(member, offset):
            return Cursor("key", path, container, member, member)
        if member.value is not None and _touches(member.value, offset):
            return Cursor("value", path, container, member.value, member)
        if member.start < offset:
            previous = member
    if previous is not None and previous.value is None and previous.colon is not None and offset > previous.colon:
        return Cursor("value", (*container.path, previous.name), container, None, previous)
    return Cursor("key", (*container.path, ""), container)
