"""From a place of a document to the names defined or referred to there, and back."""

from __future__ import annotations

from fnmatch import fnmatchcase

from ... import library
from ...core.diagnostics import JsonPath
from ...frontend.names.name_references import NETWORK, NameDefinition, NameReference
from ...sections.columns import EXCLUSION
from ..documents.documents import Document


def definition_at(document: Document, path: JsonPath, is_key: bool) -> NameDefinition | None:
    """The definition whose name stands at a path."""
    found = (item for item in document.definitions if item.name_path == path and item.is_key == is_key)
    return next(found, None)


def reference_at(document: Document, path: JsonPath, is_key: bool) -> NameReference | None:
    """The reference that stands at a path."""
    found = (item for item in document.references if item.path == path and item.is_key == is_key)
    return next(found, None)


def definitions_of(document: Document, path: JsonPath, is_key: bool) -> list[NameDefinition]:
    """The definitions that a place refers to, or that it is; a pattern may refer to several."""
    own = definition_at(document, path, is_key)
    if own is not None:
        return [own]
    reference = reference_at(document, path, is_key)
    if reference is None:
        return []
    return [item for item in document.definitions if refers_to(document, reference, item)]


def refers_to(document: Document, reference: NameReference, item: NameDefinition) -> bool:
    """Whether a reference is to a definition: by its name, a repetition's, one of a layer in it, or by a pattern."""
    if reference.kind == "type":
        return item.kind == "block" and reference.text == item.name
    if item.kind == "block":
        return False
    if reference.kind == "carried":
        return reference.scope == item.scope and reference.text == item.name
    if reference.scope != item.scope:
        return reference.scope == NETWORK and _names_inside_block(document, reference, item)
    if reference.kind == "input":
        return item.kind == "input" and reference.text in own_names(document, item, reference.text)
    if reference.kind == "figure":
        return _is_in_metric(reference.text, item.name)
    head = reference.text.partition("." if reference.kind == "source" else "/")[0]
    head = head.removeprefix(EXCLUSION) if reference.kind == "pattern" else head
    if any(character in head for character in "*?["):
        is_match = fnmatchcase(item.name, head) or (_holds_layers(document, item) and head.startswith(f"{item.name}_"))
        return is_match and (item.kind == "entry" or reference.kind == "source")
    return head in own_names(document, item, head)


def own_names(document: Document, item: NameDefinition, head: str) -> set[str]:
    """The names of a definition: its own, and the head if it is one of a repetition or of a layer of a block."""
    names = {item.name}
    rest = head.removeprefix(f"{item.name}_")
    if rest != head and head not in _all_names(document, item.scope):
        is_repetition = item.is_repeated and rest.isdecimal()
        names |= {head} if is_repetition or _holds_layers(document, item) else set()
    return names


def _all_names(document: Document, scope: JsonPath) -> set[str]:
    return {item.name for item in document.definitions if item.scope == scope and item.kind != "block"}


def _holds_layers(document: Document, item: NameDefinition) -> bool:
    """Whether it is a use of a block in the network, whose layers the network may name."""
    if item.type is None or item.scope != NETWORK:
        return False
    is_own = any(other.kind == "block" and other.name == item.type for other in document.definitions)
    return is_own or item.type in library.block_types()


def _is_in_metric(metric: str, name: str) -> bool:
    return metric.removeprefix("val_").startswith(f"{name}_")


def _names_inside_block(document: Document, reference: NameReference, item: NameDefinition) -> bool:
    """Whether a reference of the network is to a layer of a block, by the joined name of a use and the layer."""
    if reference.kind in ("figure", "input", "use") or item.kind != "entry":
        return False
    head = reference.text.partition("." if reference.kind == "source" else "/")[0]
    if not head.endswith(f"_{item.name}"):
        return False
    use = head.removesuffix(f"_{item.name}")
    block = item.scope[1]
    return any(other.name == use and other.type == block and other.scope == NETWORK for other in document.definitions)
