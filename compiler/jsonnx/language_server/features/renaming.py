"""Renames a layer, an input or a block with all references to it, or refuses if that would change the network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from lsprotocol import types

from ...core.diagnostics import JsonPath
from ...frontend.names.name_references import NETWORK, NameDefinition, NameReference
from ...frontend.text.formatter import json_string
from ...sections.columns import EXCLUSION
from ..checks.checks import SpecCheck, check_document
from ..checks.name_lookup import definition_at, reference_at, refers_to
from ..checks.same_network import changes_network
from ..documents.cursor import cursor_at
from ..documents.documents import Document
from .navigation import node_at
from .renamed_columns import column_edits

if TYPE_CHECKING:
    from ...pipeline.check.check import CheckedSpec


MAX_NAME_CHARACTERS = 128


class RenameRefused(Exception):
    """A name cannot be replaced; the message says why."""


def renamed_place(document: Document, position: types.Position) -> types.Range | None:
    """The range of the name at a position that can be renamed; None if there is none."""
    found = _definition(document, position)
    cursor = cursor_at(document.tree, document.positions.offset(position))
    if found is None or cursor is None or cursor.node is None:
        return None
    return document.positions.range(cursor.node.start + 1, max(cursor.node.end - 1, cursor.node.start + 1))


def _definition(document: Document, position: types.Position) -> NameDefinition | None:
    """The definition of the name at a position: of a reference by its whole name, or of the definition itself."""
    cursor = cursor_at(document.tree, document.positions.offset(position))
    if cursor is None or cursor.node is None or cursor.node.kind != "string" or not cursor.node.is_closed:
        return None
    is_key = cursor.role == "key"
    own = definition_at(document, cursor.path, is_key)
    if own is not None:
        return own
    reference = reference_at(document, cursor.path, is_key)
    if reference is None or reference.kind == "figure":
        return None
    found = [
        item for item in document.definitions if item.name == reference.text and refers_to(document, reference, item)
    ]
    return found[0] if len(found) == 1 else None


@dataclass(eq=False)
class _Rename:
    """A renaming: the definition, the new name, and what becomes of the names in the network."""

    document: Document
    item: NameDefinition
    new: str
    names: Mapping[str, str]
    """The new names of the network's values, layers and uses of blocks, by the old ones."""
    all_names: Iterable[str]
    edits: list[types.TextEdit] = field(default_factory=list)

    def replace(self, path: JsonPath, is_key: bool, texts: list[str]) -> None:
        """Writes names in place of the one at a path: several only in a list, a `from`, or as keys."""
        node = node_at(self.document, path, is_key)
        if node is None:
            return
        written = [json_string(text) for text in texts]
        if is_key and len(texts) > 1:
            value = node_at(self.document, path, is_key=False)
            copied = self.document.text[value.start : value.end] if value is not None else "null"
            text = f": {copied}, ".join([*written[1:], written[0]])
        elif len(texts) > 1 and isinstance(path[-1], str):
            text = f"[{', '.join(written)}]"
        else:
            text = ", ".join(written)
        self.edits.append(types.TextEdit(self.document.positions.range(node.start, node.end), text))


def rename(
    document: Document,
    position: types.Position,
    new: str,
    check: SpecCheck | None,
    open_text: Callable[[Path], str | None],
) -> list[types.TextEdit] | None:
    """The edits that give what is at a position another name. Raises RenameRefused."""
    item = _definition(document, position)
    if item is None:
        return None
    if check is None or check.checked is None or check.document.text != document.text:
        raise RenameRefused("the text is not valid JSON: correct it first")
    checked = check.checked
    _check_new_name(document, item, new)
    names = {} if item.kind == "block" else _renamed_names(checked, item, new)
    renaming = _Rename(document, item, new, names, _network_names(checked))
    if item.name_path is not None:
        renaming.replace(item.name_path, item.is_key, [new])
    else:
        _write_name(renaming)
    for reference in document.references:
        texts = _new_texts(renaming, reference)
        if texts != [reference.text]:
            renaming.replace(reference.path, reference.is_key, texts)
    renaming.edits += column_edits(check, names)
    edited = document.with_changes(
        [types.TextDocumentContentChangePartial(edit.range, edit.new_text) for edit in _last_first(renaming.edits)],
        document.version,
    )
    after = check_document(edited, lambda: False, open_text)
    problem = changes_network(check, after, names)
    if problem is not None:
        raise RenameRefused(problem)
    return renaming.edits


