"""The documented limits of structured output on the size of a schema, as of November 2026."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...core.components import Json
from ...core.diagnostics import UsageError


class SchemaSize(NamedTuple):
    """What the vendors count in a schema."""

    properties: int
    enum_values: int
    name_characters: int
    """Characters of property names, names of definitions and enum values."""
    optional_properties: int
    unions: int
    """Schemas with several types or alternatives."""


UNITS = SchemaSize(*("properties", "enum values", "characters of names", "optional properties", "unions"))  # type: ignore[arg-type]

LIMITS: Mapping[str, Mapping[str, int]] = {
    # https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas
    "openai": {"properties": 5_000, "enum_values": 1_000, "name_characters": 120_000},
    # https://platform.claude.com/docs/en/build-with-claude/structured-outputs#schema-complexity-limits
    "anthropic": {"optional_properties": 24, "unions": 16},
    # https://ai.google.dev/gemini-api/docs/structured-output names no number
    "gemini": {},
}


def require_size(schema: Mapping[str, Json], vendor: str) -> None:
    """Raises UsageError `too-large` if a schema exceeds a limit of the vendor."""
    size = size_of(schema)
    for name, limit in LIMITS[vendor].items():
        count = getattr(size, name)
        if count > limit:
            message = f"the schema has {count:,} {getattr(UNITS, name)}, and the limit of {vendor} is {limit:,}"
            raise UsageError("too-large", message, "choose fewer layers with --layers")


def size_of(schema: Mapping[str, Json]) -> SchemaSize:
    parts = [*_parts(schema)]
    texts = [*(name for part in parts for key in ("properties", "$defs") for name in part.get(key, ()))]
    values = [value for part in parts for value in part.get("enum", ())]
    return SchemaSize(
        sum(len(part.get("properties", ())) for part in parts),
        len(values),
        sum(map(len, [*texts, *values])),
        sum(len(part.get("properties", ())) - len(part.get("required", ())) for part in parts),
        sum("anyOf" in part or isinstance(part.get("type"), list) for part in parts),
    )


def _parts(schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """Yields a schema and all schemas in it."""
    yield schema
    for key in ("properties", "$defs"):
        for part in schema.get(key, {}).values():
            yield from _parts(part)
    for part in [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]:
        yield from _parts(part)
