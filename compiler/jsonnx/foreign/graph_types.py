"""The types of the results of a prepared graph, for given types of its inputs."""

from __future__ import annotations

from functools import lru_cache

from ..core.types import TensorType
from ..ir import Builder, Value
from .emit_graph import emit_graph
from .prepared_graph import ForeignWeight, read_graph_text


@lru_cache(maxsize=256)
def output_types(text: str, names: tuple[str, ...], types: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    """The types of the values of these names in the graph of a text. Raises ShapeError, UnreadableGraph."""
    graph, g = read_graph_text(text), Builder()
    inputs: dict[str, Value] = {}
    for index, (declared, type) in enumerate(zip(graph.inputs_of(names), types, strict=True)):
        x = g.input(f"input_{index}", type)
        inputs[declared.name] = x if "float" in declared.dtype else g.cast(x, declared.dtype)

    def weight(declared: ForeignWeight) -> Value:
        is_real = "float" in declared.dtype
        return Value(TensorType("float32" if is_real else declared.dtype, declared.shape))

    return tuple(value.type for value in emit_graph(g, graph, inputs, names, weight))
