"""The structure of a spec: document symbols and folding ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lsprotocol import types

from ...core.diagnostics import JsonPath
from ...frontend.json.syntax_tree import Member, Node
from ..checks.entry_facts import EntryFacts
from ..documents.documents import Document
from .inlay_hints import shapes_text

Kind = types.SymbolKind

_SECTION_KINDS = {
    "inputs": Kind.Interface,
    "parameters": Kind.Constant,
    "scales": Kind.Enum,
    "blocks": Kind.Module,
    "layers": Kind.Array,
    "outputs": Kind.Interface,
    "labels": Kind.Enum,
    "training": Kind.Namespace,
    "sweep": Kind.Namespace,
}


def document_symbols(document: Document, facts: Mapping[JsonPath, EntryFacts]) -> list[types.DocumentSymbol]:
    """The sections of a spec; in them the layers, blocks, inputs and parameters."""
    root = document.tree
    names = {item.path: item.name for item in document.definitions if item.kind == "entry"}
    return [_section_symbol(document, member, names, facts) for member in root.members] if root is not None else []


def _section_symbol(
    document: Document, member: Member, names: Mapping[JsonPath, str], facts: Mapping[JsonPath, EntryFacts]
) -> types.DocumentSymbol:
    key, value = member.name, member.value
    kind = _SECTION_KINDS.get(key, Kind.Property)
    if value is None or key not in _SECTION_KINDS:
        return _symbol(document, key, kind, member, value or member, [], _short_text(document, value))
    if key == "layers":
        children = [*_entry_symbols(document, value, names, facts)]
    elif key == "blocks":
        children = [_section_like_block(document, block, names, facts) for block in value.members]
    else:
        children = [_member_symbol(document, inner) for inner in value.members]
    return _symbol(document, key, kind, member, value, children, "")


def _section_like_block(
    document: Document, member: Member, names: Mapping[JsonPath, str], facts: Mapping[JsonPath, EntryFacts]
) -> types.DocumentSymbol:
    """A block with its layers."""
    value = member.value
    layers = value.get("layers") if value is not None else None
    children = [*_entry_symbols(document, layers, names, facts)] if layers is not None else []
    detail = (value.text("description") if value is not None else None) or ""
    return _symbol(document, member.name, Kind.Class, member, value or member, children, detail)


def _entry_symbols(
    document: Document, layers: Node, names: Mapping[JsonPath, str], facts: Mapping[JsonPath, EntryFacts]
) -> Iterator[types.DocumentSymbol]:
    for entry in layers.items:
        if entry.kind != "object":
            continue
        type_ = entry.text("type") or (f"use {entry.text('use')}" if entry.text("use") else "")
        known = facts.get(entry.path)
        detail = " ".join(filter(None, (type_, shapes_text(known) if known is not None else "")))
        name = names.get(entry.path) or entry.text("name") or type_ or "layer"
        selected = entry.get("name") or entry.get("type") or entry
        yield _symbol(document, name, Kind.Function, selected, entry, [], detail)


def _member_symbol(document: Document, member: Member) -> types.DocumentSymbol:
    value = member.value
    return _symbol(
        document,
        member.name,
        Kind.Variable,
        member,
        value or member,
        [],
        _short_text(document, value),
    )


def _symbol(
    document: Document,
    name: str,
    kind: types.SymbolKind,
    selected: Node,
    whole: Node,
    children: list[types.DocumentSymbol],
    detail: str,
) -> types.DocumentSymbol:
    """A symbol; its range covers what is selected and the whole, as the protocol demands."""
    positions = document.positions
    full = positions.range(min(selected.start, whole.start), max(selected.end, whole.end))
    chosen = positions.range(selected.start, selected.end)
    return types.DocumentSymbol(name or '""', kind, full, chosen, detail=detail or None, children=children or None)


def _short_text(document: Document, node: Node | None, max_length: int = 40) -> str:
    """The text of a value on one line."""
    if node is None:
        return ""
    text = " ".join(document.text[node.start : min(node.end, node.start + 4 * max_length)].split())
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def folding_ranges(document: Document) -> list[types.FoldingRange]:
    """The objects and lists that have several lines."""
    root, positions = document.tree, document.positions
    ranges: dict[int, types.FoldingRange] = {}
    for node in root.descendants() if root is not None else ():
        if node.kind in ("object", "array") and node.is_closed:
            start, end = positions.line_at(node.start), positions.line_at(node.end - 1)
            end -= 1  # the line of the closing bracket remains visible
            if end > start:
                ranges.setdefault(start, types.FoldingRange(start, end, kind=types.FoldingRangeKind.Region))
    return [*ranges.values()]
