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

from .protobuf_reader import Bytes, Damaged, Message, signed

DEPTH = 16
"""Graphs inside graphs, as in Loop and If."""

TEXT = 64 * 2**20
"""Bytes of one text: the spec is the longest."""

DTYPES = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool"},
    **{10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16"},
    **{17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz"},
    **{21: "uint4", 22: "int4", 23: "float4e2m1"},
}
BITS = {
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("float64", "int64", "uint64", "complex64"), 64),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("uint4", "int4", "float4e2m1"), 4),
    "complex128": 128,
}
"""Bits of an element; 8 of the others, and none of a string, which has no raw form."""


class Typed(NamedTuple):
    """The type of an input or output; a size is a number, a name, or None where nothing is said. What is no tensor has
    its kind as dtype and no shape."""

    dtype: str
    shape: tuple[int | str | None, ...] | None


class Tensor(NamedTuple):
    """An initializer or constant: `external` is where its data is said to be, if not in the model."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    external: str | None

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass
class OnnxFile:
    """The contents of a model, as far as they are about the model itself."""

    size: int
    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    name: str = ""
    inputs: dict[str, Typed] = field(default_factory=dict)
    outputs: dict[str, Typed] = field(default_factory=dict)
    initializers: list[Tensor] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    """How many nodes there are of each, those inside of others too; before a colon the domain, if it is not ONNX'."""
    functions: list[str] = field(default_factory=list)
    external: list[str] = field(default_factory=list)
    """The other files that weights are said to be in."""


def read_onnx(file: IO[bytes]) -> OnnxFile:
    """Raises Damaged where it is no ONNX model, or one that contradicts itself."""
    data = Bytes(file)
    found = OnnxFile(data.size)
    graphs: list[Message] = []
    for number, value in Message(data, 0, data.size).fields():
        if number == 1:
            found.ir_version = _integer(value)
        elif number == 2:
            found.producer = _text(value)
        elif number == 3:
            found.producer_version = _text(value)
        elif number == 7:
            graphs.append(_message(value))
        elif number == 8:
            fields = dict(_message(value).fields())
            found.opsets[_text(fields.get(1))] = _integer(fields.get(2, 0))
        elif number == 14:
            key, text = _entry(value)
            if key in found.metadata:
                raise Damaged(f"its metadata has {key!r} twice")
            found.metadata[key] = text
        elif number == 25:
            fields = dict(_message(value).fields())
            found.functions.append(_text(fields.get(1)))
    if len(graphs) != 1 or not found.ir_version or not found.opsets:
        raise Damaged("it is no ONNX model" if not graphs else "it lacks versions or has several graphs")
    _Graph(found).read(graphs[0], ())
    found.external = sorted({tensor.external for tensor in found.initializers if tensor.external is not None})
    return found


Names = tuple[set[str], ...]
"""What is known in a graph, and in each of those around it."""


class _Graph:
    """Reads graphs into the file's contents, and holds what each takes against what is there."""

    def __init__(self, found: OnnxFile) -> None:
        self.found = found

    def read(self, graph: Message, outside: Names) -> None:
        if len(outside) > DEPTH:
            raise Damaged(f"graphs lie inside graphs deeper than {DEPTH} levels")
        nodes: list[Message] = []
        tensors: list[Tensor] = []
        inputs: dict[str, Typed] = {}
        outputs: dict[str, Typed] = {}
        for number, value in graph.fields():
            if number == 1:
                nodes.append(_message(value))
            elif number == 2 and not outside:
                self.found.name = _text(value)
            elif number in (5, 15):
                tensors.append(_tensor(_message(value), sparse=number == 15))
            elif number in (11, 12):
                name, type = _typed(_message(value))
                _once(name, inputs if number == 11 else outputs)
                (inputs if number == 11 else outputs)[name] = type
        given: set[str] = set()
        for tensor in tensors:
            _once(tensor.name, given)
            given.add(tensor.name)
        self.found.initializers += tensors
        if not outside:
            self.found.inputs = {name: type for name, type in inputs.items() if name not in given}
            self.found.outputs = outputs
        known = (inputs.keys() | given, *outside)
        for node in nodes:
            self._node(node, known)
        for name in outputs:
            if not any(name in names for names in known):
                raise Damaged(f"nothing makes its output {name!r}")

    def _node(self, node: Message, known: Names) -> None:
        op, domain, made, attributes = "", "", [], []
        for number, value in node.fields():
            if number == 1 and (name := _text(value)) and not any(name in names for names in known):
                raise Damaged(f"nothing before it makes {name!r}, which a node takes")
            if number == 2:
                made.append(_text(value))
            elif number == 4:
                op = _text(value)
            elif number == 5:
                attributes.append(_message(value))
            elif number == 7:
                domain = _text(value)
        domain = "" if domain == "ai.onnx" else domain
        self.found.operators[f"{domain}:{op}" if domain else op] += 1
        for attribute in attributes:
            self._attribute(attribute, known)
        for name in filter(None, made):
            _once(name, known[0])
            known[0].add(name)

    def _attribute(self, attribute: Message, known: Names) -> None:
        for number, value in attribute.fields():
            if number in (6, 11):
                self.read(_message(value), known)
            elif number in (5, 10, 22, 23):
                tensor = _tensor(_message(value), sparse=number > 20)
                if tensor.external is not None:
                    self.found.initializers.append(tensor)


