"""A graph under construction that knows to which layer the nodes belong that are emitted next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .draft import GraphDraft
from .graph import JsonPath, Node, Origin, RecomputedRegion


class ScopedDraft(GraphDraft):
    """A graph under construction, with the origin of the nodes that are emitted next."""

    def __init__(self) -> None:
        super().__init__()
        self._origin = Origin()

    @contextmanager
    def _with_origin(self, origin: Origin) -> Iterator[None]:
        before, self._origin = self._origin, origin
        try:
            yield
        finally:
            self._origin = before

    @contextmanager
    def scope(self, scope: str, path: JsonPath | None = None) -> Iterator[None]:
        """Nodes emitted inside belong to this layer, nested in the current one. Without a path they keep the current
        path."""
        outer = self._origin
        full = f"{outer.scope}/{scope}" if outer.scope and scope else scope or outer.scope
        with self._with_origin(outer._replace(scope=full, path=outer.path if path is None else path)):
            yield

    @contextmanager
    def inherit(self, node: Node) -> Iterator[None]:
        """Nodes emitted inside inherit the origin of a node."""
        with self._with_origin(Origin(node.scope, node.path, node.detached, node.region)):
            yield

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Nodes emitted inside count as constant in the gradient."""
        with self._with_origin(self._origin._replace(detached=True)):
            yield

    @contextmanager
    def recomputed(self) -> Iterator[None]:
        """The backward pass computes the results of the nodes emitted inside again, instead of keeping them."""
        with self._with_origin(self._origin._replace(region=RecomputedRegion())):
            yield

    @property
    def scope_and_path(self) -> tuple[str, JsonPath]:
        """The scope and the path of the nodes that are emitted now."""
        return self._origin.scope, self._origin.path
