"""Hover: what a layer computes here, and what its arguments, keys and names mean."""

from __future__ import annotations

from collections.abc import Mapping

from lsprotocol import types

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Node
from ...frontend.names.name_references import NameDefinition
from ...frontend.schema.editor_schema import editor_schema
from ...layers import LAYERS
from ...render.reference.component_reference import KINDS
from ..checks.entry_facts import EntryFacts, Instance
from ..checks.name_lookup import definitions_of
from ..checks.names_in_scope import scope_of
from ..documents.cursor import Cursor, cursor_at
from ..documents.documents import Document
from ..documents.schema_lookup import described, schemas_at
from . import component_docs
from .inlay_hints import type_text

MAX_INSTANCES = 8
"""Layers that the hover of an entry lists, if it stands for several."""


def hover(document: Document, position: types.Position, facts: Mapping[JsonPath, EntryFacts]) -> types.Hover | None:
    """The hover text at a position; None if there is nothing to say."""
    cursor = cursor_at(document.tree, document.positions.offset(position))
    if cursor is None or cursor.node is None:
        return None
    text = _key_text(document, cursor, facts) if cursor.role == "key" else _value_text(document, cursor, facts)
    if not text:
        return None
    shown = document.positions.range(cursor.node.start, cursor.node.end)
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text), shown)


def _key_text(document: Document, cursor: Cursor, facts: Mapping[JsonPath, EntryFacts]) -> str | None:
    container, key = cursor.container, cursor.path[-1]
    if container is None or not isinstance(key, str):
        return None
    named = _names_text(document, cursor.path, True, facts)
    if named is not None:
        return named
    schemas = schemas_at(editor_schema(), document.tree, container.path)
    schema = described(schemas, key)
    type_ = container.text("type")
    if key == "type" and _is_entry(container):
        return _entry_text(document, container, facts)
    own = _block_parameter(document, type_, key)
    if own is not None:
        return own
    argument = component_docs.argument_of(LAYERS.kind, type_, key) if _is_entry(container) else None
    if argument is None and not _is_entry(container):
        kinds = [kind for kind in KINDS if any(part.get("title") == kind for part in schemas)]
        found = (component_docs.argument_of(kind, type_, key) for kind in kinds)
        argument = next((item for item in found if item is not None), None)
    return component_docs.key_text(key, schema, argument) if schema is not None else None


def _names_text(document: Document, path: JsonPath, is_key: bool, facts: Mapping[JsonPath, EntryFacts]) -> str | None:
    """The meanings of the names at a place; None without names."""
    named = definitions_of(document, path, is_key)
    return "\n\n".join(_definition_text(document, item, facts) for item in named[:MAX_INSTANCES]) or None


def _is_entry(node: Node) -> bool:
    """Whether a node is an entry of `layers`, or a layer in one."""
    return node.parent is not None and (node.parent.step == "layers" or node.step in ("layer", "backward_layer"))


def _block_parameter(document: Document, type_: str | None, key: str) -> str | None:
    """The description and the default of a parameter of a block of the spec."""
    node = document.tree.at(("blocks", type_, "parameters", key)) if document.tree is not None and type_ else None
    if node is None:
        return None
    value = node.to_json()
    schema = value if isinstance(value, dict) and "type" not in value else {"default": value}
    return component_docs.key_text(key, {name: schema[name] for name in ("description", "default") if name in schema})


def _value_text(document: Document, cursor: Cursor, facts: Mapping[JsonPath, EntryFacts]) -> str | None:
    node, container, path = cursor.node, cursor.container, cursor.path
    if node is None or not isinstance(node.scalar, str):
        return None
    if path[-1:] in (("type",), ("name",), ("use",)) and container is not None and _is_entry(container):
        text = _entry_text(document, container, facts)
        if text is not None:
            return text
    named = _names_text(document, path, False, facts)
    if named is not None:
        return named
    for schema in schemas_at(editor_schema(), document.tree, path):
        kind = str(schema.get("title", ""))
        if kind in (LAYERS.kind, *KINDS) and node.scalar in schema.get("enum", ()):
            return component_docs.component_text(kind, node.scalar)
    return None


def _entry_text(document: Document, entry: Node, facts: Mapping[JsonPath, EntryFacts]) -> str | None:
    """The facts about an entry, and the reference of its type."""
    type_ = entry.text("type")
    known = facts.get(entry.path)
    texts = [_facts_text(known)] if known is not None else []
    reference = component_docs.component_text(LAYERS.kind, type_) if type_ is not None else None
    if reference is None and type_ is not None and document.tree is not None:
        block = document.tree.at(("blocks", type_))
        description = block.text("description") if block is not None else None
        reference = f"**{type_}** (block of this spec)\n\n{description or ''}".rstrip() if block is not None else None
    texts += [reference] if reference is not None else []
    return "\n\n---\n\n".join(texts) or None


def _definition_text(document: Document, item: NameDefinition, facts: Mapping[JsonPath, EntryFacts]) -> str:
    """The meaning of a name."""
    node = document.tree.at(item.path) if document.tree is not None else None
    description = node.text("description") if node is not None else None
    known = facts.get(item.path)
    if item.kind == "input":
        shape = node.get("shape") if node is not None else None
        text = document.text[shape.start : shape.end] if shape is not None else ""
        title = f"**{item.name}** (input) {f'`{text}`' if text else ''}".rstrip()
    elif item.kind == "block":
        title = f"**{item.name}** (block of this spec)"
    else:
        title = f"**{item.name}** ({item.type or 'layer'})"
    where = f"in the block `{item.scope[1]}`" if scope_of(item.path) and item.kind != "block" else ""
    parts = [title, where, description or "", _facts_text(known) if known is not None else ""]
    return "\n\n".join(part for part in parts if part)


def _facts_text(facts: EntryFacts) -> str:
    lines = [_instance_text(instance) for instance in facts.instances[:MAX_INSTANCES]]
    hidden = len(facts.instances) - len(lines)
    return "\n\n".join([*lines, *([f"… and {hidden} more"] if hidden else [])])


def _instance_text(instance: Instance) -> str:
    """A layer's types, parameters and multiply-adds."""
    inputs, outputs = (", ".join(map(type_text, types)) or "?" for types in (instance.inputs, instance.outputs))
    counts = []
    if instance.parameters is not None and instance.trainable is not None:
        fixed = instance.parameters - instance.trainable
        counts.append(f"{instance.parameters:,} parameters" + (f" ({fixed:,} not trainable)" if fixed else ""))
    if instance.macs is not None:
        constant = instance.macs.constant
        counts.append(f"{instance.macs if constant is None else format(constant, ',')} multiply-adds")
    return f"`{instance.name}`: `{inputs}` → `{outputs}`" + (f"  \n{', '.join(counts)}" if counts else "")
