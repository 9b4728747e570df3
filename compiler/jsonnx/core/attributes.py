"""The declarations of the attributes of components, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .codecs import Codec, Json


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()
"""The default of an attribute that must be given."""


class Attribute(NamedTuple):
    """The declaration of an attribute, apart from its type."""

    default: Any
    doc: str
    bounds: Mapping[str, float]
    """By keyword of JSON Schema: `minimum`, `exclusiveMaximum`, ..."""
    unsupported: str | None
    """The reason why only the default is supported; None if all values are."""


def attr(
    default: Any = REQUIRED,
    *,
    doc: str,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    unsupported: str | None = None,
) -> Any:
    """Declares an attribute of a component.

    `minimum` and `maximum` are inclusive bounds, `above` and `below` exclusive ones. `unsupported` gives the reason why
    only the default is supported: any other value is an error.
    """
    keywords = {"minimum": minimum, "maximum": maximum, "exclusiveMinimum": above, "exclusiveMaximum": below}
    bounds = {keyword: bound for keyword, bound in keywords.items() if bound is not None}
    return Attribute(default, doc, bounds, unsupported)


def attribute_schema(attribute: Attribute, codec: Codec) -> dict[str, Json]:
    """The JSON Schema of an attribute's values."""
    if attribute.unsupported is not None:
        return {"const": attribute.default, "description": f"{attribute.doc} {attribute.unsupported}"}
    schema = _with_bounds(codec.schema(), attribute.bounds)
    schema["description"] = attribute.doc
    if attribute.default is not REQUIRED:
        schema["default"] = codec.write(codec.read(attribute.default))
    return schema


def _with_bounds(schema: dict[str, Json], bounds: Mapping[str, float]) -> dict[str, Json]:
    """The schema with bounds on every number in it, also in arrays, objects and alternatives."""
    if not bounds:
        return schema
    kind = schema.get("type")
    if kind in ("integer", "number") or (isinstance(kind, list) and {"integer", "number"} & set(kind)):
        schema = schema | dict(bounds)
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            schema = schema | {keyword: _with_bounds(schema[keyword], bounds)}
    if "anyOf" in schema:
        schema = schema | {"anyOf": [_with_bounds(option, bounds) for option in schema["anyOf"]]}
    return schema
