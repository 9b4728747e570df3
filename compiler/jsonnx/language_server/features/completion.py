"""Completion: types, arguments, values and names at a place of a spec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

from lsprotocol import types

from ... import library
from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Node
from ...frontend.schema.editor_schema import editor_schema
from ...layers import LAYERS, Layer
from ...render.reference.component_reference import KINDS, accepted_names, required_arguments
from ..checks.checks import SpecCheck
from ..checks.names_in_scope import OfferedName, names_at, parameters_in_scope, scope_of
from ..documents.cursor import Cursor, cursor_at
from ..documents.documents import Document
from ..documents.schema_lookup import Schema, described, schemas_at
from . import component_docs

Kind = types.CompletionItemKind


@dataclass(frozen=True, eq=False)
class _Place:
    """Where completions are inserted: what they replace, and what is around it."""

    document: Document
    cursor: Cursor
    offset: int
    check: SpecCheck | None
    has_snippets: bool

    @property
    def root(self) -> Node | None:
        return self.document.tree

    @property
    def is_word(self) -> bool:
        """Whether a word without quotes is replaced."""
        return self.cursor.node is not None and self.cursor.node.kind not in ("string", "object", "array")

    @cached_property
    def replaced_offsets(self) -> tuple[int, int]:
        """The key or value at the cursor, which a completion replaces; empty where there is none."""
        node = self.cursor.node
        is_text = node is not None and node.kind not in ("object", "array")
        is_around = is_text and node is not None and node.start <= self.offset <= node.end
        return (node.start, node.end) if is_around and node is not None else (self.offset, self.offset)

    @cached_property
    def commas(self) -> tuple[str, str]:
        """The commas before and behind a new item that stands between others of an array."""
        container, (start, end) = self.cursor.container, self.replaced_offsets
        if self.cursor.role != "value" or container is None or container.kind != "array":
            return "", ""
        before, behind = self.document.text[:start].rstrip()[-1:], self.document.text[end:].lstrip()[:1]
        return "" if before in "[," else ", ", "" if behind in ",]" else ","

    def item(
        self,
        label: str,
        text: str,
        kind: Kind,
        detail: str = "",
        rank: int = 1,
        plain: str | None = None,
        documentation: str | None = None,
        data: Any = None,
    ) -> types.CompletionItem:
        """A completion that inserts a JSON text: a snippet if the editor has them and `plain` differs."""
        is_snippet = plain is not None and self.has_snippets
        written = (text if plain is None or is_snippet else plain).join(self.commas)
        return types.CompletionItem(
            label,
            kind=kind,
            detail=detail or None,
            sort_text=f"{rank}{label}",
            filter_text=label if self.is_word else json.dumps(label, ensure_ascii=False),
            insert_text_format=types.InsertTextFormat.Snippet if is_snippet else types.InsertTextFormat.PlainText,
            text_edit=types.TextEdit(self.document.positions.range(*self.replaced_offsets), written),
            documentation=documentation,
            data=data,
        )


def complete(
    document: Document, position: types.Position, check: SpecCheck | None, has_snippets: bool
) -> list[types.CompletionItem]:
    """The completions at a position."""
    offset = document.positions.offset(position)
    cursor = cursor_at(document.tree, offset)
    if cursor is None:
        return []
    place = _Place(document, cursor, offset, check, has_snippets)
    expression = _expression_items(place)
    if expression is not None:
        return expression
    return _key_items(place) if cursor.role == "key" else _value_items(place)


# -- keys ------------------------------------------------------------------------------------------------------------


def _key_items(place: _Place) -> list[types.CompletionItem]:
    cursor = place.cursor
    if cursor.container is None or place.root is None:
        return []
    path = cursor.container.path
    written = {member.name for member in cursor.container.members if member is not cursor.member}
    offered = names_at(place.document, place.check, (*path, ""))
    if offered is not None:
        return [_key_item(place, offer.name, {}, offer.detail) for offer in offered if offer.name not in written]
    schemas = schemas_at(editor_schema(), place.root, path)
    required = {key for schema in schemas for key in schema.get("required", ())}
    keys = dict.fromkeys(key for schema in schemas for key in schema.get("properties", {}))
    parameters = _block_parameters(place, cursor.container)
    items = [_parameter_item(place, name, node) for name, node in parameters.items() if name not in written]
    for key in keys:
        schema = described(schemas, key)
        is_refused = schema is not None and schema.get("const", True) is not True  # only its default is valid
        if key in written or schema is None or is_refused:
            continue
        rank = 0 if key in required else 2 if key in Layer.attributes else 1
        items.append(_key_item(place, key, schema, "required" if key in required else "", rank))
    if _is_entry_path(path) and not written & {"type", "use"}:
        items.append(_key_item(place, "use", editor_schema()["$defs"]["use"]["properties"]["use"]))
    return items


def _block_parameters(place: _Place, entry: Node) -> Mapping[str, Node | None]:
    """The parameters of the block of the spec that an entry uses."""
    type_ = entry.text("type")
    parameters = place.root.at(("blocks", type_, "parameters")) if place.root is not None and type_ else None
    is_entry = entry.parent is not None and entry.parent.step == "layers"
    return {m.name: m.value for m in parameters.members} if parameters is not None and is_entry else {}


def _parameter_item(place: _Place, name: str, definition: Node | None) -> types.CompletionItem:
    value = definition.to_json() if definition is not None else None
    is_described = isinstance(value, dict) and "type" not in value
    schema: dict[str, Any] = {}
    if isinstance(value, dict) and is_described:
        schema = {key: value[key] for key in ("description", "default") if key in value}
    elif definition is not None:
        schema = {"default": value}
    is_required = isinstance(value, dict) and value.get("required") is True
    return _key_item(place, name, schema, "required parameter" if is_required else "parameter", 0 if is_required else 1)


def _key_item(place: _Place, key: str, schema: Schema, detail: str = "", rank: int = 1) -> types.CompletionItem:
    """A key, with a place for its value unless it has a colon already."""
    text, plain = _quoted(key), None
    if place.cursor.member is None or place.cursor.member.colon is None:
        comma = "," if _is_before_key(place) else ""
        plain = f"{text}: {_plain_value(schema)}{comma}"
        text = f"{text}: {_value_snippet(schema)}{comma}"
    default = f"default {json.dumps(schema['default'])}" if "default" in schema else ""
    documentation = schema.get("description")
    return place.item(key, text, Kind.Property, detail or default, rank, plain, documentation)


def _is_before_key(place: _Place) -> bool:
    """Whether another key follows without a comma in between."""
    node = place.cursor.node
    rest = place.document.text[node.end if node is not None else place.offset :]
    return rest.lstrip()[:1] == '"'


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _snippet_escaped(text: str) -> str:
    return re.sub(r"([\\$}])", r"\\\1", text)


def _value_snippet(schema: Schema) -> str:
    """A value to fill in: the default or the first choice, selected."""
    kinds = schema.get("type", ())
    if kinds == "object":
        return "{$1}"
    if kinds == "array":
        return "[$1]"
    if "enum" not in schema and kinds == "string":
        return '"$1"'
    plain = _plain_value(schema)
    return f"${{1:{_snippet_escaped(plain)}}}" if plain else "$1"


def _plain_value(schema: Schema) -> str:
    if "default" in schema:
        return json.dumps(schema["default"], ensure_ascii=False)
    if schema.get("enum"):
        return json.dumps(schema["enum"][0], ensure_ascii=False)
    kinds = schema.get("type", ())
    kind = kinds if isinstance(kinds, str) else ""
    return {"boolean": "false", "string": '""', "array": "[]", "object": "{}"}.get(kind, "")


# -- values ----------------------------------------------------------------------------------------------------------


def _value_items(place: _Place) -> list[types.CompletionItem]:
    path = place.cursor.path
    offered = names_at(place.document, place.check, path)
    if offered is not None:
        items = [place.item(name, _quoted(name), Kind.Variable, detail) for name, detail in offered]
        return items + ([] if items and path[-1:] != ("loss",) else _schema_items(place, path))
    if _is_entry_path(path):
        return [*_entry_items(place), place.item("use", '{"use": "$1"}', Kind.Snippet, plain='{"use": ""}')]
    if path[-1:] == ("type",) and _is_entry_path(path[:-1]):
        return [*_type_items(place)]
    return _schema_items(place, path)


def _is_entry_path(path: JsonPath) -> bool:
    inner = path[len(scope_of(path)) :]
    return len(inner) == 2 and inner[0] == "layers" and isinstance(inner[1], int)


def _schema_items(place: _Place, path: JsonPath) -> list[types.CompletionItem]:
    """The choices, constants, booleans and defaults of the schemas of a value."""
    items: dict[str, types.CompletionItem] = {}
    for schema in schemas_at(editor_schema(), place.root, path):
        kind = str(schema.get("title", ""))
        for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]:
            if isinstance(value, str) and kind in (LAYERS.kind, *KINDS):
                if not _is_mere_spelling(kind, value):
                    items.setdefault(value, _component_item(place, kind, value))
            else:
                text = json.dumps(value, ensure_ascii=False)
                items.setdefault(text, place.item(str(value), text, Kind.EnumMember))
        kinds = schema.get("type", ())
        if "boolean" in ((kinds,) if isinstance(kinds, str) else kinds):
            items |= {text: place.item(text, text, Kind.Value) for text in ("true", "false") if text not in items}
        if "default" in schema and not isinstance(schema["default"], (dict, list)):
            text = json.dumps(schema["default"], ensure_ascii=False)
            label = schema["default"] if isinstance(schema["default"], str) else text
            items.setdefault(text, place.item(label, text, Kind.Value, "default", 0))
    return [*items.values()]


def _component_item(place: _Place, kind: str, name: str) -> types.CompletionItem:
    summary, data = component_docs.summary(kind, name), {"kind": kind, "name": name}
    return place.item(name, _quoted(name), Kind.Class, summary, data=data)


@cache
def _is_mere_spelling(kind: str, name: str) -> bool:
    """Whether a name is another one in other letters: `Relu` for `relu`. Names in small letters are offered."""
    found = component_docs.component(kind, name)
    if found is None or kind == LAYERS.kind:
        return False
    plain = name.replace("_", "").lower()
    spellings = [other for other in accepted_names(found) if other.replace("_", "").lower() == plain]
    return name != next((other for other in spellings if other.islower()), spellings[0])


class OfferedType(NamedTuple):
    """A type of an entry, one line about it, and its required arguments with example values."""

    name: str
    detail: str
    required: Mapping[str, Any]
    data: Any = None
    """The key that the documentation is found by."""


@cache
def known_types() -> tuple[OfferedType, ...]:
    """The layers and the blocks of the library."""
    offered = []
    for name, layer in LAYERS.members.items():
        examples = required_arguments(layer) if layer.required_attributes() else {}
        required = {key: examples.get(key) for key in layer.required_attributes()}
        offered.append(OfferedType(name, layer.summary(), required, {"kind": LAYERS.kind, "name": name}))
    for name in library.block_types():
        required = _required_parameters(library.block_definitions(name)[name]["parameters"])
        summary = component_docs.summary(LAYERS.kind, name)
        offered.append(OfferedType(name, summary, required, {"kind": LAYERS.kind, "name": name}))
    return tuple(offered)


def _offered_types(place: _Place) -> Iterator[OfferedType]:
    """The blocks of the spec, but for that around the cursor, and the known types."""
    blocks = place.root.get("blocks") if place.root is not None else None
    own_block = scope_of(place.cursor.path)[1:]
    for member in blocks.members if blocks is not None else ():
        name, node = member.name, member.value
        if (name,) != own_block and node is not None:
            parameters = node.get("parameters")
            required = _required_parameters(parameters.to_json() if parameters is not None else {})
            yield OfferedType(name, node.text("description") or "block of this spec", required)
    yield from known_types()


def _required_parameters(parameters: Any) -> dict[str, Any]:
    return {name: 8 for name, value in _items(parameters) if _is_required(value)}


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


def _is_required(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("required") is True


def _type_items(place: _Place) -> Iterator[types.CompletionItem]:
    """The types of layers and blocks, each with its required arguments unless the entry has one."""
    entry = place.cursor.container
    written = {member.name for member in entry.members} if entry is not None else set()
    for offered in _offered_types(place):
        needed = {} if written & offered.required.keys() else offered.required
        plain = _quoted(offered.name)
        snippet = plain + _arguments_snippet(needed)
        yield place.item(
            offered.name, snippet, Kind.Class, offered.detail, 1, plain if needed else None, data=offered.data
        )


def _entry_items(place: _Place) -> Iterator[types.CompletionItem]:
    """Whole entries of `layers`."""
    for name, detail, required, data in _offered_types(place):
        plain = f'{{"type": {_quoted(name)}}}'
        snippet = f'{{"type": {_quoted(name)}{_arguments_snippet(required)}\\}}' if required else plain
        yield place.item(name, snippet, Kind.Class, detail, 1, plain if required else None, data=data)


def _arguments_snippet(values: Mapping[str, Any]) -> str:
    parts = (
        f", {_quoted(name)}: ${{{number}:{_snippet_escaped(json.dumps(value, ensure_ascii=False))}}}"
        for number, (name, value) in enumerate(values.items(), 1)
    )
    return "".join(parts)


# -- expressions -----------------------------------------------------------------------------------------------------

_OPEN_EXPRESSION = re.compile(r"\$\{[^{}]*?(\w*)\Z")


def _expression_items(place: _Place) -> list[types.CompletionItem] | None:
    """The parameters that an expression may read; None if the cursor is in no expression."""
    node = place.cursor.node
    if node is None or node.kind != "string" or place.cursor.role == "key":
        return None
    match = _OPEN_EXPRESSION.search(place.document.text[node.start : place.offset])
    if match is None:
        return None
    replaced = place.document.positions.range(place.offset - len(match[1]), place.offset)
    offered: list[OfferedName] = parameters_in_scope(place.document, place.cursor.path)
    return [
        types.CompletionItem(name, kind=Kind.Variable, detail=detail, text_edit=types.TextEdit(replaced, name))
        for name, detail in offered
    ]
