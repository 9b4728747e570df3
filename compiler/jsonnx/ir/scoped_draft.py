"""A graph under construction that knows to which layer the nodes belong that are emitted next."""

from __future__ import annotations

from .draft import GraphDraft
from .graph import JsonPath, Node, Origin, RecomputedRegion


class OriginContext:
    """Gives the nodes that are emitted inside another origin. A class, since a generator takes three times as long."""

    __slots__ = ("_draft", "_origin", "_outer")

    def __init__(self, draft: ScopedDraft, origin: Origin) -> None:
        self._draft, self._origin = draft, origin

    def __enter__(self) -> None:
        self._outer, self._draft._origin = self._draft._origin, self._origin

    def __exit__(self, *_: object) -> None:
        self._draft._origin = self._outer


class ScopedDraft(GraphDraft):
    """A graph under construction, with the origin of the nodes that are emitted next."""

    def __init__(self) -> None:
        super().__init__()
        self._origin = Origin()

    def _with_origin(self, origin: Origin) -> OriginContext:
        return OriginContext(self, origin)

    def scope(self, scope: str, path: JsonPath | None = None) -> OriginContext:
        """Nodes emitted inside belong to this layer, nested in the current one. Without a path they keep the current
        path."""
        outer = self._origin
        full = f"{outer.scope}/{scope}" if outer.scope and scope else scope or outer.scope
        path = outer.path if path is None else path
        return self._with_origin(outer._replace(scope=full, path=path))

    def inherit(self, node: Node) -> OriginContext:
        """Nodes emitted inside inherit the origin of a node."""
        return self._with_origin(Origin(node.scope, node.path, node.detached, node.region))

    def detached(self) -> OriginContext:
        """Nodes emitted inside count as constant in the gradient."""
        return self._with_origin(self._origin._replace(detached=True))

    def straight_through(self) -> OriginContext:
        """The gradient of the first operand of each node emitted inside is the gradient of its result."""
        return self._with_origin(self._origin._replace(straight_through=True))

    def recomputed(self) -> OriginContext:
        """The backward pass computes the results of the nodes emitted inside again, instead of keeping them."""
        return self._with_origin(self._origin._replace(region=RecomputedRegion()))

    @property
    def scope_and_path(self) -> tuple[str, JsonPath]:
        """The scope and the path of the nodes that are emitted now."""
        return self._origin.scope, self._origin.path
