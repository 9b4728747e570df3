"""The open documents: their texts and versions, as the editor reports them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lsprotocol import types
from pygls.uris import to_fs_path

from ...core.limits import MAX_EDITOR_CHARACTERS
from ...frontend.json.json_parser import parse
from ...frontend.json.syntax_tree import Json, Node
from ...frontend.names.name_references import NameDefinition, NameReference, name_definitions, name_references
from ...frontend.text.spec_detection import has_keys_of_a_spec
from ...layers import LAYERS
from .positions import TextPositions

LANGUAGES = ("json", "jsonc")
MAX_SEARCHED_ITEMS = 100
"""Items of `layers` among which a known layer is looked for."""
_LAYERS_KEY = re.compile(r'"layers"\s*:')


@dataclass(frozen=True, eq=False)
class Document:
    """A version of an open document."""

    uri: str
    language: str
    version: int
    text: str
    encoding: str = "utf-16"
    was_spec: bool = False
    """Whether an earlier version was a spec: it remains one, whatever is rewritten."""

    @cached_property
    def positions(self) -> TextPositions:
        return TextPositions(self.text, self.encoding)

    @cached_property
    def tree(self) -> Node | None:
        """The tolerant tree of the text; None if it has no value, or is too long to be read at every key."""
        return None if self.is_large else parse(self.text)

    @cached_property
    def value(self) -> Json:
        """The JSON value of the tree, without what is unfinished."""
        return self.tree.to_json() if self.tree is not None else None

    @cached_property
    def definitions(self) -> list[NameDefinition]:
        """The names that the document defines."""
        return name_definitions(self.value)

    @cached_property
    def references(self) -> list[NameReference]:
        """The places that refer to names."""
        return name_references(self.value)

    @property
    def is_large(self) -> bool:
        """Whether only diagnostics are offered."""
        return len(self.text) > MAX_EDITOR_CHARACTERS

    @cached_property
    def path(self) -> str:
        """The path of its file; the address of a document without one."""
        return _file_path(self.uri) or self.uri

    @property
    def is_file(self) -> bool:
        return _file_path(self.uri) is not None

    @cached_property
    def is_spec(self) -> bool:
        """Whether it is a spec: JSON with the `$schema` of jsonnx, or with `layers` and another key of a spec."""
        suffix = Path(self.path).suffix.lower().lstrip(".")
        if self.language not in LANGUAGES and suffix not in LANGUAGES:
            return False
        if self.was_spec:
            return True
        if self.is_large:
            return _LAYERS_KEY.search(self.text) is not None
        root = self.tree
        if root is None or root.kind != "object":
            return False
        keys = {member.name: member.value and member.value.scalar for member in root.members}
        return "jsonnx" in str(keys.get("$schema")) or has_keys_of_a_spec(keys) or _has_known_layers(root)

    def with_changes(self, changes: Iterable[types.TextDocumentContentChangeEvent], version: int) -> Document:
        """The document after changes. Each change refers to the text after the one before."""
        text, positions = self.text, self.positions
        for change in changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start, end = positions.offset(change.range.start), positions.offset(change.range.end)
                text = text[: min(start, end)] + change.text + text[max(start, end) :]
            else:
                text = change.text
            positions = TextPositions(text, self.encoding)
        return replace(self, text=text, version=version, was_spec=self.is_spec)


def _has_known_layers(root: Node) -> bool:
    """Whether an item of `layers` has the type of a layer."""
    layers = root.get("layers")
    return layers is not None and any(item.text("type") in LAYERS.by_name for item in layers.items[:MAX_SEARCHED_ITEMS])


def _file_path(uri: str) -> str | None:
    """The path of a file's address; None for another address, such as a document's that was never saved."""
    return to_fs_path(uri) if uri.startswith("file:") else None


class Documents:
    """The open documents, by address."""

    def __init__(self) -> None:
        self.encoding = "utf-16"
        self._by_uri: dict[str, Document] = {}

    def open(self, item: types.TextDocumentItem) -> Document:
        document = Document(item.uri, item.language_id, item.version, item.text, self.encoding)
        self._by_uri[item.uri] = document
        return document

    def change(self, params: types.DidChangeTextDocumentParams) -> Document | None:
        """The new version of a document; None if it is not open."""
        document = self.get(params.text_document.uri)
        if document is None:
            return None
        changed = document.with_changes(params.content_changes, params.text_document.version)
        self._by_uri[document.uri] = changed
        return changed

    def renew(self, document: Document) -> Document:
        """A copy of the document with the same version, to be checked again."""
        renewed = self._by_uri[document.uri] = replace(document)
        return renewed

    def close(self, uri: str) -> None:
        self._by_uri.pop(uri, None)

    def get(self, uri: str) -> Document | None:
        return self._by_uri.get(uri)

    def specs(self) -> list[Document]:
        return [document for document in self._by_uri.values() if document.is_spec]

    def open_text(self, path: Path) -> str | None:
        """The text of a file in an open buffer; None if it is not open."""
        return next((document.text for document in self._by_uri.values() if Path(document.path) == path), None)