def _last_first(edits: Iterable[types.TextEdit]) -> list[types.TextEdit]:
    return sorted(edits, key=lambda edit: (edit.range.start.line, edit.range.start.character), reverse=True)


def _check_new_name(document: Document, item: NameDefinition, new: str) -> None:
    pattern = r"[A-Za-z_][A-Za-z0-9_-]*" if item.scope == NETWORK else r"[A-Za-z0-9_][A-Za-z0-9_-]*"
    if len(new) > MAX_NAME_CHARACTERS:
        raise RenameRefused(f"a name has at most {MAX_NAME_CHARACTERS} characters, and the new one has {len(new):,}")
    if not re.fullmatch(pattern, new):
        raise RenameRefused("a name consists of ASCII letters, digits, - and _, and begins with a letter or _")
    is_block = item.kind == "block"
    for other in document.definitions:
        is_rival = other is not item and other.scope == item.scope and (other.kind == "block") == is_block
        if is_rival and other.name.lower() == new.lower():
            raise RenameRefused(f"the name {new!r} is taken")


def _write_name(renaming: _Rename) -> None:
    """Gives an entry that has its default name a written one, behind its type."""
    document, item = renaming.document, renaming.item
    if item.kind == "input":
        raise RenameRefused("the input of a block without `inputs` has no name of its own: write `inputs` first")
    entry = node_at(document, item.path, is_key=False)
    kind = (entry.get("type") or entry.get("use")) if entry is not None else None
    if kind is None:
        raise RenameRefused("the entry has no type")
    end = document.positions.range(kind.end, kind.end)
    renaming.edits.append(types.TextEdit(end, f', "name": {json_string(renaming.new)}'))


# -- the names of the network ----------------------------------------------------------------------------------------


def _network_names(checked: CheckedSpec) -> list[str]:
    """The names of inputs, layers and uses of blocks of the network."""
    typed = checked.typed_network
    if typed is None:
        return []
    uses = [use for call in typed.network.calls for use, _ in call.block_uses]
    return [*dict.fromkeys([*typed.network.inputs, *(call.name for call in typed.network.calls), *uses])]


def _renamed_names(checked: CheckedSpec, item: NameDefinition, new: str) -> dict[str, str]:
    """The new names of the network: of a layer, its repetitions, and of the layers of a block."""
    names = {item.name: new} if item.scope == NETWORK else {}
    typed, flat = checked.typed_network, checked.flat
    for name in typed.network.inputs if typed is not None and item.kind == "input" and item.is_repeated else ():
        if re.fullmatch(rf"{re.escape(item.name)}_[0-9]+", name):
            names[name] = new + name.removeprefix(item.name)
    for call in typed.network.calls if typed is not None and flat is not None and item.kind == "entry" else ():
        location = flat.source_map(call.path, False) if flat is not None else None
        notes = [path for path, _ in reversed(location.notes)] if location is not None else []
        chain = [*zip(notes, (use for use, _ in call.block_uses), strict=False)]
        chain.append((location.path if location is not None else (), call.name))
        for path, full in chain:
            match = re.fullmatch(rf"(.*?){re.escape(item.name)}((?:_[0-9]+)?)", full) if path == item.path else None
            if match is not None:
                renamed = f"{match[1]}{new}{match[2]}"
                names[full] = renamed
                names[match[1] + item.name] = match[1] + new
                names[call.name] = renamed + call.name[len(full) :]
                for _, inner in chain:
                    if inner.startswith(f"{full}_"):
                        names[inner] = renamed + inner[len(full) :]
    return names


