"""Prepared graphs: an ONNX model of our operator set without its weights, and its form as a text for a spec."""

from __future__ import annotations

import base64
import bz2
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from ..core.limits import MAX_FOREIGN_GRAPH_BYTES, MAX_STRING_CHARACTERS, bytes_text
from ..ir.dtypes import dtype_name
from .module_paths import node_modules
from .needed_nodes import needed_names
from .unreadable_graph import DAMAGED, TOO_LARGE, UnreadableGraph

WEIGHTS_KEY = "weights"


class ForeignWeight(NamedTuple):
    """A tensor of a file that is a weight of the network; a state has no gradient."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_state: bool


class ForeignInput(NamedTuple):
    """An input of a file: its element type and its sizes, with a name or None for one that varies."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, eq=False)
class PreparedGraph:
    """A model whose last inputs are the weights of its file."""

    model: onnx.ModelProto

    @cached_property
    def weights(self) -> Mapping[str, ForeignWeight]:
        """By the name of the tensor."""
        entries = next((entry.value for entry in self.model.metadata_props if entry.key == WEIGHTS_KEY), "{}")
        types = {value.name: value for value in self.model.graph.input}
        try:
            return {
                tensor: _weight(str(name), types[tensor], bool(is_state))
                for tensor, (name, is_state) in json.loads(entries).items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UnreadableGraph("it has no valid list of weights", DAMAGED) from error

    @cached_property
    def inputs(self) -> list[ForeignInput]:
        values = [value for value in self.model.graph.input if value.name not in self.weights]
        return [ForeignInput(value.name, *_type(value)) for value in values]

    def inputs_of(self, values: Sequence[str]) -> list[ForeignInput]:
        """The inputs that values of these names depend on, in the order of the file."""
        read = needed_names(self.nodes, values)
        return [declared for declared in self.inputs if declared.name in read]

    @cached_property
    def constants(self) -> dict[str, np.ndarray]:
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer}

    @cached_property
    def modules(self) -> Mapping[str, str]:
        """The module of each node, such as `layer4.0.conv1`, by the names of its results."""
        return node_modules(self.nodes, {tensor: weight.name for tensor, weight in self.weights.items()})

    @property
    def output_names(self) -> list[str]:
        return [value.name for value in self.model.graph.output]

    @property
    def nodes(self) -> Sequence[onnx.NodeProto]:
        return list(self.model.graph.node)

    def to_text(self) -> str:
        """The graph as a text, in the same bytes everywhere: of bzip2 there is one implementation, of zlib there are
        several. Raises UnreadableGraph `too-large`."""
        data = self.model.SerializeToString(deterministic=True)
        text = base64.b64encode(bz2.compress(data)).decode()
        if len(data) > MAX_FOREIGN_GRAPH_BYTES or len(text) > MAX_STRING_CHARACTERS:
            limit = f"{bytes_text(MAX_FOREIGN_GRAPH_BYTES)}, and {MAX_STRING_CHARACTERS:,} compressed"
            message = f"its graph has {bytes_text(len(data))} without weights, {len(text):,} compressed; the limit is"
            raise UnreadableGraph(f"{message} {limit}", TOO_LARGE)
        return text


def _weight(name: str, value: onnx.ValueInfoProto, is_state: bool) -> ForeignWeight:
    dtype, shape = _type(value)
    return ForeignWeight(name, dtype, tuple(int(str(size)) for size in shape), is_state)


def _type(value: onnx.ValueInfoProto) -> tuple[str, tuple[int | str | None, ...]]:
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        raise UnreadableGraph(f"its input {value.name!r} is not a tensor with a known number of axes")
    sizes = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in tensor.shape.dim]
    try:
        return dtype_name(tensor.elem_type), tuple(sizes)
    except KeyError:
        raise UnreadableGraph(f"its input {value.name!r} has an element type that networks lack") from None


@lru_cache(maxsize=64)
def read_graph_text(text: str) -> PreparedGraph:
    """The graph of a text that `to_text` wrote. Raises UnreadableGraph."""
    try:
        decoder = bz2.BZ2Decompressor()
        data = decoder.decompress(base64.b64decode(text, validate=True), MAX_FOREIGN_GRAPH_BYTES)
    except (ValueError, OSError, EOFError) as error:
        raise UnreadableGraph("it is not compressed ONNX in base64", DAMAGED) from error
    if not decoder.eof or decoder.unused_data:
        raise UnreadableGraph("it is too large or incomplete", DAMAGED)
    return PreparedGraph(parsed_model(data))


def parsed_model(data: bytes) -> onnx.ModelProto:
    """The model in these bytes. Raises UnreadableGraph."""
    try:
        return onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError, whose class depends on its implementation
        raise UnreadableGraph("it is not an ONNX model", DAMAGED) from error
