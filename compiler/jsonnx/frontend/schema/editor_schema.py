"""The published schema, for editors: the language with blocks, repetitions and expressions.

It is derived from the strict schema, which describes a document after expansion, by allowing an expression in place of
every value. The values of expressions are validated against the strict schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from ...core.components import Json
from ...sections.lint_section import LINT_KEY
from .library_schema import library_definitions, with_library
from .schema import INNER_NAME_SCHEMA, REGISTRIES, reuse_properties, spec_schema

EXPRESSION_PATTERN = r"\$\{"
"""Matches a string that contains an expression."""

INNER_REFERENCE_SCHEMA = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_*?\[][A-Za-z0-9_*?!\[\]-]*(\.[A-Za-z0-9_*?\[][A-Za-z0-9_*?!\[\]-]*)?$",
}
"""A name or a pattern of names."""
EXPRESSION_SCHEMA = {"$ref": "#/$defs/expression"}
FLAG_SCHEMA: dict[str, Json] = {"type": ["boolean", "string"], "pattern": EXPRESSION_PATTERN, "default": True}
REPEAT_SCHEMA: dict[str, Json] = {
    "type": ["integer", "boolean", "string"],
    "minimum": 0,
    "pattern": EXPRESSION_PATTERN,
    "default": 1,
}
REPETITION_SCHEMAS: dict[str, dict[str, Json]] = {
    "if": FLAG_SCHEMA | {"description": "Whether the entry is there. Without it, its name stands for its first input."},
    "repeat": REPEAT_SCHEMA | {"description": "Number of copies; expressions may use `index`, from 0."},
    "chain": FLAG_SCHEMA
    | {"description": "Whether each copy takes the result of the copy before. If not, each one reads `from`, and the "
                      "name of the entry stands for the results of all copies."},
    "carry": {
        "description": "The results of a block that the next copy takes in place of the first names in `from`; by "
                       "default the first result.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    },
}  # fmt: skip
"""The schemas of the keys that expansion removes from an entry."""
INPUT_REPEAT_SCHEMA = REPEAT_SCHEMA | {
    "description": "Number of copies, `NAME_1`, `NAME_2`, ...; the name stands for all; expressions may use `index`."
}

LITERAL_KEYS = ("$schema", "version", "name", "description", "type")
"""Keys whose values contain no expressions."""


@cache
def editor_schema() -> dict[str, Json]:
    """The complete schema. Callers share it and must not change it."""
    strict = spec_schema()
    properties = {
        key: schema if key in reuse_properties() or key in ("sweep", LINT_KEY) else _allow_expressions(schema)
        for key, schema in strict["properties"].items()
        if key not in LITERAL_KEYS
    }
    blocks = reuse_properties()["blocks"]
    block = blocks["additionalProperties"]
    layers = block["properties"]["layers"] | {"items": {"$ref": "#/$defs/call"}}
    block = block | {"properties": block["properties"] | {"layers": layers}}
    return {
        **strict,
        "properties": {
            **{key: schema for key, schema in strict["properties"].items() if key in LITERAL_KEYS},
            **properties,
            "blocks": blocks | {"additionalProperties": block},
        },
        "$defs": {
            "expression": {"type": "string", "description": 'Such as "${2 * width}".', "pattern": EXPRESSION_PATTERN},
            **{name: _editor_definition(name, schema) for name, schema in strict["$defs"].items()},
            **library_definitions(),
        },
    }


def editor_schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(editor_schema(), indent=2) + "\n"


def _editor_definition(name: str, schema: dict[str, Json]) -> dict[str, Json]:
    if name in ("call", "layer", "parameter", "block_parameter", "parameter_value"):
        return schema
    if name in [registry.kind for registry in REGISTRIES]:
        return schema | {"anyOf": [*schema["anyOf"], EXPRESSION_SCHEMA]} if "anyOf" in schema else schema
    if name == "reference":
        return {"description": schema["description"], "anyOf": [INNER_REFERENCE_SCHEMA, EXPRESSION_SCHEMA]}
    editor_definition = _allow_expressions(schema)
    properties = editor_definition.get("properties", {})
    if "from" in properties and name not in ("layer_call", "use"):
        return editor_definition | {"properties": properties | dict.fromkeys(REPETITION_SCHEMAS, True)}
    if name == "input":
        return editor_definition | {"properties": properties | {"repeat": INPUT_REPEAT_SCHEMA}}
    if name in ("layer_call", "use"):
        names = {"description": properties["name"]["description"], "anyOf": [INNER_NAME_SCHEMA, EXPRESSION_SCHEMA]}
        use = {"use": {**names, "description": properties["use"]["description"]}} if name == "use" else {}
        editor_definition |= {"properties": properties | use | {"name": names, **REPETITION_SCHEMAS}}
        return _with_grouped_rules(with_library(editor_definition)) if name == "layer_call" else editor_definition
    return editor_definition


def _with_grouped_rules(layer_call: dict[str, Json]) -> dict[str, Json]:
    """The schema with its rules by `type` in groups of one initial, so that few apply to a layer.

    Editors test the condition of every rule for every layer, which takes seconds for some hundred layers.
    """
    groups: dict[str, list[dict[str, Json]]] = {}
    for rule in layer_call["allOf"]:
        namespace, _, name = rule["if"]["properties"]["type"]["enum"][0].rpartition(".")
        groups.setdefault(f"{namespace}.{name[0]}", []).append(rule)
    return layer_call | {"allOf": [_rule_group(rules) for rules in groups.values()]}


def _rule_group(rules: list[dict[str, Json]]) -> dict[str, Json]:
    types = [type_ for rule in rules for type_ in rule["if"]["properties"]["type"]["enum"]]
    condition = {"type": "object", "required": ["type"], "properties": {"type": {"enum": types}}}
    return {"if": condition, "then": {"allOf": rules}}


def _allow_expressions(schema: Json) -> Json:
    """The schema with an expression allowed in place of every value that is not an object."""
    if not isinstance(schema, Mapping):
        return schema
    relaxed = dict(schema)
    if "properties" in schema:
        relaxed["properties"] = {
            key: v if key in LITERAL_KEYS else _allow_expressions(v) for key, v in schema["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if key in schema:
            relaxed[key] = _allow_expressions(schema[key])
    if "anyOf" in schema:
        return relaxed | {"anyOf": [*map(_allow_expressions_inside, schema["anyOf"]), EXPRESSION_SCHEMA]}
    return _or_expression(relaxed)


def _allow_expressions_inside(schema: Json) -> Json:
    """An alternative of an `anyOf` with expressions allowed in its items and properties only."""
    if "items" in schema:
        return schema | {"items": _allow_expressions(schema["items"])}
    return (
        _allow_expressions(schema)
        if "properties" in schema or isinstance(schema.get("additionalProperties"), Mapping)
        else schema
    )


def _or_expression(schema: dict[str, Json]) -> dict[str, Json]:
    """The schema of a value with an expression as an alternative, unless the value is an object."""
    types = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if not types or "object" in types:
        return schema
    if "string" not in types:
        return schema | {"type": [*types, "string"], "pattern": EXPRESSION_PATTERN}
    if "enum" in schema or "pattern" in schema:
        annotations: dict[str, Json] = {key: schema[key] for key in ("description", "default") if key in schema}
        return {
            **annotations,
            "anyOf": [{key: value for key, value in schema.items() if key not in annotations}, EXPRESSION_SCHEMA],
        }
    return schema
