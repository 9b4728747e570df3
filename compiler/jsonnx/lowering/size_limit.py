"""Refuses networks whose weights exceed the size of an ONNX file, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from ..analysis.shape_inference import TypedNetwork
from ..core.diagnostics import JsonPath
from ..core.limits import MAX_MODEL_BYTES, bytes_text
from ..ir import Graph


def oversized_weights(typed: TypedNetwork, graph: Graph) -> Iterator[tuple[JsonPath, str]]:
    """Yields the path of the first layer with which the weights exceed the limit, and a message; nothing if none
    does."""
    total = 0
    for name, value in {**graph.parameters, **graph.states}.items():
        total += 4 * prod(value.shape) if value.type.is_static() else 0
        if total > MAX_MODEL_BYTES:
            layer = name.split("/")[0]
            message = f"with {layer!r} the weights take {bytes_text(total)}, the limit is {bytes_text(MAX_MODEL_BYTES)}"
            yield typed.network.paths[layer], f"{message} ({name} alone has shape {list(value.shape)})"
            return
