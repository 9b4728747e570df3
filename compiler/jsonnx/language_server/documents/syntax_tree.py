"""A tolerant JSON reader: the tree of a text that may be half written, with the offsets of all its parts.

It reports nothing, since the strict reader does. A text that is no JSON gets the tree that its author probably means:
an unfinished string ends with its line, a missing comma or colon is inserted, and a container without its closing
bracket ends before the first line that is not indented more than the line it begins in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Literal

from ...core.diagnostics import JsonPath
from ...core.limits import MAX_JSON_DEPTH
from ...frontend.json.json_reader import Json

Kind = Literal["object", "array", "string", "number", "constant", "word"]


@dataclass(eq=False, repr=False)
class Node:
    """A value or a key. `start` and `end` are offsets of its text, quotes and brackets included."""

    kind: Kind
    start: int
    end: int
    parent: Node | None = None
    step: str | int | None = None
    """The key or the index of the value in its parent."""
    scalar: Json = None
    members: list[Member] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    is_closed: bool = True
    """Whether a string has its closing quote, a container its closing bracket."""

    @property
    def path(self) -> JsonPath:
        """The keys and indexes that lead from the root to this value."""
        steps: list[str | int] = []
        node: Node | None = self
        while node is not None and node.step is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))

    def get(self, step: str | int) -> Node | None:
        """The value of a key, or the item with an index."""
        if isinstance(step, int):
            return self.items[step] if 0 <= step < len(self.items) else None
        values = (member.value for member in self.members if member.key.scalar == step)
        return next((value for value in values if value is not None), None)

    def member(self, key: str) -> Member | None:
        """The first member with a key."""
        return next((member for member in self.members if member.key.scalar == key), None)

    def at(self, path: JsonPath) -> Node | None:
        """The value at a path below this one."""
        node: Node | None = self
        for step in path:
            node = node.get(step) if node is not None else None
        return node

    def text(self, key: str) -> str | None:
        """The value of a key if it is a string."""
        node = self.get(key)
        return node.scalar if node is not None and isinstance(node.scalar, str) and node.kind == "string" else None

    def value(self) -> Json:
        """The JSON value, without what is unfinished."""
        if self.kind == "object":
            pairs = ((member.key.scalar, member.value) for member in self.members)
            return {str(key): value.value() for key, value in pairs if value is not None and value.kind != "word"}
        if self.kind == "array":
            return [item.value() for item in self.items]
        return None if self.kind == "word" else self.scalar

    def children(self) -> Iterator[Node]:
        """The values in this one."""
        yield from self.items
        yield from (member.value for member in self.members if member.value is not None)

    def descendants(self) -> Iterator[Node]:
        """This value and all values in it, in the order of the text."""
        stack = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed([*node.children()]))


@dataclass(eq=False, repr=False)
class Member:
    """A key of an object with its value, which may be missing."""

    key: Node
    colon: int | None = None
    """The offset of the colon."""
    value: Node | None = None


MAX_OPEN_CONTAINERS = 1_000
"""Containers inside one another at which the rest of a text is left out; deeper than any spec."""

_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\ufeff]|//[^\n\r]*|/\*[\s\S]*?(?:\*/|\Z))+)
    | (?P<string>"(?:[^"\\\n\r]|\\.)*+")
    | (?P<open>"(?:[^"\\\n\r]|\\.)*+\\?)       # a string without its closing quote
    | (?P<punctuation>[{}\[\]:,])
    | (?P<word>[^\s{}\[\]:,"]+)
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\Z")
_CONSTANTS = {"true": True, "false": False, "null": None}

Token = tuple[str, int, int, bool]
"""Kind (a bracket, `:`, `,`, or the name of a group), start, end, and whether it is the first of its line."""


def parse(text: str) -> Node | None:
    """The tree of a text; None if it contains no value."""
    tokens = list(_tokens(text))
    parser = _Parser(text, tokens, by_indentation=False)
    root = parser.parse()
    if parser.is_repaired:
        root = _Parser(text, tokens, by_indentation=True).parse()
    return root


def _tokens(text: str) -> Iterator[Token]:
    first = True
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:  # a lone control character
            offset += 1
            continue
        kind, start, offset = str(match.lastgroup), offset, match.end()
        if kind == "space":
            first = first or "\n" in match[0] or "\r" in match[0]
            continue
        if kind == "open":
            offset = start + max(1, len(match[0].rstrip(" \t,]}")))  # what closes its containers does not belong to it
        yield match[0] if kind == "punctuation" else kind, start, offset, first
        first = False


class _Parser:
    """Reads the tokens of one text. Without recursion: `open` are the containers that are not closed."""

    def __init__(self, text: str, tokens: list[Token], by_indentation: bool) -> None:
        self.text, self.tokens, self.by_indentation = text, tokens, by_indentation
        self.root: Node | None = None
        self.open: list[Node] = []
        self.indents: list[int] = []
        self.line_starts: list[int] = []
        """For each open container, the indentation of the line in which it begins, and the offset of that line."""
        self.indent = self.line_start = 0
        self.is_repaired = False
        self.last_end = 0

    def parse(self) -> Node | None:
        for index, token in enumerate(self.tokens):
            kind, start, end, is_first = token
            if is_first:
                self.line_start = max(self.text.rfind("\n", 0, start), self.text.rfind("\r", 0, start)) + 1
                self.indent = start - self.line_start
                if self.by_indentation and kind not in "}]":
                    self.close_less_indented()
            if kind in ("{", "["):
                self.add_container(kind, start, end)
            elif kind in ("}", "]"):
                self.close(kind, end)
            elif kind == ":":
                self.add_colon(start)
            elif kind == ",":
                pass
            else:
                before = self.tokens[index - 1][0] if index else ""
                self.add_scalar(token, before, self.tokens[index + 1][0] if index + 1 < len(self.tokens) else "")
            self.last_end = end
            if len(self.open) > MAX_OPEN_CONTAINERS:
                break
        while self.open:
            self.close_unfinished(len(self.text))
        return self.root

    def close_less_indented(self) -> None:
        """Closes the containers that began in an earlier line, and that this line is not inside of."""
        while len(self.open) > 1 and self.line_starts[-1] < self.line_start and self.indents[-1] >= self.indent:
            self.close_unfinished(self.last_end)

    def close_unfinished(self, end: int) -> None:
        """Ends the innermost container, which has no closing bracket."""
        node = self.open.pop()
        self.indents.pop()
        self.line_starts.pop()
        node.end, node.is_closed, self.is_repaired = end, False, True

    def waiting_member(self) -> Member | None:
        """The last member of the innermost container, if it has no value yet."""
        members = self.open[-1].members if self.open else []
        return members[-1] if members and members[-1].value is None else None

    def place(self, node: Node) -> bool:
        """Adds a value where one is expected. Returns whether there is such a place."""
        if not self.open:
            if self.root is None:
                self.root = node
                return True
            self.is_repaired = True
            return False
        container = self.open[-1]
        if container.kind == "array":
            node.parent, node.step = container, len(container.items)
            container.items.append(node)
            return True
        member = self.waiting_member()
        if member is None or member.colon is None:
            self.is_repaired = True
            return False
        node.parent, node.step, member.value = container, str(member.key.scalar), node
        return True

    def add_container(self, bracket: str, start: int, end: int) -> None:
        node = Node("object" if bracket == "{" else "array", start, end)
        if bracket == "{":
            self.close_objects_without_place()
        is_placed = len(self.open) < MAX_JSON_DEPTH and self.place(node)
        if not is_placed:  # its contents are read, and belong to nothing
            self.is_repaired = True
        self.open.append(node)
        self.indents.append(self.indent)
        self.line_starts.append(self.line_start)

    def close_objects_without_place(self) -> None:
        """Where a key is expected, an object begins: the innermost one, an item of a list, was not closed."""
        if len(self.open) > 1 and self.open[-1].kind == "object" and self.open[-2].kind == "array":
            member = self.waiting_member()
            if member is None or member.colon is None:
                self.close_unfinished(self.last_end)

    def close(self, bracket: str, end: int) -> None:
        """Closes the innermost container of this bracket; those in it end here, too."""
        kind = "object" if bracket == "}" else "array"
        if not any(node.kind == kind for node in self.open):
            self.is_repaired = True
            return
        while self.open[-1].kind != kind:
            self.close_unfinished(self.last_end)
        node = self.open.pop()
        self.indents.pop()
        self.line_starts.pop()
        node.end = end
        if node.members and node.members[-1].value is None:
            self.is_repaired = True

    def add_colon(self, start: int) -> None:
        member = self.waiting_member()
        if member is None or member.colon is not None:
            self.is_repaired = True
        else:
            member.colon = start

    def add_scalar(self, token: Token, previous_kind: str, next_kind: str) -> None:
        """Adds a key, or a value; a string before a colon is a key where a value is missing, too."""
        kind, start, end, _ = token
        node = _scalar(self.text, kind, start, end)
        self.is_repaired |= kind == "open" or node.kind == "word"
        if self.open and self.open[-1].kind == "object":
            member = self.waiting_member()
            if member is None or member.colon is None or (next_kind == ":" and (token[3] or previous_kind == ",")):
                self.is_repaired |= member is not None or node.kind != "string"
                if node.kind != "string":
                    node.scalar = self.text[start:end]
                node.parent = self.open[-1]
                self.open[-1].members.append(Member(node))
                return
        self.place(node)


def _scalar(text: str, kind: str, start: int, end: int) -> Node:
    """The node of a string, a number, a constant, or another word."""
    raw = text[start:end]
    if kind == "string":
        try:
            value = raw[1:-1] if "\\" not in raw else scanstring(text, start + 1, False)[0]
        except JSONDecodeError:
            value = raw[1:-1]
        return Node("string", start, end, scalar=value)
    if kind == "open":
        return Node("string", start, end, scalar=raw[1:], is_closed=False)
    if raw in _CONSTANTS:
        return Node("constant", start, end, scalar=_CONSTANTS[raw])
    if len(raw) <= 640 and (number := _NUMBER.match(raw)):
        return Node("number", start, end, scalar=float(raw) if number[1] or number[2] else int(raw))
    return Node("word", start, end, scalar=raw)
