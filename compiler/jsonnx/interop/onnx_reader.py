"""Reads signature, metadata and operator counts of an untrusted ONNX file, without loading weights or other files.

Does not use the onnx package. Inconsistent files raise DecodeError. Field numbers are from onnx.proto,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod
from typing import IO, NamedTuple

from ..core.limits import MAX_ONNX_AXES, MAX_ONNX_GRAPH_DEPTH, MAX_ONNX_TEXT_BYTES
from .protobuf_reader import BufferedFile, DecodeError, Message, to_signed_int64

MAX_VARINT_BYTES = 10
"""Bytes of the longest encoding of one integer."""

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
"""Bits per element of raw data; 8 for other types. Strings have no raw data."""


class OnnxType(NamedTuple):
    """The type of an input or output. A size is a number, a name, or None if unknown. A value that is not a tensor has
    its kind, such as `sequence`, as dtype and no shape."""

    dtype: str
    shape: tuple[int | str | None, ...] | None


class OnnxTensor(NamedTuple):
    """An initializer or constant; `external_location` is the file with its data, if that is not in the model."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    external_location: str | None

    @property
    def element_count(self) -> int:
        return prod(self.shape)

    @property
    def data_bytes(self) -> int:
        """The bytes of its raw data, which strings lack."""
        return (self.element_count * BITS_PER_ELEMENT.get(self.dtype, 8) + 7) // 8


@dataclass
class OnnxFile:
    """The contents of a model file, without weights."""

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
    constants: list[OnnxTensor] = field(default_factory=list)
    """The tensors of Constant nodes."""
    operator_counts: Counter[str] = field(default_factory=Counter)
    """Number of nodes by operator, subgraphs included; `domain:Op` for operators of other domains."""
    functions: list[str] = field(default_factory=list)
    external_files: list[str] = field(default_factory=list)
    """Other files that the model refers to for weights."""
    ort_format: str = ""
    """The version of the ORT format; empty for an ONNX file."""

    @property
    def weight_bytes(self) -> dict[str, int]:
        """The bytes of the weights by element type, the most bytes first; strings are left out."""
        counts: Counter[str] = Counter()
        for tensor in (*self.initializers, *self.constants):
            if tensor.dtype != "string":
                counts[tensor.dtype] += tensor.data_bytes
        return dict(counts.most_common())


def read_onnx(file: IO[bytes]) -> OnnxFile:
    """Reads an ONNX file. Raises DecodeError if it is not an ONNX model or is inconsistent."""
    data = BufferedFile(file)
    model = OnnxFile(data.size)
    graphs: list[Message] = []
    for number, value in Message(data, 0, data.size).fields():
        if number == 1:
            model.ir_version = _as_integer(value)
        elif number == 2:
            model.producer = _as_text(value)
        elif number == 3:
            model.producer_version = _as_text(value)
        elif number == 7:
            graphs.append(_as_message(value))
        elif number == 8:
            fields = dict(_as_message(value).fields())
            model.opsets[_as_text(fields.get(1))] = _as_integer(fields.get(2, 0))
        elif number == 14:
            key, text = _key_value(value)
            if key in model.metadata:
                raise DecodeError(f"its metadata contains {key!r} twice")
            model.metadata[key] = text
        elif number == 25:
            fields = dict(_as_message(value).fields())
            model.functions.append(_as_text(fields.get(1)))
    if len(graphs) != 1 or not model.ir_version or not model.opsets:
        raise DecodeError("it is not an ONNX model" if not graphs else "it lacks versions or has several graphs")
    _GraphReader(model).read_graph(graphs[0], ())
    locations = {tensor.external_location for tensor in (*model.initializers, *model.constants)}
    model.external_files = sorted(location for location in locations if location is not None)
    return model


NameScopes = tuple[set[str], ...]
"""The values that are defined in a graph, and in each of the enclosing graphs."""


class _GraphReader:
    """Reads graphs into an OnnxFile, and checks that every value is defined once and before its use."""

    def __init__(self, file: OnnxFile) -> None:
        self.file = file

    def read_graph(self, graph: Message, outer_scopes: NameScopes) -> None:
        if len(outer_scopes) > MAX_ONNX_GRAPH_DEPTH:
            raise DecodeError(f"graphs are nested deeper than {MAX_ONNX_GRAPH_DEPTH} levels")
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
        initializers: set[str] = set()
        for tensor in tensors:
            _require_undefined(tensor.name, initializers)
            initializers.add(tensor.name)
        self.file.initializers += tensors
        if not outer_scopes:
            self.file.inputs = {name: type for name, type in inputs.items() if name not in initializers}
            self.file.outputs = outputs
        scopes = (inputs.keys() | initializers, *outer_scopes)
        for node in nodes:
            self._read_node(node, scopes)
        for name in outputs:
            if not any(name in names for names in scopes):
                raise DecodeError(f"its output {name!r} is not defined")

    def _read_node(self, node: Message, scopes: NameScopes) -> None:
        op, domain, outputs, attributes = "", "", [], []
        for number, value in node.fields():
            if number == 1 and (name := _as_text(value)) and not any(name in names for names in scopes):
                raise DecodeError(f"a node uses {name!r} before it is defined")
            if number == 2:
                outputs.append(_as_text(value))
            elif number == 4:
                op = _as_text(value)
            elif number == 5:
                attributes.append(_as_message(value))
            elif number == 7:
                domain = _as_text(value)
        domain = "" if domain == "ai.onnx" else domain
        self.file.operator_counts[f"{domain}:{op}" if domain else op] += 1
        for attribute in attributes:
            self._read_attribute(attribute, scopes, is_constant=op == "Constant" and not domain)
        for name in filter(None, outputs):
            _require_undefined(name, scopes[0])
            scopes[0].add(name)

    def _read_attribute(self, attribute: Message, scopes: NameScopes, is_constant: bool) -> None:
        for number, value in attribute.fields():
            if number in (6, 11):
                self.read_graph(_as_message(value), scopes)
            elif number in (5, 10, 22, 23):
                tensor = _read_tensor(_as_message(value), sparse=number > 20)
                if is_constant:
                    self.file.constants.append(tensor)
                elif tensor.external_location is not None:
                    self.file.initializers.append(tensor)


