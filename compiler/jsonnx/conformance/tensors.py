"""Tensors of the protocol: their datatypes, synthesized values, and both encodings."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .verdicts import Violation, require


class Datatype(NamedTuple):
    """How `struct` writes an element, and the range of integers."""

    code: str
    minimum: int | None = None
    maximum: int | None = None

    @property
    def is_integer(self) -> bool:
        return self.minimum is not None

    @property
    def is_float(self) -> bool:
        return self.code in ("e", "f", "d")


def _integer(code: str, bits: int, is_signed: bool) -> Datatype:
    return Datatype(code, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else Datatype(code, 0, 2**bits - 1)


BYTES = "BYTES"
DATATYPES = {
    "BOOL": Datatype("?"),
    "UINT8": _integer("B", 8, False),
    "UINT16": _integer("H", 16, False),
    "UINT32": _integer("I", 32, False),
    "UINT64": _integer("Q", 64, False),
    "INT8": _integer("b", 8, True),
    "INT16": _integer("h", 16, True),
    "INT32": _integer("i", 32, True),
    "INT64": _integer("q", 64, True),
    "FP16": Datatype("e"),
    "FP32": Datatype("f"),
    "FP64": Datatype("d"),
    BYTES: Datatype(""),
}
"""The table "Tensor Data Types" of the protocol."""
EXTRA_DATATYPES = ("BF16",)
"""Datatypes that the text of the protocol mentions beside its table."""
TEXTS = ("a", "b", "cat", "dog")
TOLERANCE = 1e-4
"""Relative difference of floats that the order of additions explains."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or an output, as the model's metadata declare it; -1 stands for a variable size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A tensor with its elements in row-major order. Elements of BYTES are text or bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    elements: tuple[Any, ...]

    def document(self, nested: bool = False) -> dict[str, Any]:
        data = nest(self.elements, self.shape) if nested else list(self.elements)
        return {"name": self.name, "shape": list(self.shape), "datatype": self.datatype, "data": data}

    def content(self) -> bytes:
        """The elements in binary form."""
        if self.datatype != BYTES:
            return struct.pack(f"<{len(self.elements)}{DATATYPES[self.datatype].code}", *self.elements)
        encoded = [e.encode() if isinstance(e, str) else e for e in self.elements]
        return b"".join(struct.pack("<I", len(element)) + element for element in encoded)

    def rows(self, start: int, stop: int) -> Tensor:
        """Part of the first axis."""
        size = math.prod(self.shape[1:])
        part = self.elements[start * size : stop * size]
        return replace(self, shape=(stop - start, *self.shape[1:]), elements=part)

    def equals(self, other: Tensor, is_exact: bool = False) -> bool:
        if (self.name, self.datatype, self.shape) != (other.name, other.datatype, other.shape):
            return False
        if not DATATYPES[self.datatype].is_float or is_exact:
            return self.texts() == other.texts()
        return all(
            a == b or (a != a and b != b) or math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            for a, b in zip(self.elements, other.elements, strict=True)
        )

    def texts(self) -> list[Any]:
        return [element.decode() if isinstance(element, bytes) else element for element in self.elements]


def synthesize(spec: TensorSpec, rows: int, size: int, rng: random.Random) -> Tensor:
    """Values that any model should take: a small set of numbers and words, with `size` for variable sizes."""
    sizes = [rows if axis == 0 and dim < 0 else size if dim < 0 else dim for axis, dim in enumerate(spec.shape)]
    elements = tuple(_value(spec.datatype, rng) for _ in range(math.prod(sizes)))
    return Tensor(spec.name, spec.datatype, tuple(sizes), elements)


def _value(datatype: str, rng: random.Random) -> Any:
    if datatype == BYTES:
        return rng.choice(TEXTS)
    kind = DATATYPES[datatype]
    if kind.is_float:
        return rng.randrange(64) / 64  # exact also in 16 bits
    return rng.random() < 0.5 if datatype == "BOOL" else rng.randrange(2)


def nest(elements: Sequence[Any], shape: Sequence[int]) -> Any:
    """Elements as nested lists; an element itself for a scalar."""
    if not shape:
        return elements[0]
    size = math.prod(shape[1:])
    return [nest(elements[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def flatten(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from flatten(item)
    else:
        yield data


def parse_binary(datatype: str, data: bytes) -> tuple[Any, ...]:
    """The elements of binary data. Raises Violation if their sizes are wrong."""
    if datatype != BYTES:
        size = struct.calcsize(DATATYPES[datatype].code)
        require(len(data) % size == 0, f"a multiple of {size} bytes for {datatype}", f"{len(data)} bytes")
        return struct.unpack(f"<{len(data) // size}{DATATYPES[datatype].code}", data)
    elements, start = [], 0
    while start < len(data):
        try:
            (length,) = struct.unpack_from("<I", data, start)
        except struct.error:
            raise Violation(
                "a length of 4 bytes before each element", f"{len(data) - start} bytes at the end"
            ) from None
        elements.append(data[start + 4 : start + 4 + length])
        require(len(elements[-1]) == length, f"an element of {length} bytes", f"{len(elements[-1])} bytes")
        start += 4 + length
    return tuple(elements)


def parse_output(document: Any) -> Tensor:
    """Checks an output of a JSON answer and returns it."""
    require(isinstance(document, dict), "an output that is an object", document)
    for key, kind in (("name", str), ("datatype", str), ("shape", list), ("data", list)):
        require(isinstance(document.get(key), kind), f"an output with {key!r}", {**document, "data": "..."})
    name, datatype, shape = document["name"], document["datatype"], parse_shape(document["shape"])
    require(datatype in DATATYPES or datatype in EXTRA_DATATYPES, "a datatype of the protocol's table", datatype)
    elements = tuple(flatten(document["data"]))
    require(len(elements) == math.prod(shape), f"{math.prod(shape)} elements for shape {shape}", f"{len(elements)}")
    for element in elements:
        require(_fits(datatype, element), f"elements of {datatype}", element)
    return Tensor(name, datatype, shape, elements)


def parse_shape(shape: list[Any]) -> tuple[int, ...]:
    for dim in shape:
        require(type(dim) is int and dim >= 0, "sizes that are unsigned integers", shape)
    return tuple(shape)


def _fits(datatype: str, element: Any) -> bool:
    """Whether an element of JSON is a value of a datatype."""
    kind = DATATYPES.get(datatype, Datatype("f"))
    if datatype == BYTES:
        return isinstance(element, str)
    if datatype == "BOOL":
        return isinstance(element, bool) or element in (0, 1)
    if kind.minimum is not None and kind.maximum is not None:
        return type(element) is int and kind.minimum <= element <= kind.maximum
    return type(element) in (int, float)
