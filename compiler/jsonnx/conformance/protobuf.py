"""The wire format of the protocol's gRPC messages, written by hand so that broken messages can be sent, too."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .verdicts import Violation

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BITS = 70


class Field(NamedTuple):
    """One field of a message: its number, its kind, and whether it is repeated.

    A kind is a scalar's name, the table of a message, or `map` with the table of a value.
    """

    number: int
    kind: Any
    is_repeated: bool = False


Message = Mapping[str, Field]

PARAMETER: Message = {
    "bool_param": Field(1, "bool"),
    "int64_param": Field(2, "int64"),
    "string_param": Field(3, "string"),
    "double_param": Field(4, "double"),
    "uint64_param": Field(5, "uint64"),
}
PARAMETERS: Message = {"key": Field(1, "string"), "value": Field(2, PARAMETER)}
"""An entry of a map from names to parameters; a map is a repeated field of such entries."""
CONTENTS: Message = {
    "bool_contents": Field(1, "bool", True),
    "int_contents": Field(2, "int32", True),
    "int64_contents": Field(3, "int64", True),
    "uint_contents": Field(4, "uint32", True),
    "uint64_contents": Field(5, "uint64", True),
    "fp32_contents": Field(6, "float", True),
    "fp64_contents": Field(7, "double", True),
    "bytes_contents": Field(8, "bytes", True),
}
TENSOR: Message = {
    "name": Field(1, "string"),
    "datatype": Field(2, "string"),
    "shape": Field(3, "int64", True),
    "parameters": Field(4, PARAMETERS, True),
    "contents": Field(5, CONTENTS),
}
REQUESTED_OUTPUT: Message = {"name": Field(1, "string"), "parameters": Field(2, PARAMETERS, True)}
_INFER: Message = {
    "model_name": Field(1, "string"),
    "model_version": Field(2, "string"),
    "id": Field(3, "string"),
    "parameters": Field(4, PARAMETERS, True),
}
INFER_REQUEST: Message = {
    **_INFER,
    "inputs": Field(5, TENSOR, True),
    "outputs": Field(6, REQUESTED_OUTPUT, True),
    "raw_input_contents": Field(7, "bytes", True),
}
INFER_RESPONSE: Message = {
    **_INFER,
    "outputs": Field(5, TENSOR, True),
    "raw_output_contents": Field(6, "bytes", True),
}
NOTHING: Message = {}
LIVE: Message = {"live": Field(1, "bool")}
READY: Message = {"ready": Field(1, "bool")}
MODEL_REQUEST: Message = {"name": Field(1, "string"), "version": Field(2, "string")}
SERVER_METADATA: Message = {
    "name": Field(1, "string"),
    "version": Field(2, "string"),
    "extensions": Field(3, "string", True),
}
MODEL_METADATA: Message = {
    "name": Field(1, "string"),
    "versions": Field(2, "string", True),
    "platform": Field(3, "string"),
    "inputs": Field(4, TENSOR, True),
    "outputs": Field(5, TENSOR, True),
}
INDEX_REQUEST: Message = {"repository_name": Field(1, "string"), "ready": Field(2, "bool")}
INDEX: Message = {
    "models": Field(
        1,
        {
            "name": Field(1, "string"),
            "version": Field(2, "string"),
            "state": Field(3, "string"),
            "reason": Field(4, "string"),
        },
        True,
    )
}
LOAD_REQUEST: Message = {"repository_name": Field(1, "string"), "model_name": Field(2, "string")}


def encode(message: Message, values: Mapping[str, Any]) -> bytes:
    return b"".join(_encode_field(message[name], value) for name, value in values.items())


def _encode_field(field: Field, value: Any) -> bytes:
    if field.is_repeated and field.kind in PACKED:
        return _length_delimited(field.number, b"".join(_scalar(field.kind, item) for item in value))
    items: Iterable[Any] = value if field.is_repeated else [value]
    return b"".join(_encode_item(field, item) for item in items)


def _encode_item(field: Field, item: Any) -> bytes:
    if isinstance(field.kind, Mapping):
        return _length_delimited(field.number, encode(field.kind, item))
    if field.kind in ("string", "bytes"):
        return _length_delimited(field.number, item.encode() if isinstance(item, str) else item)
    wire = {"double": FIXED64, "float": FIXED32}.get(field.kind, VARINT)
    return varint(field.number << 3 | wire) + _scalar(field.kind, item)


def _length_delimited(number: int, data: bytes) -> bytes:
    return varint(number << 3 | LENGTH) + varint(len(data)) + data


PACKED = ("bool", "int32", "int64", "uint32", "uint64", "float", "double")


def _scalar(kind: str, value: Any) -> bytes:
    if kind in ("float", "double"):
        return struct.pack("<f" if kind == "float" else "<d", value)
    return varint(int(value) & (1 << 64) - 1)  # negative numbers have ten bytes


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def decode(message: Message, data: bytes) -> dict[str, Any]:
    """The fields of a message, with the protocol buffers' defaults for absent ones. Unknown fields are skipped."""
    found: dict[str, Any] = {
        name: [] if field.is_repeated else None if isinstance(field.kind, Mapping) else DEFAULTS[field.kind]
        for name, field in message.items()
    }
    names = {field.number: name for name, field in message.items()}
    for number, wire, content in _wire_fields(data):
        name = names.get(number)
        if name is None:
            continue
        field = message[name]
        if field.is_repeated:
            is_packed = wire == LENGTH and field.kind in PACKED if isinstance(field.kind, str) else False
            found[name] += _unpacked(field.kind, content) if is_packed else [_decoded(field.kind, content)]
        else:
            found[name] = _decoded(field.kind, content)
    return found


DEFAULTS = {**dict.fromkeys(PACKED, 0), "bool": False, "string": "", "bytes": b""}


def _decoded(kind: Any, content: Any) -> Any:
    if isinstance(kind, Mapping):
        return decode(kind, content)
    if kind in ("float", "double"):
        return struct.unpack("<f" if kind == "float" else "<d", content)[0]
    if kind == "string":
        return bytes(content).decode()
    if kind == "bool":
        return bool(content)
    return content - (1 << 64) if kind in ("int32", "int64") and content >= 1 << 63 else content


def _unpacked(kind: str, data: bytes) -> list[Any]:
    if kind in ("float", "double"):
        code, size = ("f", 4) if kind == "float" else ("d", 8)
        return list(struct.unpack(f"<{len(data) // size}{code}", data))
    values, start = [], 0
    while start < len(data):
        value, start = _read_varint(data, start)
        values.append(_decoded(kind, value))
    return values


def _wire_fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """The number, the wire type and the content of each field."""
    start = 0
    while start < len(data):
        tag, start = _read_varint(data, start)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            content, start = _read_varint(data, start)
            yield number, wire, content
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire)
        if wire == LENGTH:
            size, start = _read_varint(data, start)
        if size is None or start + size > len(data):
            raise Violation("a message of protocol buffers", f"a broken one: {data[:40]!r}")
        yield number, wire, data[start : start + size]
        start += size


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, MAX_VARINT_BITS, 7):
        if start >= len(data):
            break
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise Violation("a message of protocol buffers", f"a broken number: {data[:40]!r}")
