"""Edits of a JSON value as edits of its text, which leave every other character as it is.

New text follows the document's style: its line ends, indentation, and the separators of the same object or list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ...core.diagnostics import JsonPath
from ...core.fixes import Edit, Fix, TextEdit
from ..json.json_reader import Json, Source, read_text
from ..json.syntax_tree import Node
from ..json.text_pieces import Piece, Replacement, replaced, text_edits_of, text_of
from .formatter import LINE_WIDTH, inserted_text, json_string

_LINE_END = re.compile(r"\r\n?|\n")
_INDENTATION = re.compile(r"[ \t]*")
DEFAULT_INDENTATION = "  "


class EditError(ValueError):
    """An edit does not apply to a document: its path does not exist, or its new key does."""


def text_edits(source: Source, edits: Sequence[Edit]) -> tuple[TextEdit, ...]:
    """Edits, which apply one after another, as edits of a document's text. Raises EditError."""
    pieces = [Piece(0, len(source.text))]
    current = source
    for number, edit in enumerate(edits):
        if number:
            current = read_text(text_of(pieces, source.text), source.file)
        pieces = replaced(pieces, [_replacement(current, edit)])
    return text_edits_of(pieces, source.parser.line_index)


def apply_text_edits(text: str, edits: Iterable[TextEdit]) -> str:
    """A text after edits that do not overlap."""
    parts, end = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start_offset, edit.end_offset)):
        if edit.start_offset < end:
            raise EditError("edits overlap")
        parts += [text[end : edit.start_offset], edit.text]
        end = edit.end_offset
    return "".join([*parts, text[end:]])


def compatible_fixes(fixes: Iterable[Fix]) -> list[Fix]:
    """The fixes that can be applied together: in their order, each that touches no part of the text
    that an earlier one changes."""
    chosen: list[Fix] = []
    spans: list[tuple[int, int]] = []
    for fix in fixes:
        changed = [(edit.start_offset, edit.end_offset) for edit in fix.text_edits]
        if changed and not any(map(_touches_any(spans), changed)):
            chosen.append(fix)
            spans += changed
    return chosen


def _touches_any(spans: Sequence[tuple[int, int]]) -> Callable[[tuple[int, int]], bool]:
    return lambda span: any(span[0] <= end and start <= span[1] for start, end in spans)


# -- one edit ----------------------------------------------------------------------------------------------------------


def _replacement(source: Source, edit: Edit) -> Replacement:
    if edit.op == "add":
        return _insertion(source, edit)
    node = _node(source, edit.path)
    if edit.op == "replace":
        return Replacement(node.start, node.end, _new_text(source, edit.value, node.start))
    if not edit.path:
        raise EditError("the document itself can only be replaced")
    if edit.op == "move":
        return _renamed_key(source, edit, node)
    return _removal(source, edit.path)


def _node(source: Source, path: JsonPath) -> Node:
    node = source.node(path)
    if node is None:
        raise EditError("the document has no such path")
    return node


def _renamed_key(source: Source, edit: Edit, node: Node) -> Replacement:
    key, new_key = node.key, edit.new_key
    if key is None or new_key is None:
        raise EditError("only keys of objects can be renamed")
    if new_key != edit.path[-1] and source.node((*edit.path[:-1], new_key)) is not None:
        raise EditError("the new key exists already")
    return Replacement(key.start, key.end, json_string(new_key))


class _Child(NamedTuple):
    """An entry of an object or a list: the offset of its first character, and its value."""

    start: int
    value: Node


def _children(container: Node) -> list[_Child]:
    if container.kind not in ("object", "array"):
        raise EditError("a value in neither an object nor a list")
    return [_Child((value.key or value).start, value) for value in container.children()]


def _removal(source: Source, path: JsonPath) -> Replacement:
    """Removes an entry with one comma: the one after it, or before the last entry."""
    container = _node(source, path[:-1])
    children = _children(container)
    number = [child.value.step for child in children].index(path[-1])
    if len(children) == 1:
        return Replacement(container.start + 1, container.end - 1, "")
    if number == len(children) - 1:
        return Replacement(children[number - 1].value.end, children[number].value.end, "")
    return Replacement(children[number].start, children[number + 1].start, "")


def _insertion(source: Source, edit: Edit) -> Replacement:
    if not edit.path:
        raise EditError("the document itself can only be replaced")
    text, container, step = source.text, _node(source, edit.path[:-1]), edit.path[-1]
    children = _children(container)
    if container.kind == "object":
        if not isinstance(step, str) or container.get(step) is not None:
            raise EditError("the key exists already")
        number = len(children)
    elif isinstance(step, int) and 0 <= step <= len(children):
        number = step
    else:
        raise EditError("the list has no such index")
    key = _key_text(text, children, step) if isinstance(step, str) else ""
    if not children:
        return _first_entry(source, container, key, edit.value)
    separator = _separator(text, container, children, number)
    entry = key + _new_text(source, edit.value, children[0].start, len(key))
    if number < len(children):
        return Replacement(children[number].start, children[number].start, entry + separator)
    return Replacement(children[-1].value.end, children[-1].value.end, separator + entry)


def _key_text(text: str, children: Sequence[_Child], key: str) -> str:
    """A new key with its colon, spaced like the last entry's."""
    if not children:
        return f"{json_string(key)}: "
    last = children[-1].value
    return json_string(key) + text[last.key.end if last.key else last.start : last.start]


def _separator(text: str, container: Node, children: Sequence[_Child], number: int) -> str:
    """The text between a new entry and its neighbour: the text between others of the container."""
    if len(children) > 1:
        after = min(max(number, 1), len(children) - 1)
        return text[children[after - 1].value.end : children[after].start]
    line_end = _LINE_END.search(text, container.start, children[0].start)
    if line_end is None:
        return ", "
    return "," + line_end[0] + _indentation(text, children[0].start)


def _first_entry(source: Source, container: Node, key: str, value: Json) -> Replacement:
    """Writes an entry into an empty container, on a line of its own if the brackets are on two lines."""
    text = source.text
    start, end = container.start + 1, container.end - 1
    line_end = _LINE_END.search(text, start, end)
    if line_end is None:
        return Replacement(start, end, key + _new_text(source, value, start, len(key)))
    outer = _indentation(text, start)
    inner = outer + _indentation_unit(text)
    entry = key + _value_text(source, value, inner, len(inner) + len(key))
    return Replacement(start, end, line_end[0] + inner + entry + line_end[0] + outer)


def _new_text(source: Source, value: Json, offset: int, key_columns: int = 0) -> str:
    """The text of a new value whose entry begins in the line of an offset."""
    indentation = _indentation(source.text, offset)
    columns = source.position_at(offset).column - 1 + key_columns
    return _value_text(source, value, indentation, columns)


def _value_text(source: Source, value: Json, indentation: str, columns: int) -> str:
    line_end = _LINE_END.search(source.text)
    lines = inserted_text(value, min(columns, LINE_WIDTH)).split("\n")
    return ((line_end[0] if line_end else "\n") + indentation).join(lines)


def _indentation(text: str, offset: int) -> str:
    """The spaces and tabs that begin the line of an offset."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    match = _INDENTATION.match(text, start)
    return match[0] if match else ""


def _indentation_unit(text: str) -> str:
    """The indentation of the first indented line of a document."""
    match = re.search(r"(?:\r\n?|\n)([ \t]+)[^ \t\r\n]", text)
    return match[1] if match else DEFAULT_INDENTATION
