"""The schema of a part of a document."""

from __future__ import annotations

from ...core.components import Json
from ...core.diagnostics import JsonPath
from .fast_validator import is_valid, rule_index_by_type
from .schema import definition, root_schema


def schema_at(document: Json, path: JsonPath) -> Json | None:
    """The schema of the value at a path, which need not exist; None if no schema applies to it.

    Of the alternatives that a schema allows, it is that of the first which knows the next step.
    """
    schema: Json | None = root_schema()
    value = document
    for step in path:
        schema = child_schema(schema, value, step)
        if schema is None:
            return None
        has_step = isinstance(value, dict) and step in value
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        value = value[step] if has_step or is_index else None
    return schema


def child_schema(schema: Json, value: Json, step: str | int) -> Json | None:
    """The schema of the entry at a key or index of a value with a schema."""
    if not isinstance(schema, dict):
        return None
    own = schema.get("properties", {}).get(step) if isinstance(step, str) else schema.get("items")
    candidates = [own] if isinstance(own, dict) and own else []
    for alternative in _applied_schemas(schema, value):
        found = child_schema(alternative, value, step)
        if found is not None:
            candidates.append(found)
    others = schema.get("additionalProperties")
    if not candidates and isinstance(step, str) and isinstance(others, dict):
        candidates.append(others)
    return candidates[0] if candidates else None


def _applied_schemas(schema: Json, value: Json) -> list[Json]:
    """The schemas that a schema refers to for the same value."""
    applied = [definition(schema["$ref"].removeprefix("#/$defs/"))] if "$ref" in schema else []
    if "if" in schema:
        applied.append(schema.get("then" if is_valid(value, schema["if"]) else "else", {}))
    rules = schema.get("allOf", [])
    if rules and "if" in rules[0]:
        type_name = value.get("type") if isinstance(value, dict) else None
        index = rule_index_by_type(rules).get(type_name) if isinstance(type_name, str) else None
        applied += [] if index is None else [rules[index]["then"]]
    else:
        applied += rules
    return [*applied, *schema.get("anyOf", [])]


def declares_key(schema: Json, value: Json, key: str | int) -> bool:
    """Whether a schema names a key of an object; other keys are names that the author chooses."""
    if not isinstance(schema, dict):
        return False
    return key in schema.get("properties", {}) or any(
        declares_key(applied, value, key) for applied in _applied_schemas(schema, value)
    )


def allows_items(schema: Json) -> bool:
    """Whether a schema allows a list, and says of which items."""
    if not isinstance(schema, dict):
        return False
    return "items" in schema or any(map(allows_items, schema.get("anyOf", ())))


def required_keys(schema: Json, value: Json) -> set[str]:
    """The keys that an object with a schema must have; of alternatives, those that all require."""
    required = set(schema.get("required", ())) if isinstance(schema, dict) else set()
    for applied in _applied_schemas(schema, value) if isinstance(schema, dict) else ():
        required |= required_keys(applied, value)
    return required


def value_at(value: Json, path: JsonPath) -> Json:
    """The part of a value at a path that exists."""
    for step in path:
        value = value[step]
    return value
