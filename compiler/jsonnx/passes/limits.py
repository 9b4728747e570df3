"""Refuses networks whose weights cannot be held, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..diagnostics import JsonPath
from ..graph import Graph
from .shapes import TypedNetwork

LIMIT = 1 << 31
"""Bytes of all weights together: what one ONNX file can hold."""


def too_heavy(typed: TypedNetwork, graph: Graph) -> Iterator[tuple[JsonPath, str]]:
    """Where and why, for the layer with which the weights pass the limit; nothing where they do not."""
    total = 0
    for name, value in {**graph.parameters, **graph.states}.items():
        total += 4 * prod(value.shape) if value.type.is_fixed() else 0
        if total > LIMIT:
            layer = name.split("/")[0]
            wanted = f"with {layer!r} the weights take {size_text(total)}, the limit is {size_text(LIMIT)}"
            yield typed.network.paths[layer], f"{wanted} ({name} alone has shape {list(value.shape)})"
            return


def size_text(size: int) -> str:
    """A number of bytes: `4.0 TB`."""
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:,.1f} {unit}"
