"""What an ONNX file says of itself, read from its bytes: without onnx, without weights, without another file.

Comes in: an open file from anyone. Goes out: `OnnxFile`. What the bytes contradict raises Damaged. Field numbers are
those of onnx.proto, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import IO, NamedTuple

from .protobuf_reader import BufferedFile, DecodeError, Message, to_signed_int64

MAX_GRAPH_DEPTH = 16
"""Graphs inside graphs, as in Loop and If."""

MAX_TEXT_BYTES = 64 * 2**20
"""Bytes of one text: the spec is the longest."""

DTYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool"},
    **{10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
    **{17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz"},
    **{21: "uint4", 22: "int4", 23: "float4e2m1"},
}
BITS_PER_ELEMENT = {
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("uint4", "int4", "float4e2m1"), 4),
    "complex128": 128,
}
"""Bits of an element; 8 of the others, and none of a string, which has no raw form."""


class OnnxType(NamedTuple):
    """The type of an input or output; a size is a number, a name, or None where nothing is said. What is no tensor has
    its kind as dtype and no shape."""

    dtype: str
    shape: tuple[int | str | None, ...] | None


class OnnxTensor(NamedTuple):
    """An initializer or constant: `external_location` is where its data is said to be, if not in the model."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    external_location: str | None

    @property
    def element_count(self) -> int:
        return prod(self.shape)


@dataclass
class OnnxFile:
    """The contents of a model, as far as they are about the model itself."""

    size_bytes: int
    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    name: str = ""
    inputs: dict[str, OnnxType] = field(default_factory=dict)
    outputs: dict[str, OnnxType] = field(default_factory=dict)
    initializers: list[OnnxTensor] = field(default_factory=list)
    operator_counts: Counter[str] = field(default_factory=Counter)
    """How many nodes there are of each, those inside of others too; before a colon the domain, if it is not ONNX'."""
    functions: list[str] = field(default_factory=list)
    external_files: list[str] = field(default_factory=list)
    """The other files that weights are said to be in."""


def read_onnx(file: IO[bytes]) -> OnnxFile:
    """Raises Damaged where it is no ONNX model, or one that contradicts itself."""
    data = BufferedFile(file)
    found = OnnxFile(data.size)
    graphs: list[Message] = []
    for number, value in Message(data, 0, data.size).fields():
        if number == 1:
            found.ir_version = _as_integer(value)
        elif number == 2:
            found.producer = _as_text(value)
        elif number == 3:
            found.producer_version = _as_text(value)
        elif number == 7:
            graphs.append(_as_message(value))
        elif number == 8:
            fields = dict(_as_message(value).fields())
            found.opsets[_as_text(fields.get(1))] = _as_integer(fields.get(2, 0))
        elif number == 14:
            key, text = _key_value(value)
            if key in found.metadata:
                raise DecodeError(f"its metadata has {key!r} twice")
            found.metadata[key] = text
        elif number == 25:
            fields = dict(_as_message(value).fields())
            found.functions.append(_as_text(fields.get(1)))
    if len(graphs) != 1 or not found.ir_version or not found.opsets:
        raise DecodeError("it is no ONNX model" if not graphs else "it lacks versions or has several graphs")
    _GraphReader(found).read_graph(graphs[0], ())
    found.external_files = sorted(
        {tensor.external_location for tensor in found.initializers if tensor.external_location is not None}
    )
    return found


NameScopes = tuple[set[str], ...]
"""What is known in a graph, and in each of those around it."""


