"""The schema as editors get it: the language with blocks, repetitions and expressions, which expansion takes away.

It is made from the strict schema of what is left then, and allows an expression wherever a value may stand. What an
expression comes to is held against the strict one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from ...core.components import Json
from .schema import FAMILIES, INNER_NAME, reuse, schema

WITHIN = r"\$\{"
"""What a string with an expression has."""

INNER_REFERENCE = {"type": "string", "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)?$"}
EXPRESSION = {"$ref": "#/$defs/expression"}
REPEAT = {
    "type": ["integer", "string"],
    "description": "How often it stands there, each taking the one before; `index` counts from 0 in its expressions.",
    "minimum": 0,
    "pattern": WITHIN,
    "default": 1,
}

AS_THEY_ARE = ("$schema", "version", "name", "description", "type")
"""Keys whose values have no expressions."""


@cache
def published() -> dict[str, Json]:
    """The whole schema. Callers share it and must not change it."""
    strict = schema()
    top = {
        key: of if key in reuse() else _open(of) for key, of in strict["properties"].items() if key not in AS_THEY_ARE
    }
    blocks = reuse()["blocks"]
    block = blocks["additionalProperties"]
    layers = block["properties"]["layers"] | {"items": {"$ref": "#/$defs/call"}}
    block = block | {"properties": block["properties"] | {"layers": layers}}
    return {
        **strict,
        "properties": {
            **{key: of for key, of in strict["properties"].items() if key in AS_THEY_ARE},
            **top,
            "blocks": blocks | {"additionalProperties": block},
        },
        "$defs": {
            "expression": {"type": "string", "description": 'Such as "${2 * width}".', "pattern": WITHIN},
            **{name: _definition(name, of) for name, of in strict["$defs"].items()},
        },
    }


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(published(), indent=2) + "\n"


def _definition(name: str, of: dict[str, Json]) -> dict[str, Json]:
    if name in ("call", "layer"):
        return of
    if name in [family.kind for family in FAMILIES]:
        return of | {"anyOf": [*of["anyOf"], EXPRESSION]}
    if name == "reference":
        return {"description": of["description"], "anyOf": [INNER_REFERENCE, EXPRESSION]}
    made = _open(of)
    properties = made.get("properties", {})
    if "from" in properties and name not in ("layer_call", "use"):
        return made | {"properties": properties | {"repeat": True}}
    if name in ("layer_call", "use"):
        called = {"description": properties["name"]["description"], "anyOf": [INNER_NAME, EXPRESSION]}
        more = {"use": {**called, "description": properties["use"]["description"]}} if name == "use" else {}
        return made | {"properties": properties | more | {"name": called, "repeat": REPEAT}}
    return made


def _open(of: Json) -> Json:
    """The schema of a value, or of what is in it, with expressions allowed."""
    if not isinstance(of, Mapping):
        return of
    made = dict(of)
    if "properties" in of:
        made["properties"] = {key: v if key in AS_THEY_ARE else _open(v) for key, v in of["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in of:
            made[key] = _open(of[key])
    if "anyOf" in of:
        return made | {"anyOf": [*map(_inside, of["anyOf"]), EXPRESSION]}
    return _or_expression(made)


def _inside(of: Json) -> Json:
    """One of several forms: what is in it may be an expression, it as a whole is seen to."""
    if "items" in of:
        return of | {"items": _open(of["items"])}
    return _open(of) if "properties" in of or isinstance(of.get("additionalProperties"), Mapping) else of


def _or_expression(of: dict[str, Json]) -> dict[str, Json]:
    kinds = [of["type"]] if isinstance(of.get("type"), str) else of.get("type", [])
    if not kinds or "object" in kinds:
        return of
    if "string" not in kinds:
        return of | {"type": [*kinds, "string"], "pattern": WITHIN}
    if "enum" in of or "pattern" in of:
        about: dict[str, Json] = {key: of[key] for key in ("description", "default") if key in of}
        return {**about, "anyOf": [{key: value for key, value in of.items() if key not in about}, EXPRESSION]}
    return of
