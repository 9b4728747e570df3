"""Repairs of texts that are nearly JSON: with trailing commas, comments, single quotes, or Python's constants."""

from __future__ import annotations

from dataclasses import replace

from ..core.diagnostics import CompileError
from ..core.fixes import Fix
from .json_parser import JsonParser, Limits, LineIndex
from .text_pieces import Piece, replaced, text_edits_of, text_of

MAX_REPAIRS = 1_000
MAX_PARSED_CHARACTERS = 5_000_000
"""Characters of the text that are parsed for its repair, all passes together."""


def with_whole_repair(error: CompileError, text: str, limits: Limits, non_finite: bool) -> CompileError:
    """Returns the error of a text with a fix that makes the whole text JSON, if each further error has a fix, too; else
    the error with the fix of its own."""
    diagnostic = error.diagnostics[0]
    fixes: list[Fix] = []
    pieces = [Piece(0, len(text))]
    fix, parsed_characters = diagnostic.fix, 0
    while fix is not None and len(fixes) < MAX_REPAIRS and parsed_characters < MAX_PARSED_CHARACTERS:
        fixes.append(fix)
        for edit in fix.text_edits:
            pieces = replaced(pieces, edit.start_offset, edit.end_offset, edit.text)
            parsed_characters += edit.end_offset
        try:
            JsonParser(text_of(pieces, text), None, limits, non_finite).read_document()
        except CompileError as further:
            fix = further.diagnostics[0].fix
        else:
            edits = text_edits_of(pieces, LineIndex(text))
            title = f"{fixes[0].title} ({len(fixes):,} repairs)" if len(fixes) > 1 else fixes[0].title
            whole = Fix(title, (), all(fix.is_safe for fix in fixes), edits)
            return CompileError([replace(diagnostic, fix=whole)])
    return error
