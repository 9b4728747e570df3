"""Shapes as text."""

from __future__ import annotations

from collections.abc import Iterable

from ...core.types import Dim


def keras_shape_text(shape: Iterable[Dim | str | None]) -> str:
    """`(batch, 28, 28, 1)`; a single size has a comma after it, and an unknown size is `?`."""
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
