"""The parts of the editor schema that apply at a path of a document, which may be half written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Node

Schema = Mapping[str, Any]

_JSON_TYPES = {"object": ("object",), "array": ("array",), "string": ("string",), "number": ("number", "integer")}


def schemas_at(schema: Schema, root: Node | None, path: JsonPath) -> list[Schema]:
    """The schemas of the value at a path: of the alternatives, those that the value's keys and type leave open."""
    definitions = schema["$defs"]
    found, node = list(_applicable(schema, root, definitions)), root
    for step in path:
        node = node.get(step) if node is not None else None
        inner = [child for part in found if (child := _child(part, step)) is not None]
        found = [part for child in inner for part in _applicable(child, node, definitions)]
    return found


def described(schemas: list[Schema], key: str) -> Schema | None:
    """The schema of a key that says most about it; None if no schema has the key, or all refuse it."""
    candidates = [schema["properties"][key] for schema in schemas if key in schema.get("properties", {})]
    allowed = [part for part in candidates if isinstance(part, Mapping) and part.get("not") != {}]
    if not allowed:
        return {} if any(part is True for part in candidates) and len(candidates) == 1 else None
    return max(allowed, key=lambda part: ("description" in part, len(part)))


def _child(schema: Schema, step: str | int) -> Any:
    """The schema of an item or of the value of a key; None if there is none."""
    if isinstance(step, int):
        return schema.get("items")
    properties = schema.get("properties", {})
    return properties[step] if step in properties else schema.get("additionalProperties")


def _applicable(schema: Any, node: Node | None, definitions: Mapping[str, Schema]) -> Iterator[Schema]:
    """The schema without references and conditions, with its alternatives one by one."""
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from _applicable(definitions[schema["$ref"].rsplit("/", 1)[-1]], node, definitions)
    yield schema
    for part in schema.get("allOf", ()):
        yield from _applicable(part, node, definitions)
    if "if" in schema:
        branch = "then" if node is not None and _matches(schema["if"], node) else "else"
        yield from _applicable(schema.get(branch), node, definitions)
    for part in schema.get("anyOf", ()):
        if _may_match(part, node, definitions):
            yield from _applicable(part, node, definitions)


def _may_match(schema: Any, node: Node | None, definitions: Mapping[str, Schema]) -> bool:
    """Whether an alternative has the type of a value; a value that is only begun may become any scalar."""
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    kinds = _kinds(schema) if isinstance(schema, Mapping) else ()
    if node is None or not kinds:
        return True
    if node.kind in ("object", "array"):
        return node.kind in kinds
    return any(kind not in ("object", "array") for kind in kinds)


def _kinds(schema: Schema) -> tuple[str, ...]:
    kinds = schema.get("type", ())
    return (kinds,) if isinstance(kinds, str) else tuple(kinds)


def _matches(schema: Any, node: Node) -> bool:
    """Whether a value fulfills a condition: types, keys, constants and their combinations."""
    if not isinstance(schema, Mapping):
        return bool(schema)
    kinds = _kinds(schema)
    if kinds and node.kind in _JSON_TYPES and not set(_JSON_TYPES[node.kind]) & set(kinds):
        return False
    if any(node.get(key) is None for key in schema.get("required", ())):
        return False
    if "enum" in schema and node.scalar not in schema["enum"]:
        return False
    if "const" in schema and node.scalar != schema["const"]:
        return False
    if "not" in schema and _matches(schema["not"], node):
        return False
    if "anyOf" in schema and not any(_matches(part, node) for part in schema["anyOf"]):
        return False
    members = ((node.get(key), part) for key, part in schema.get("properties", {}).items())
    return all(_matches(part, member) for member, part in members if member is not None)