# -- references ------------------------------------------------------------------------------------------------------


def _new_texts(renaming: _Rename, reference: NameReference) -> list[str]:
    """The texts in place of a reference: itself, another one, or several for a pattern that matched more."""
    item, text = renaming.item, reference.text
    if reference.kind == "type" or item.kind == "block":
        is_block = reference.kind == "type" and item.kind == "block" and text == item.name
        return [renaming.new if is_block else text]
    if reference.kind == "figure":
        return [_new_figure(renaming, text)]
    separator = {"source": ".", "weight-pattern": "/"}.get(reference.kind, "")
    head, dot, rest = text.partition(separator) if separator else (text, "", "")
    names, candidates = _names_for(renaming, reference)
    mark = EXCLUSION if reference.kind in ("pattern", "weight-pattern") and head.startswith(EXCLUSION) else ""
    head = head.removeprefix(mark)
    heads = _new_patterns(head, names, candidates) if reference.kind != "output" else [names.get(head, head)]
    if dot and separator == ".":
        rest = _new_output(renaming, reference, head, rest)
    return [f"{mark}{new_head}{dot}{rest}" for new_head in heads]


def _names_for(renaming: _Rename, reference: NameReference) -> tuple[Mapping[str, str], list[str]]:
    """The new names that a reference may mean, and all names that it may match."""
    item, document = renaming.item, renaming.document
    if reference.scope == NETWORK:
        scope_names = [other.name for other in document.definitions if other.scope == NETWORK and other.kind != "block"]
        own = scope_names if reference.kind == "source" else [*renaming.all_names]
        return renaming.names, own
    if reference.scope != item.scope:
        return {}, []
    names = {item.name: renaming.new}
    repeated = re.compile(rf"{re.escape(item.name)}(_[0-9]+)")
    if item.is_repeated and (match := repeated.fullmatch(reference.text.partition(".")[0])):
        names[match[0]] = f"{renaming.new}{match[1]}"
    return names, [other.name for other in document.definitions if other.scope == item.scope and other.kind != "block"]


def _new_patterns(pattern: str, names: Mapping[str, str], candidates: Iterable[str]) -> list[str]:
    """The name in place of another one, or the patterns that match the same layers as before."""
    if not any(character in pattern for character in "*?["):
        return [names.get(pattern, pattern)]
    known = [*candidates]
    wanted = {names.get(name, name) for name in known if fnmatchcase(name, pattern)}
    renamed = [names.get(name, name) for name in known]

    def matched(text: str) -> set[str]:
        return {name for name in renamed if fnmatchcase(name, text)}

    prefixed = [new + pattern[len(old) :] for old, new in names.items() if pattern.startswith(old)]
    for text in (pattern, *prefixed):
        if matched(text) == wanted:
            return [text]
    if matched(pattern) <= wanted:
        return [*([pattern] if matched(pattern) else []), *sorted(wanted - matched(pattern))]
    raise RenameRefused(f"the pattern {pattern!r} would match the new name")


def _new_output(renaming: _Rename, reference: NameReference, head: str, output: str) -> str:
    """The output of a use of a block, if it is named after the renamed layer of that block."""
    item, document = renaming.item, renaming.document
    if item.scope == NETWORK or output != item.name:
        return output
    entries = [
        other for other in document.definitions if other.scope == reference.scope and other.type == item.scope[1]
    ]
    uses = any(fnmatchcase(other.name, head) or head.startswith(f"{other.name}_") for other in entries)
    return renaming.new if uses else output


def _new_figure(renaming: _Rename, metric: str) -> str:
    """The name of a loss or a metric of an output."""
    prefix = "val_" if metric.startswith("val_") else ""
    rest = metric.removeprefix(prefix)
    outputs = sorted(renaming.names, key=len, reverse=True)
    old = next((name for name in outputs if rest.startswith(f"{name}_")), None)
    return metric if old is None else f"{prefix}{renaming.names[old]}{rest[len(old) :]}"
