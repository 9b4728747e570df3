"""Repairs of texts that are nearly JSON: with trailing commas, comments, single quotes, or Python's constants."""

from __future__ import annotations

from dataclasses import replace

from ...core.diagnostics import Diagnostic
from ...core.fixes import Fix
from .json_errors import JsonError
from .json_parser import JsonParser
from .text_pieces import Piece, Replacement, replaced, text_edits_of, text_of

MAX_PASSES = 200
MAX_PARSED_CHARACTERS = 1_000_000
"""Characters of the text that are parsed for its repair, all passes together."""


def with_whole_repair(diagnostic: Diagnostic, strict_parser: JsonParser) -> Diagnostic:
    """The error of a text with a fix that makes the whole text JSON, if each further error has a fix, too; else
    the error with the fix of its own."""
    text = current = strict_parser.text
    pieces = [Piece(0, len(text))]
    edits: list[Replacement] = []
    title = ""
    passes = min(MAX_PASSES, MAX_PARSED_CHARACTERS // max(len(text), 1))
    for _ in range(passes + 1 if passes and diagnostic.fix else 0):
        parser = JsonParser(current, strict_parser.limits, non_finite=strict_parser.non_finite)
        parser.parse()
        if not parser.errors:
            title = f"Write the text as JSON ({len(edits):,} changes)" if len(edits) > 1 else title
            is_safe = all(edit.is_safe for edit in edits)
            return replace(diagnostic, fix=Fix(title, (), is_safe, text_edits_of(pieces, strict_parser.line_index)))
        replacements = _replacements(parser.errors)
        if not replacements:
            break
        title = parser.errors[0].fix_title
        edits += replacements
        pieces = replaced(pieces, replacements)
        current = text_of(pieces, text)
    return diagnostic


def _replacements(errors: list[JsonError]) -> list[Replacement]:
    """The repair of the first error, and those of the same mistake further on, without overlap."""
    repairs: list[Replacement] = []
    for error in errors if errors[0].repair else ():
        is_alike = error is errors[0] or (error.mistake is not None and error.mistake is errors[0].mistake)
        if is_alike and error.repair and (not repairs or error.repair.start >= repairs[-1].end):
            repairs.append(error.repair)
    return repairs