def _require_undefined(name: str, defined: Iterable[str]) -> None:
    if name in defined:
        raise DecodeError(f"{name!r} is defined twice")


# -- parts -------------------------------------------------------------------------------------------------------------


def _as_integer(value: int | Message | None) -> int:
    if not isinstance(value, int):
        raise DecodeError("an integer is missing")
    return to_signed_int64(value)


def _as_message(value: int | Message | None) -> Message:
    if not isinstance(value, Message):
        raise DecodeError("an integer is in place of a message")
    return value


def _as_text(value: int | Message | None) -> str:
    if value is None:
        return ""
    message = _as_message(value)
    if message.size > MAX_ONNX_TEXT_BYTES:
        raise DecodeError(f"a string has {message.size:,} bytes")
    return message.text()


def _key_value(value: int | Message | None) -> tuple[str, str]:
    fields = dict(_as_message(value).fields())
    return _as_text(fields.get(1)), _as_text(fields.get(2))


def _read_tensor(message: Message, sparse: bool = False) -> OnnxTensor:
    """Reads a tensor, or the values of a sparse tensor, and checks the size of its data."""
    if sparse:
        parts = [_read_tensor(_as_message(value)) for number, value in message.fields() if number in (1, 2)]
        if not parts:
            raise DecodeError("a sparse tensor has no values")
        locations = (part.external_location for part in parts if part.external_location is not None)
        return parts[0]._replace(external_location=next(locations, None))
    name, dtype, raw_bytes, has_typed_data, is_external = "", "", None, False, False
    shape: list[int] = []
    external: dict[str, str] = {}
    for number, value in message.fields():
        if number == 1:
            shape += [_as_integer(value)] if isinstance(value, int) else _read_axes(_as_message(value))
            require_rank(len(shape))
        elif number == 2:
            dtype = DTYPES.get(_as_integer(value), "")
        elif number == 8:
            name = _as_text(value)
        elif number == 9:
            raw_bytes = _as_message(value).size
        elif number == 13:
            key, text = _key_value(value)
            external[key] = text
        elif number == 14:
            is_external = _as_integer(value) == 1
        has_typed_data = has_typed_data or number in (4, 5, 6, 7, 10, 11)
    tensor = OnnxTensor(name, dtype, tuple(shape), external.get("location", "") if is_external else None)
    require_tensor_data(tensor, raw_bytes, has_typed_data, external)
    return tensor


def _read_axes(packed: Message) -> list[int]:
    require_rank(packed.size // MAX_VARINT_BYTES)
    return list(packed.integers())


def require_rank(rank: int) -> None:
    """Raises DecodeError if a tensor has too many axes."""
    if rank > MAX_ONNX_AXES:
        raise DecodeError(f"a tensor has more than {MAX_ONNX_AXES} axes")


def require_tensor_data(
    tensor: OnnxTensor, raw_bytes: int | None, has_typed_data: bool, external: dict[str, str]
) -> None:
    """Raises DecodeError for a tensor of unknown type or impossible shape, or whose data have another size.

    `raw_bytes` is the size of its raw data, `external` says where the data of an external tensor are.
    """
    description = f"its tensor {tensor.name!r}"
    if not tensor.dtype:
        raise DecodeError(f"{description} has an unknown type")
    if any(size < 0 for size in tensor.shape) or tensor.element_count >= 1 << 63:
        raise DecodeError(f"{description} has the invalid shape {list(tensor.shape)[:8]}")
    if tensor.external_location is not None:
        numbers = [external.get(key, "0") for key in ("offset", "length")]
        if not tensor.external_location or not all(number.isascii() and number.isdigit() for number in numbers):
            raise DecodeError(f"{description} does not state where its data is")
    elif raw_bytes is not None:
        if raw_bytes != tensor.data_bytes or tensor.dtype == "string":
            raise DecodeError(f"{description} needs {tensor.data_bytes:,} bytes, but has {raw_bytes:,}")
    elif tensor.element_count and not has_typed_data:
        raise DecodeError(f"{description} has no data")


def _read_value_info(value: Message) -> tuple[str, OnnxType]:
    fields = dict(value.fields())
    name = _as_text(fields.get(1))
    kinds = dict(_as_message(fields[2]).fields()) if 2 in fields else {}
    if 1 not in kinds:
        other_kinds = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}
        return name, OnnxType(next((kind for number, kind in other_kinds.items() if number in kinds), "unknown"), None)
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