class _GraphReader:
    """Reads graphs into the file's contents, and holds what each takes against what is there."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file

    def read_graph(self, graph: Message, outer_scopes: NameScopes) -> None:
        if len(outer_scopes) > MAX_GRAPH_DEPTH:
            raise DecodeError(f"graphs lie inside graphs deeper than {MAX_GRAPH_DEPTH} levels")
        nodes: list[Message] = []
        tensors: list[OnnxTensor] = []
        inputs: dict[str, OnnxType] = {}
        outputs: dict[str, OnnxType] = {}
        for number, value in graph.fields():
            if number == 1:
                nodes.append(_as_message(value))
            elif number == 2 and not outer_scopes:
                self.file.name = _as_text(value)
            elif number in (5, 15):
                tensors.append(_read_tensor(_as_message(value), sparse=number == 15))
            elif number in (11, 12):
                name, type = _read_value_info(_as_message(value))
                _require_undefined(name, inputs if number == 11 else outputs)
                (inputs if number == 11 else outputs)[name] = type
        given: set[str] = set()
        for tensor in tensors:
            _require_undefined(tensor.name, given)
            given.add(tensor.name)
        self.file.initializers += tensors
        if not outer_scopes:
            self.file.inputs = {name: type for name, type in inputs.items() if name not in given}
            self.file.outputs = outputs
        known = (inputs.keys() | given, *outer_scopes)
        for node in nodes:
            self._read_node(node, known)
        for name in outputs:
            if not any(name in names for names in known):
                raise DecodeError(f"nothing makes its output {name!r}")

    def _read_node(self, node: Message, scopes: NameScopes) -> None:
        op, domain, made, attributes = "", "", [], []
        for number, value in node.fields():
            if number == 1 and (name := _as_text(value)) and not any(name in names for names in scopes):
                raise DecodeError(f"nothing before it makes {name!r}, which a node takes")
            if number == 2:
                made.append(_as_text(value))
            elif number == 4:
                op = _as_text(value)
            elif number == 5:
                attributes.append(_as_message(value))
            elif number == 7:
                domain = _as_text(value)
        domain = "" if domain == "ai.onnx" else domain
        self.file.operator_counts[f"{domain}:{op}" if domain else op] += 1
        for attribute in attributes:
            self._read_attribute(attribute, scopes)
        for name in filter(None, made):
            _require_undefined(name, scopes[0])
            scopes[0].add(name)

    def _read_attribute(self, attribute: Message, scopes: NameScopes) -> None:
        for number, value in attribute.fields():
            if number in (6, 11):
                self.read_graph(_as_message(value), scopes)
            elif number in (5, 10, 22, 23):
                tensor = _read_tensor(_as_message(value), sparse=number > 20)
                if tensor.external_location is not None:
                    self.file.initializers.append(tensor)


def _require_undefined(name: str, defined: Iterable[str]) -> None:
    if name in defined:
        raise DecodeError(f"{name!r} is made twice")


# -- parts -------------------------------------------------------------------------------------------------------------


def _as_integer(value: int | Message | None) -> int:
    if not isinstance(value, int):
        raise DecodeError("a number is missing")
    return to_signed_int64(value)


def _as_message(value: int | Message | None) -> Message:
    if not isinstance(value, Message):
        raise DecodeError("a number stands where more should")
    return value


def _as_text(value: int | Message | None) -> str:
    if value is None:
        return ""
    message = _as_message(value)
    if message.size > MAX_TEXT_BYTES:
        raise DecodeError(f"a text has {message.size:,} bytes")
    return message.text()


def _key_value(value: int | Message | None) -> tuple[str, str]:
    fields = dict(_as_message(value).fields())
    return _as_text(fields.get(1)), _as_text(fields.get(2))


def _read_tensor(message: Message, sparse: bool = False) -> OnnxTensor:
    """A tensor, its data held against its shape; of a sparse one its values."""
    if sparse:
        parts = [_read_tensor(_as_message(value)) for number, value in message.fields() if number in (1, 2)]
        if not parts:
            raise DecodeError("a sparse tensor has no values")
        return parts[0]._replace(
            external_location=next(
                (part.external_location for part in parts if part.external_location is not None), None
            )
        )
    name, dtype, raw, given, apart = "", "", None, False, False
    shape: list[int] = []
    external: dict[str, str] = {}
    for number, value in message.fields():
        if number == 1:
            shape += [_as_integer(value)] if isinstance(value, int) else _as_message(value).integers()
        elif number == 2:
            dtype = DTYPES.get(_as_integer(value), "")
        elif number == 8:
            name = _as_text(value)
        elif number == 9:
            raw = _as_message(value).size
        elif number == 13:
            key, told = _key_value(value)
            external[key] = told
        elif number == 14:
            apart = _as_integer(value) == 1
        given = given or number in (4, 5, 6, 7, 10, 11)
    made = OnnxTensor(name, dtype, tuple(shape), external.get("location", "") if apart else None)
    _check_tensor_data(made, raw, given, external)
    return made


def _check_tensor_data(
    tensor: OnnxTensor, raw_bytes: int | None, has_typed_data: bool, external: dict[str, str]
) -> None:
    what = f"its tensor {tensor.name!r}"
    if not tensor.dtype:
        raise DecodeError(f"{what} is of an unknown type")
    if any(size < 0 for size in tensor.shape) or tensor.element_count >= 1 << 63:
        raise DecodeError(f"{what} has the shape {list(tensor.shape)[:8]}")
    if tensor.external_location is not None:
        numbers = [external.get(key, "0") for key in ("offset", "length")]
        if not tensor.external_location or not all(number.isascii() and number.isdigit() for number in numbers):
            raise DecodeError(f"{what} does not say where its data is")
    elif raw_bytes is not None:
        wanted = (tensor.element_count * BITS_PER_ELEMENT.get(tensor.dtype, 8) + 7) // 8
        if raw_bytes != wanted or tensor.dtype == "string":
            raise DecodeError(f"{what} needs {wanted:,} bytes and has {raw_bytes:,}")
    elif tensor.element_count and not has_typed_data:
        raise DecodeError(f"{what} has no data")


def _read_value_info(value: Message) -> tuple[str, OnnxType]:
    fields = dict(value.fields())
    name = _as_text(fields.get(1))
    kinds = dict(_as_message(fields[2]).fields()) if 2 in fields else {}
    if 1 not in kinds:
        others = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}
        return name, OnnxType(next((word for number, word in others.items() if number in kinds), "unknown"), None)
    tensor = dict(_as_message(kinds[1]).fields())
    dtype = DTYPES.get(_as_integer(tensor.get(1, 0)), "unknown")
    if 2 not in tensor:
        return name, OnnxType(dtype, None)
    sizes = [dict(_as_message(size).fields()) for number, size in _as_message(tensor[2]).fields() if number == 1]
    return name, OnnxType(dtype, tuple(_dimension(size) for size in sizes))


def _dimension(fields: dict[int, int | Message]) -> int | str | None:
    if 2 in fields:
        return _as_text(fields[2]) or None
    return _as_integer(fields[1]) if 1 in fields else None
