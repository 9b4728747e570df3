"""The interface of a builder that loops, conditionals and adapters use, so that they need not import it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

from ..core.types import Dim
from .graph import JsonPath, Node, Value


class Emitter(Protocol):
    """Emits operators: `g.Concat(a, b, axis=0)` appends a node and returns its typed result. See `Builder`."""

    nodes: list[Node]
    stack_parts: dict[Value, Sequence[Value]]

    def __getattr__(self, operator: str) -> Any: ...

    @property
    def scope_and_path(self) -> tuple[str, JsonPath]: ...

    def subgraph_builder(self) -> Self: ...

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value: ...

    def refine(self, value: Value, shape: Sequence[Dim]) -> Value: ...
