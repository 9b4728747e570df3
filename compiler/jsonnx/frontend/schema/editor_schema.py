"""The schema as editors get it: the language with blocks, repetitions and expressions, which expansion takes away.

It is made from the strict schema of what is left then, and allows an expression wherever a value may stand. What an
expression comes to is held against the strict one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from ...core.components import Json
from .schema import INNER_NAME_SCHEMA, REGISTRIES, reuse_properties, spec_schema

EXPRESSION_PATTERN = r"\$\{"
"""What a string with an expression has."""

INNER_REFERENCE_SCHEMA = {"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)?$"}
EXPRESSION_SCHEMA = {"$ref": "#/$defs/expression"}
REPEAT_SCHEMA = {
    "type": ["integer", "string"],
    "description": "How often it stands there, each taking the one before; `index` counts from 0 in its expressions.",
    "minimum": 0,
    "pattern": EXPRESSION_PATTERN,
    "default": 1,
}

LITERAL_KEYS = ("$schema", "version", "name", "description", "type")
"""Keys whose values have no expressions."""


@cache
def editor_schema() -> dict[str, Json]:
    """The whole schema. Callers share it and must not change it."""
    strict = spec_schema()
    top = {
        key: of if key in reuse_properties() else _allow_expressions(of)
        for key, of in strict["properties"].items()
        if key not in LITERAL_KEYS
    }
    blocks = reuse_properties()["blocks"]
    block = blocks["additionalProperties"]
    layers = block["properties"]["layers"] | {"items": {"$ref": "#/$defs/call"}}
    block = block | {"properties": block["properties"] | {"layers": layers}}
    return {
        **strict,
        "properties": {
            **{key: of for key, of in strict["properties"].items() if key in LITERAL_KEYS},
            **top,
            "blocks": blocks | {"additionalProperties": block},
        },
        "$defs": {
            "expression": {"type": "string", "description": 'Such as "${2 * width}".', "pattern": EXPRESSION_PATTERN},
            **{name: _editor_definition(name, of) for name, of in strict["$defs"].items()},
        },
    }


def editor_schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(editor_schema(), indent=2) + "\n"


def _editor_definition(name: str, schema: dict[str, Json]) -> dict[str, Json]:
    if name in ("call", "layer"):
        return schema
    if name in [family.kind for family in REGISTRIES]:
        return schema | {"anyOf": [*schema["anyOf"], EXPRESSION_SCHEMA]}
    if name == "reference":
        return {"description": schema["description"], "anyOf": [INNER_REFERENCE_SCHEMA, EXPRESSION_SCHEMA]}
    made = _allow_expressions(schema)
    properties = made.get("properties", {})
    if "from" in properties and name not in ("layer_call", "use"):
        return made | {"properties": properties | {"repeat": True}}
    if name in ("layer_call", "use"):
        called = {"description": properties["name"]["description"], "anyOf": [INNER_NAME_SCHEMA, EXPRESSION_SCHEMA]}
        more = {"use": {**called, "description": properties["use"]["description"]}} if name == "use" else {}
        return made | {"properties": properties | more | {"name": called, "repeat": REPEAT_SCHEMA}}
    return made


def _allow_expressions(schema: Json) -> Json:
    """The schema of a value, or of what is in it, with expressions allowed."""
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    if "properties" in schema:
        made["properties"] = {
            key: v if key in LITERAL_KEYS else _allow_expressions(v) for key, v in schema["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if key in schema:
            made[key] = _allow_expressions(schema[key])
    if "anyOf" in schema:
        return made | {"anyOf": [*map(_allow_expressions_inside, schema["anyOf"]), EXPRESSION_SCHEMA]}
    return _or_expression(made)


def _allow_expressions_inside(schema: Json) -> Json:
    """One of several forms: what is in it may be an expression, it as a whole is seen to."""
    if "items" in schema:
        return schema | {"items": _allow_expressions(schema["items"])}
    return (
        _allow_expressions(schema)
        if "properties" in schema or isinstance(schema.get("additionalProperties"), Mapping)
        else schema
    )


def _or_expression(schema: dict[str, Json]) -> dict[str, Json]:
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if not kinds or "object" in kinds:
        return schema
    if "string" not in kinds:
        return schema | {"type": [*kinds, "string"], "pattern": EXPRESSION_PATTERN}
    if "enum" in schema or "pattern" in schema:
        about: dict[str, Json] = {key: schema[key] for key in ("description", "default") if key in schema}
        return {
            **about,
            "anyOf": [{key: value for key, value in schema.items() if key not in about}, EXPRESSION_SCHEMA],
        }
    return schema
