"""Reads untrusted FlatBuffers by a schema, and writes them: the same values always give the same bytes.

A table is a dict of the fields that it has. See https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from .protobuf_reader import DecodeError

Table = dict[str, Any]
Schema = Mapping[str, Mapping[str, str | None]]
"""The fields of each table in the order of their slots, with their types: a scalar, `string`, `bytes`, a table, a
vector `[TYPE]`, or the name of the field before it, which chooses among `UNIONS`. None is a deprecated field."""

SCALARS = {"int8": "b", "uint8": "B", "int32": "i", "uint32": "I", "int64": "q", "float32": "f"}
STRUCTS = {"EdgeEnd": "IiI"}
"""Structs by name, with their numbers in the format of `struct`."""
UNIONS: Mapping[str, tuple[str, ...]] = {"value_type": ("", "TensorTypeAndShape", "SequenceType", "MapType")}
"""The tables of a union by the field that chooses one."""

MAX_DEPTH = 64
"""Maximum nesting of tables, as in the verifier of FlatBuffers."""
BYTES_ALIGNMENT = 16
"""The alignment of vectors of bytes, so that onnxruntime may use tensors in place."""
MAX_BYTES = (1 << 31) - 1
"""Maximum size of a FlatBuffer, whose offsets are signed 32-bit integers."""


class UnknownField(DecodeError):
    """A table has a field that the schema lacks."""


def read_flatbuffer(data: bytes, schema: Schema, root: str) -> Table:
    """The root table of a FlatBuffer; vectors of bytes are views of `data`. Raises DecodeError."""
    return _Reader(data, schema).table(root, 0, 0)


class _Reader:
    def __init__(self, data: bytes, schema: Schema) -> None:
        self._data, self._view, self._schema = data, memoryview(data), schema
        self._parts_left = len(data)  # parts may be shared, and then expand without end
        self._strings: dict[int, str] = {}
        self._vtables: dict[tuple[str, int], list[tuple[str, str, int]]] = {}

    def _numbers(self, format: str, position: int) -> tuple[Any, ...]:
        if not 0 <= position <= len(self._data) - struct.calcsize("<" + format):
            raise DecodeError("an offset leads out of the file")
        return struct.unpack_from("<" + format, self._data, position)

    def _target(self, position: int) -> int:
        """The position that the offset at a position leads to."""
        return position + int(self._numbers("I", position)[0])

    def _count(self, parts: int) -> None:
        self._parts_left -= parts
        if self._parts_left < 0:
            raise DecodeError("its parts are more than its bytes")

    def table(self, name: str, position: int, depth: int) -> Table:
        """The table that the offset at a position leads to."""
        if depth > MAX_DEPTH:
            raise DecodeError(f"tables are nested deeper than {MAX_DEPTH} levels")
        self._count(1)
        start = self._target(position)
        vtable = start - self._numbers("i", start)[0]
        values: Table = {}
        for field, type, offset in self._fields(name, vtable):
            type = _union_table(type, values) if type in UNIONS else type
            values[field] = self._value(type, start + offset, depth)
        return values

    def _fields(self, name: str, vtable: int) -> list[tuple[str, str, int]]:
        """The fields of a vtable, with their types and offsets. Tables share vtables, each of which is read once."""
        if (name, vtable) not in self._vtables:
            vtable_bytes = self._numbers("H", vtable)[0]
            slots = self._numbers(f"{max(0, vtable_bytes - 4) // 2}H", vtable + 4)
            self._count(len(slots))
            known, fields = [*self._schema[name].items()], []
            for index, offset in enumerate(slots):
                field, type = known[index] if index < len(known) else ("", None)
                if offset and type is None:
                    raise UnknownField(f"{name} has the unknown field {index}")
                if offset and type is not None:
                    fields.append((field, type, offset))
            self._vtables[name, vtable] = fields
        return self._vtables[name, vtable]

    def _value(self, type: str, position: int, depth: int) -> Any:
        if type in SCALARS:
            return self._numbers(SCALARS[type], position)[0]
        if type == "string":
            return self._string(self._target(position))
        if type == "bytes":
            start, count = self._vector(position, 1)
            return self._view[start : start + count]
        return self._items(type[1:-1], position, depth) if type[0] == "[" else self.table(type, position, depth + 1)

    def _items(self, type: str, position: int, depth: int) -> list[Any]:
        """The items of a vector."""
        if type in STRUCTS:
            size = struct.calcsize("<" + STRUCTS[type])
            start, count = self._vector(position, size)
            return [self._numbers(STRUCTS[type], start + size * index) for index in range(count)]
        if type in SCALARS:
            start, count = self._vector(position, struct.calcsize("<" + SCALARS[type]))
            return [*self._numbers(f"{count}{SCALARS[type]}", start)]
        start, count = self._vector(position, 4)
        return [self._value(type, start + 4 * index, depth) for index in range(count)]

    def _vector(self, position: int, item_bytes: int) -> tuple[int, int]:
        """The position of the items of a vector, and their number."""
        start = self._target(position)
        count = self._numbers("I", start)[0]
        if count * item_bytes > len(self._data) - start - 4:
            raise DecodeError("a vector leads out of the file")
        self._count(count)
        return start + 4, count

    def _string(self, start: int) -> str:
        if start not in self._strings:
            count = self._numbers("I", start)[0]
            text = self._data[start + 4 : start + 4 + count]
            if len(text) < count:
                raise DecodeError("a string leads out of the file")
            self._strings[start] = text.decode("utf-8", "surrogateescape")
        return self._strings[start]


def _union_table(selector: str, values: Mapping[str, Any]) -> str:
    index = values.get(selector, 0)
    if not 0 < index < len(UNIONS[selector]):
        raise UnknownField(f"the union {selector} has the unknown type {index}")
    return UNIONS[selector][index]


def write_flatbuffer(root: Table, schema: Schema, name: str, identifier: bytes) -> bytes:
    """The bytes of a FlatBuffer. Raises DecodeError if they exceed `MAX_BYTES`."""
    return _Writer(schema).file(root, name, identifier)


class _Writer:
    """Appends tables and vectors, then strings and bytes, so that all offsets lead forwards."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._out = bytearray()
        self._vtables: dict[bytes, int] = {}
        self._strings: dict[str, list[int]] = {}
        """The positions of the offsets that lead to each string."""
        self._blobs: list[tuple[int, Any]] = []

    def file(self, root: Table, name: str, identifier: bytes) -> bytes:
        self._out += bytes(4) + identifier
        self._table(root, name, 0)
        for text, positions in self._strings.items():
            data = text.encode("utf-8", "surrogateescape")
            self._align(4, 0)
            for position in positions:
                self._link(position)
            self._out += struct.pack("<I", len(data)) + data + b"\0"
        for position, data in self._blobs:
            self._align(BYTES_ALIGNMENT, 4)
            self._link(position)
            self._out += struct.pack("<I", len(data))
            self._out += data
        self._align(8, 0)
        if len(self._out) > MAX_BYTES:
            raise DecodeError(f"it has {len(self._out):,} bytes, and a FlatBuffer holds {MAX_BYTES:,}")
        return bytes(self._out)

    def _align(self, alignment: int, before: int) -> None:
        """Appends zeros until what follows `before` bytes is aligned."""
        self._out += bytes(-(len(self._out) + before) % alignment)

    def _link(self, position: int) -> None:
        """Sets the offset at a position to the end of what is written."""
        struct.pack_into("<I", self._out, position, (len(self._out) - position) & 0xFFFFFFFF)

    def _table(self, values: Table, name: str, link: int) -> None:
        fields = self._schema[name]
        formats = {field: SCALARS.get(type or "", "I") for field, type in fields.items() if field in values}
        # The largest fields come first, so that none needs padding after the offset of the vtable and the first four
        # bytes; a field of eight bytes is aligned by them.
        sizes = {field: struct.calcsize("<" + format) for field, format in formats.items()}
        order = sorted(sizes, key=lambda field: -sizes[field])
        alignment = max([4, *sizes.values()])
        offsets: dict[str, int] = {}
        size = alignment
        for field in order:
            offsets[field] = size
            size += sizes[field]
        vtable = self._vtable([offsets.get(field, 0) for field in fields], size)
        self._align(alignment, 0)
        start = len(self._out)
        self._link(link)
        self._out += bytes(size)
        struct.pack_into("<i", self._out, start, start - vtable)
        for field in order:
            type, position = fields[field] or "", start + offsets[field]
            self._field(values[field], _union_table(type, values) if type in UNIONS else type, position)

    def _vtable(self, offsets: list[int], size: int) -> int:
        """The position of a vtable, which tables with the same fields share."""
        while offsets and not offsets[-1]:
            offsets.pop()
        data = struct.pack(f"<{len(offsets) + 2}H", 4 + 2 * len(offsets), size, *offsets)
        if data not in self._vtables:
            self._align(2, 0)
            self._vtables[data] = len(self._out)
            self._out += data
        return self._vtables[data]

    def _field(self, value: Any, type: str, position: int) -> None:
        if type in SCALARS:
            struct.pack_into("<" + SCALARS[type], self._out, position, value)
        elif type == "string":
            self._strings.setdefault(value, []).append(position)
        elif type == "bytes":
            self._blobs.append((position, value))
        elif type[0] == "[":
            self._vector(value, type[1:-1], position)
        else:
            self._table(value, type, position)

    def _vector(self, items: list[Any], type: str, position: int) -> None:
        format = STRUCTS.get(type) or SCALARS.get(type, "I")
        self._align(max(4, *(struct.calcsize("<" + code) for code in format)), 4)
        self._link(position)
        self._out += struct.pack("<I", len(items))
        start = len(self._out)
        if type in STRUCTS or type in SCALARS:
            numbers: Iterable[Any] = (number for item in items for number in item) if type in STRUCTS else items
            self._out += struct.pack("<" + format * len(items), *numbers)
            return
        self._out += bytes(4 * len(items))
        for index, item in enumerate(items):
            self._field(item, type, start + 4 * index)
