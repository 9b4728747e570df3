"""Repairs of texts that are nearly JSON: with trailing commas, comments, single quotes, or Python's constants."""

from __future__ import annotations

import re
from dataclasses import replace

from ...core.diagnostics import CompileError, Diagnostic
from ...core.fixes import Fix
from .json_mistakes import REPEATED_MISTAKES, Mistake
from .json_parser import JsonParser, Limits, LineIndex
from .text_pieces import Piece, Replacement, replaced, text_edits_of, text_of

MAX_PASSES = 200
MAX_PARSED_CHARACTERS = 1_000_000
"""Characters of the text that are parsed for its repair, all passes together."""

_TOKEN = re.compile(
    r""""(?:[^"\\\r\n]|\\[^\r\n])*+"|'(?:[^'\\\r\n]|\\[^\r\n])*+'|//[^\r\n]*+|\#[^\r\n]*+|/\*[\s\S]*?\*/|```|[\w$]++|\S"""
)


def with_whole_repair(error: CompileError, text: str, limits: Limits, non_finite: bool) -> CompileError:
    """Returns the error of a text with a fix that makes the whole text JSON, if each further error has a fix, too; else
    the error with the fix of its own."""
    diagnostic = further = error.diagnostics[0]
    pieces, current = [Piece(0, len(text))], text
    count, is_safe = 0, True
    for _ in range(min(MAX_PASSES, MAX_PARSED_CHARACTERS // max(len(text), 1))):
        if further.fix is None:
            break
        title, edits = further.fix.title, _repeated_replacements(current, further, further.fix)
        count, is_safe = count + len(edits), is_safe and further.fix.is_safe
        pieces = replaced(pieces, edits)
        current = text_of(pieces, text)
        try:
            JsonParser(current, None, limits, non_finite).read_document()
        except CompileError as next_error:
            further = next_error.diagnostics[0]
        else:
            title = f"Write the text as JSON ({count:,} changes)" if count > 1 else title
            whole = Fix(title, (), is_safe, text_edits_of(pieces, LineIndex(text)))
            return CompileError([replace(diagnostic, fix=whole)])
    return error


def _repeated_replacements(text: str, diagnostic: Diagnostic, fix: Fix) -> list[Replacement]:
    """Returns the replacements of a fix, and those of the same mistake further on, without overlap."""
    line_index = LineIndex(text)
    edits = [Replacement(edit.start_offset, edit.end_offset, edit.text) for edit in fix.text_edits]
    start = line_index.line_starts[(diagnostic.line or 1) - 1] + (diagnostic.column or 1) - 1
    mistake = next((mistake for mistake in REPEATED_MISTAKES if _repair_at(text, start, mistake) == edits[0]), None)
    for token in _TOKEN.finditer(text, start) if mistake else ():
        repair = _repair_at(text, token.start(), mistake) if mistake and token[0][0] != '"' else None
        if repair and repair.start >= edits[-1].end and token.start() > start:
            edits.append(repair)
    return edits


def _repair_at(text: str, offset: int, mistake: Mistake) -> Replacement | None:
    match = mistake.pattern.match(text, offset)
    repair = mistake.repair(match) if match else None
    return Replacement(repair.start, repair.end, repair.text) if repair else None