def _once(name: str, known: Iterable[str]) -> None:
    if name in known:
        raise Damaged(f"{name!r} is made twice")


# -- parts -------------------------------------------------------------------------------------------------------------


def _integer(value: int | Message | None) -> int:
    if not isinstance(value, int):
        raise Damaged("a number is missing")
    return signed(value)


def _message(value: int | Message | None) -> Message:
    if not isinstance(value, Message):
        raise Damaged("a number stands where more should")
    return value


def _text(value: int | Message | None) -> str:
    if value is None:
        return ""
    message = _message(value)
    if message.size > TEXT:
        raise Damaged(f"a text has {message.size:,} bytes")
    return message.text()


def _entry(value: int | Message | None) -> tuple[str, str]:
    fields = dict(_message(value).fields())
    return _text(fields.get(1)), _text(fields.get(2))


def _tensor(tensor: Message, sparse: bool = False) -> Tensor:
    """A tensor, its data held against its shape; of a sparse one its values."""
    if sparse:
        parts = [_tensor(_message(value)) for number, value in tensor.fields() if number in (1, 2)]
        if not parts:
            raise Damaged("a sparse tensor has no values")
        return parts[0]._replace(external=next((part.external for part in parts if part.external is not None), None))
    name, dtype, raw, given, apart = "", "", None, False, False
    shape: list[int] = []
    external: dict[str, str] = {}
    for number, value in tensor.fields():
        if number == 1:
            shape += [_integer(value)] if isinstance(value, int) else _message(value).integers()
        elif number == 2:
            dtype = DTYPES.get(_integer(value), "")
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _message(value).size
        elif number == 13:
            key, told = _entry(value)
            external[key] = told
        elif number == 14:
            apart = _integer(value) == 1
        given = given or number in (4, 5, 6, 7, 10, 11)
    made = Tensor(name, dtype, tuple(shape), external.get("location", "") if apart else None)
    _hold(made, raw, given, external)
    return made


def _hold(tensor: Tensor, raw: int | None, given: bool, external: dict[str, str]) -> None:
    what = f"its tensor {tensor.name!r}"
    if not tensor.dtype:
        raise Damaged(f"{what} is of an unknown type")
    if any(size < 0 for size in tensor.shape) or tensor.elements >= 1 << 63:
        raise Damaged(f"{what} has the shape {list(tensor.shape)[:8]}")
    if tensor.external is not None:
        numbers = [external.get(key, "0") for key in ("offset", "length")]
        if not tensor.external or not all(number.isascii() and number.isdigit() for number in numbers):
            raise Damaged(f"{what} does not say where its data is")
    elif raw is not None:
        wanted = (tensor.elements * BITS.get(tensor.dtype, 8) + 7) // 8
        if raw != wanted or tensor.dtype == "string":
            raise Damaged(f"{what} needs {wanted:,} bytes and has {raw:,}")
    elif tensor.elements and not given:
        raise Damaged(f"{what} has no data")


def _typed(value: Message) -> tuple[str, Typed]:
    fields = dict(value.fields())
    name = _text(fields.get(1))
    kinds = dict(_message(fields[2]).fields()) if 2 in fields else {}
    if 1 not in kinds:
        others = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}
        return name, Typed(next((word for number, word in others.items() if number in kinds), "unknown"), None)
    tensor = dict(_message(kinds[1]).fields())
    dtype = DTYPES.get(_integer(tensor.get(1, 0)), "unknown")
    if 2 not in tensor:
        return name, Typed(dtype, None)
    sizes = [dict(_message(size).fields()) for number, size in _message(tensor[2]).fields() if number == 1]
    return name, Typed(dtype, tuple(_size(size) for size in sizes))


def _size(fields: dict[int, int | Message]) -> int | str | None:
    if 2 in fields:
        return _text(fields[2]) or None
    return _integer(fields[1]) if 1 in fields else None
