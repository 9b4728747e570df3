"""Diagnostics as the protocol has them."""

from __future__ import annotations

import os
from functools import cached_property

from lsprotocol import types
from pygls.uris import from_fs_path

from ...core.diagnostics import Diagnostic, Note, Position
from ...frontend.json.syntax_tree import Node
from ...render.explanations import address_of
from ..documents.documents import Document
from .checks import SpecCheck

SOURCE = "jsonnx"
FIX_ALL = "source.fixAll.jsonnx"
"""The kind of the code action that applies all safe fixes."""
_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "note": types.DiagnosticSeverity.Information,
}


def lsp_diagnostics(check: SpecCheck) -> list[types.Diagnostic]:
    """The diagnostics of a check, with their ranges in its document."""
    ranges = _Ranges(check.document)
    return [_lsp_diagnostic(item, ranges) for item in check.diagnostics]


def _lsp_diagnostic(diagnostic: Diagnostic, ranges: _Ranges) -> types.Diagnostic:
    message = diagnostic.message + (f"\n{diagnostic.help}" if diagnostic.help else "")
    is_unnecessary = diagnostic.severity == "warning" and diagnostic.code.startswith("unused")
    address = address_of(diagnostic.code)
    related = [information for note in diagnostic.notes if (information := _related(note, ranges))]
    return types.Diagnostic(
        ranges.of_diagnostic(diagnostic),
        message,
        severity=_SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        code_description=types.CodeDescription(address) if address else None,
        source=SOURCE,
        related_information=related or None,
        tags=[types.DiagnosticTag.Unnecessary] if is_unnecessary else None,
    )


def _related(note: Note, ranges: _Ranges) -> types.DiagnosticRelatedInformation | None:
    document = ranges.document
    if note.line is None or note.column is None:
        return None
    if note.file is not None and note.file != document.path:
        uri = from_fs_path(os.path.abspath(note.file)) or document.uri
        position = types.Position(note.line - 1, note.column - 1)
        return types.DiagnosticRelatedInformation(types.Location(uri, types.Range(position, position)), note.message)
    place = ranges.of_node(note.line, note.column)
    return types.DiagnosticRelatedInformation(types.Location(document.uri, place), note.message)


class _Ranges:
    """The ranges of keys and values in a document. A range ends with its first line."""

    def __init__(self, document: Document) -> None:
        self.document, self.positions = document, document.positions

    @cached_property
    def _nodes_by_start(self) -> dict[int, Node]:
        """The keys and values by their first offset. Only a diagnostic that has no end needs the tree."""
        starts: dict[int, Node] = {}
        root = self.document.tree
        for node in root.descendants() if root is not None else ():
            starts.setdefault(node.start, node)
            starts.update((member.start, member) for member in node.members)
        return starts

    def of_diagnostic(self, diagnostic: Diagnostic) -> types.Range:
        """The range of a diagnostic."""
        line, column = diagnostic.line, diagnostic.column
        if line is None or column is None:
            return self.of_node(1, 1)
        if diagnostic.end_line is not None and diagnostic.end_column is not None:
            start = self.positions.offset_of(Position(line, column))
            end = self.positions.offset_of(Position(diagnostic.end_line, diagnostic.end_column))
            end = min(end, self.positions.line_end(self.positions.line_at(start)))
            if end > start:
                return self.positions.range(start, end)
        return self.of_node(line, column)

    def of_node(self, line: int, column: int) -> types.Range:
        """The range of the key or value at a position, else its character; the last one before the end of a line."""
        offset = self.positions.offset_of(Position(line, column))
        line_start = self.positions.line_start(self.positions.line_at(offset))
        line_end = self.positions.line_end(self.positions.line_at(offset))
        node = self._nodes_by_start.get(offset)
        if node is not None:
            return self.positions.range(offset, max(offset, min(node.end, line_end)))
        if offset >= line_end:
            return self.positions.range(max(line_end - 1, line_start), line_end)
        return self.positions.range(offset, offset + 1)
