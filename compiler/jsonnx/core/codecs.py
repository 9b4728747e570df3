"""Codecs: how a value of some type is written in JSON, read from it, and described by a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Json = Any
"""A JSON value: dict, list, str, int, float, bool or None."""


class Codec(Protocol):
    """Reads the JSON form of a value, writes it, and describes it by a schema."""

    def schema(self) -> dict[str, Json]: ...
    def read(self, value: Json) -> Any: ...
    def write(self, value: Any) -> Json: ...


class ScalarCodec:
    """A scalar with the same form in JSON and in Python; `schema` is its JSON Schema."""

    def __init__(self, **schema: Json) -> None:
        self._schema = schema

    def schema(self) -> dict[str, Json]:
        return dict(self._schema)

    def read(self, value: Json) -> Any:
        return value

    write = read


class IntegerCodec(ScalarCodec):
    """An integer. JSON Schema counts `3.0` as an integer, too; it is read as 3."""

    def __init__(self) -> None:
        super().__init__(type="integer")

    def read(self, value: Json) -> int:
        return int(value)


class NumberCodec(ScalarCodec):
    """A number, read as a float."""

    def __init__(self) -> None:
        super().__init__(type="number")

    def read(self, value: Json) -> float:
        return float(value)


class NullableCodec:
    """A value or null."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def schema(self) -> dict[str, Json]:
        inner = self.codec.schema()
        if isinstance(inner.get("type"), str):
            inner["type"] = [inner["type"], "null"]
            if "enum" in inner:
                inner["enum"] = [*inner["enum"], None]
            return inner
        if "anyOf" in inner:
            return {"anyOf": [*inner["anyOf"], {"type": "null"}]}
        return {"anyOf": [inner, {"type": "null"}]}

    def read(self, value: Json) -> Any:
        return None if value is None else self.codec.read(value)

    def write(self, value: Any) -> Json:
        return None if value is None else self.codec.write(value)


class ArrayCodec:
    """A list, of exactly `length` items if that is given; read as a tuple."""

    def __init__(self, codec: Codec, length: int | None = None) -> None:
        self.codec, self.length = codec, length

    def schema(self) -> dict[str, Json]:
        schema: dict[str, Json] = {"type": "array", "items": self.codec.schema()}
        return schema if self.length is None else schema | {"minItems": self.length, "maxItems": self.length}

    def read(self, value: Json) -> tuple[Any, ...]:
        return tuple(self.codec.read(item) for item in value)

    def write(self, value: Any) -> Json:
        return [self.codec.write(item) for item in value]


class DictCodec:
    """A JSON object with arbitrary keys, whose values have one codec."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def schema(self) -> dict[str, Json]:
        return {"type": "object", "additionalProperties": self.codec.schema()}

    def read(self, value: Json) -> dict[str, object]:
        return {name: self.codec.read(item) for name, item in value.items()}

    def write(self, value: dict[str, object]) -> Json:
        return {name: self.codec.write(item) for name, item in value.items()}


class SpatialSizesCodec:
    """A size per spatial axis, or one integer for all axes, as in Keras; read as a tuple of `rank` integers."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def schema(self) -> dict[str, Json]:
        size = {"type": "integer"}
        return {"anyOf": [size, {"type": "array", "items": size, "minItems": self.rank, "maxItems": self.rank}]}

    def read(self, value: Json) -> tuple[int, ...]:
        return (int(value),) * self.rank if isinstance(value, (int, float)) else tuple(map(int, value))

    def write(self, value: tuple[int, ...]) -> Json:
        return value[0] if len(set(value)) == 1 else list(value)


class UnionCodec:
    """A value of one of several types, where Keras accepts each of them.

    Every codec comes with a predicate; a value is read and written by the first codec whose predicate holds for it. The
    formatter calls predicates with invalid values, too.
    """

    def __init__(self, *codecs: tuple[Callable[[Json], bool], Codec]) -> None:
        self.codecs = codecs

    def schema(self) -> dict[str, Json]:
        return {"anyOf": [codec.schema() for _, codec in self.codecs]}

    def read(self, value: Json) -> Any:
        return next(codec.read(value) for accepts, codec in self.codecs if accepts(value))

    def write(self, value: Any) -> Json:
        return next(codec.write(value) for accepts, codec in self.codecs if accepts(value))


def is_string(value: Json) -> bool:
    return isinstance(value, str)


def is_list(value: Json) -> bool:
    return isinstance(value, (list, tuple))
