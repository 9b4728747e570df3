"""Diagnostics as the protocol has them."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pygls.uris import from_fs_path

from ..core.diagnostics import Diagnostic, Note, Position
from .checks import SpecCheck
from .documents import Document
from .syntax_tree import Node

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
    starts = _nodes_by_start(check.document.tree)
    return [_lsp_diagnostic(item, check.document, starts) for item in check.diagnostics]


def _lsp_diagnostic(diagnostic: Diagnostic, document: Document, starts: dict[int, Node]) -> types.Diagnostic:
    message = diagnostic.message + (f"\n{diagnostic.help}" if diagnostic.help else "")
    is_unnecessary = diagnostic.severity == "warning" and diagnostic.code.startswith("unused")
    related = [information for note in diagnostic.notes if (information := _related(note, document, starts))]
    return types.Diagnostic(
        _diagnostic_range(diagnostic, document, starts),
        message,
        severity=_SEVERITIES[diagnostic.severity],
        code=diagnostic.code,
        source=SOURCE,
        related_information=related or None,
        tags=[types.DiagnosticTag.Unnecessary] if is_unnecessary else None,
    )


def _related(note: Note, document: Document, starts: dict[int, Node]) -> types.DiagnosticRelatedInformation | None:
    if note.line is None or note.column is None:
        return None
    uri = document.uri
    if note.file is not None and note.file != document.path:
        uri = from_fs_path(str(Path(note.file).absolute())) or uri
        position = types.Position(note.line - 1, note.column - 1)
        return types.DiagnosticRelatedInformation(types.Location(uri, types.Range(position, position)), note.message)
    place = _range(note.line, note.column, document, starts)
    return types.DiagnosticRelatedInformation(types.Location(uri, place), note.message)


def _nodes_by_start(root: Node | None) -> dict[int, Node]:
    """The keys and values of a tree by their first offset."""
    starts: dict[int, Node] = {}
    for node in root.descendants() if root is not None else ():
        starts.setdefault(node.start, node)
        starts.update((member.key.start, member.key) for member in node.members)
    return starts


def _diagnostic_range(diagnostic: Diagnostic, document: Document, starts: dict[int, Node]) -> types.Range:
    """The range of a diagnostic, but no further than the end of its first line."""
    if None in (diagnostic.line, diagnostic.column, diagnostic.end_line, diagnostic.end_column):
        return _range(diagnostic.line, diagnostic.column, document, starts)
    positions = document.positions
    start = positions.offset_of(Position(diagnostic.line or 1, diagnostic.column or 1))
    end = positions.offset_of(Position(diagnostic.end_line or 1, diagnostic.end_column or 1))
    end = min(end, positions.line_end(positions.line_at(start)))
    if end <= start:
        return _range(diagnostic.line, diagnostic.column, document, starts)
    return positions.range(start, end)


def _range(line: int | None, column: int | None, document: Document, starts: dict[int, Node]) -> types.Range:
    """The range of a key or a value; of a container, its first line. A syntax error is the token at its position."""
    positions = document.positions
    offset = positions.offset_of(Position(line, column)) if line is not None and column is not None else 0
    end_of_line = positions.line_end(positions.line_at(offset))
    node = starts.get(offset)
    if node is not None:
        end = min(node.end, max(end_of_line, offset + 1))
    else:
        end = min(offset + 1, end_of_line)
        if end <= offset:  # at the end of a line: its last character
            offset = max(offset - 1, positions.line_start(positions.line_at(offset)))
            end = max(end, min(offset + 1, end_of_line))
    return positions.range(offset, max(offset, end))
