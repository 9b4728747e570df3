"""The tree of a JSON text, which may be half written, with the offsets of all its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from ...core.diagnostics import JsonPath

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Kind = Literal["object", "array", "string", "number", "constant", "word"]


class Node:
    """A value or a key. `start` and `end` are offsets of its text, quotes and brackets included."""

    __slots__ = ("end", "is_closed", "kind", "parent", "scalar", "start", "step")
    members: Sequence[Member] = ()
    items: Sequence[Node] = ()
    member_by_key: Mapping[str, Member] = {}
    is_read = True

    def __init__(self, kind: Kind, start: int, end: int, scalar: Json = None, is_closed: bool = True) -> None:
        self.kind, self.start, self.end, self.scalar = kind, start, end, scalar
        self.is_closed = is_closed
        """Whether a string has its closing quote, a container its closing bracket."""
        self.parent: Container | None = None
        self.step: str | int | None = None
        """The key or the index of the value in its parent."""

    @property
    def path(self) -> JsonPath:
        """The keys and indexes that lead from the root to this value."""
        steps: list[str | int] = []
        node: Node | None = self
        while node is not None and node.step is not None:
            steps.append(node.step)
            node = node.parent
        return tuple(reversed(steps))

    @property
    def key(self) -> Member | None:
        """The key of the value; None for an item of an array, and for the root."""
        return self.parent.member_by_key.get(self.step) if self.parent and isinstance(self.step, str) else None

    def get(self, step: str | int) -> Node | None:
        """The value of a key, or the item with an index."""
        if isinstance(step, int):
            return self.items[step] if 0 <= step < len(self.items) else None
        member = self.member_by_key.get(step)
        return member.value if member is not None else None

    def member(self, key: str) -> Member | None:
        """The member with a key; of several, the first with a value."""
        return self.member_by_key.get(key)

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

    def to_json(self) -> Json:
        """The JSON value, without what is unfinished."""
        values: dict[Node, Json] = {}
        for node in reversed([*self.descendants()]):
            if node.is_read and node.kind == "object":
                pairs = ((member.name, member.value) for member in node.members)
                values[node] = {key: values[value] for key, value in pairs if value and value.kind != "word"}
            elif node.is_read and node.kind == "array":
                values[node] = [values[item] for item in node.items]
            else:
                values[node] = None if node.kind == "word" else node.scalar
        return values[self]

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


class Container(Node):
    """An object or an array."""

    __slots__ = ("is_read", "items", "member_by_key", "members")

    def __init__(self, kind: Kind, start: int) -> None:
        super().__init__(kind, start, start + 1)
        self.is_read = True
        """Whether the values in it are in the tree. If not, `scalar` is its JSON value."""
        self.members: list[Member] = []
        self.items: list[Node] = []
        self.member_by_key: dict[str, Member] = {}


class Member(Node):
    """A key of an object, with its value, which may be missing."""

    __slots__ = ("colon", "name", "value")

    def __init__(self, kind: Kind, start: int, end: int, name: str, is_closed: bool = True) -> None:
        super().__init__(kind, start, end, name, is_closed)
        self.name = name
        self.colon: int | None = None
        """The offset of the colon."""
        self.value: Node | None = None
